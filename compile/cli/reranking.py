# SPDX-License-Identifier: Apache-2.0
"""The verb rerank: the best configs tried in the real network, as at the end of tune."""

from pathlib import Path
from typing import Any

import click

from mnc.compile import api
from mnc.compile.api import ModelSpec, RerankSummary
from mnc.compile.cli.common import (
    as_json_option,
    console,
    logs_option,
    model_options,
    print_json,
    table,
    target_option,
    threads_option,
)


@click.command()
@model_options
@target_option
@click.option("--device", metavar="rpc://HOST:PORT/KEY", help="Time on this device.")
@click.option(
    "--keep",
    type=click.IntRange(min=1, max=16),
    default=4,
    show_default=True,
    help="Configs of each task, so many networks.",
)
@threads_option("1")
@logs_option
@as_json_option
def rerank(
    model: ModelSpec,
    target_name: str,
    device: str | None,
    keep: int,
    threads: int | None,
    logs: Path,
    as_json: bool,
) -> None:
    """Try the best configs within the real network.

    It is what tune does last. A kernel timed alone meets other caches than a layer does. So each task's best
    few configs are built into networks that take turns, their layers are timed, and the log gets these times;
    builds prefer them. Then the sum that they predict is compared with the network that results.
    """
    summary = api.rerank(model, target_name, device=device, threads=threads, keep=keep, logs=logs)
    if as_json:
        print_json(summary)
        return
    table(_rows(summary), as_json=False)
    console.result(str(summary))


def _rows(summary: RerankSummary) -> list[dict[str, Any]]:
    return [
        {
            "kind": task.kind,
            "shape": task.shape,
            "configs": task.tried,
            "alone us": task.alone * 1e6,
            "in the network us": task.before * 1e6,
            "best there us": task.after * 1e6,
            "its place alone": task.place,
        }
        for task in summary.tasks
    ]


VERBS = (rerank,)
