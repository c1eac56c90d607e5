# SPDX-License-Identifier: Apache-2.0
"""Where a model's cycles go on a target's cores, by the core model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnc.compile.api.named import LOGS, as_model, as_target, read_log
from mnc.compile.report.explain import Explanation
from mnc.compile.simulator.totals import Total, total_of
from mnc.support.progress import working

if TYPE_CHECKING:
    from mnc.compile.api.named import AnyModel, AnyTarget


def explain(
    model: "AnyModel",
    target: "AnyTarget" = "host",
    *,
    layer: str | None = None,
    threads: int | None = None,
    logs: Path = LOGS,
) -> tuple[Explanation, ...]:
    """One Explanation for each task of `model`, or only that of `layer` (its number from 1 on, or part of its
    name), from the machine code of the log's best config, or of the default where the log has none.

    `threads` are of the target's fast cores (None: all). UserError when these cannot be simulated.
    """
    from mnc.compile.measure.simulated import check_simulable

    cpu = as_target(target)
    count = threads or cpu.fast.count
    check_simulable(cpu, threads=count)
    network = as_model(model, cpu)
    from mnc.compile.frontend import tasks
    from mnc.compile.report import explain as stage

    known = tasks.of_model(network, cpu)
    chosen = known if layer is None else (stage.find(known, layer),)
    trials = read_log(network, cpu, logs).trials
    with working(f"simulating {len(chosen)} kernels"):
        return tuple(stage.explain(task, cpu, trials, threads=count) for task in chosen)


def explained_total(layers: Sequence[Explanation]) -> Total:
    """What a network's `layers`, all that `explain` gives, take in an inference in which no pair is fused."""
    seconds = sum(one.calls * one.seconds for one in layers if one.kind != "fused")
    return total_of(seconds, core=layers[0].cpu, threads=layers[0].threads)
