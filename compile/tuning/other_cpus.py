# SPDX-License-Identifier: Apache-2.0
"""What the logs of other CPUs teach: where a CPU that no log knows starts from.

Takes the folders of logs and a target; gives the trials of each CPU of its architecture, the nearest first
(`mnc.targets.similarity`). Their costs are no measure here, but which configs were fast is a good guess.
"""

import math
import statistics
from collections.abc import Iterable
from pathlib import Path

from mnc.compile.records.trial import Trial
from mnc.compile.records.tuning_log import TuningLog
from mnc.support import checkout
from mnc.support.errors import UserError
from mnc.targets import Target
from mnc.targets.similarity import distance

Trials = tuple[Trial, ...]


def of_other_cpus(logs: Path, target: Target) -> list[Trials]:
    """A group for each other CPU of the architecture that a log knows, the nearest first. Each group's costs
    are of one kind: by the measurer that made most of them.
    """
    by_cpu: dict[str, list[Trial]] = {}
    for trial in _every(logs):
        if not (trial.emulated or trial.in_network or trial.error == "device"):
            by_cpu.setdefault(trial.target, []).append(trial)
    distances = {text: distance(target, text) for text in by_cpu}
    near = sorted(
        (far, text)
        for text, far in distances.items()
        if math.isfinite(far) and by_cpu[text][0].model != target.model
    )
    return [_by_one_measurer(by_cpu[text]) for _, text in near]


def _by_one_measurer(trials: list[Trial]) -> Trials:
    most = statistics.mode(trial.measurer for trial in trials)
    return tuple(trial for trial in trials if trial.measurer == most)


def _every(logs: Path) -> Iterable[Trial]:
    """Every trial of every log. What cannot be read teaches nothing."""
    folders = {logs.resolve(), checkout.committed_logs()}
    for path in sorted({found for folder in folders for found in folder.glob("*/*.jsonl")}):
        try:
            yield from TuningLog.open(path, exclusive=False).trials
        except UserError:
            continue
