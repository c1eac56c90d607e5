# SPDX-License-Identifier: Apache-2.0
"""The verb rerank, and the same as the last step of tune: the best configs tried in the real network."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnc.compile.api import ModelSpec
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
from mnc.support.errors import UserError

if TYPE_CHECKING:
    from mnc.compile.tuning.rerank import RerankSummary


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
@threads_option
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
    from mnc.compile.api import rerank as again
    from mnc.targets import load

    summary = again(
        model,
        load(target_name),
        device=device,
        threads=threads or 1,
        keep=keep,
        logs=logs,
    )
    if as_json:
        print_json(summary)
        return
    table(_rows(summary), as_json=False)
    console.result(line(summary))


def after_tuning(
    model: Any, target: Any, *, device: str | None, threads: int | None, logs: Path
) -> None:
    """The same, said on stderr. That it could not be done is no failure of the tuning."""
    from mnc.compile.api import rerank as again

    try:
        summary = again(model, target, device=device, threads=threads or 1, logs=logs)
    except UserError as error:
        console.warn(f"configs are not tried in the network: {error}")
    else:
        console.note(line(summary))


def line(summary: "RerankSummary") -> str:
    """What came of it."""
    moved = sum(task.place > 1 for task in summary.tasks)
    foretold = 1e3 * (summary.predicted + summary.others)
    apart = ", no pair fused" if any(task.kind == "fused" for task in summary.tasks) else ""
    return (
        f"{moved} of {len(summary.tasks)} tasks have another config in the network than alone; layers take "
        f"{summary.before * 1e3:.3f} ms with those best alone{apart}, {summary.after * 1e3:.3f} ms now; "
        f"the log predicts {foretold:.3f} ms ({100 * summary.error:+.1f} %; the machine's speed changed by "
        f"{100 * (1 / summary.drift - 1):+.1f} % meanwhile)"
    )


def _rows(summary: "RerankSummary") -> list[dict[str, Any]]:
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
