# SPDX-License-Identifier: Apache-2.0
"""The first build is a tuned build: what suits other CPUs is tried on one that no log knows yet.

Takes a network's tasks and the log of its target; adds trials to it within seconds that are known beforehand.
`tune` goes on from there.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnc.compile.api.tuning import search
from mnc.compile.device.opening import open_device
from mnc.compile.device.options import DeviceOptions
from mnc.compile.records.ranking import best_of_each
from mnc.compile.records.tuning_log import TuningLog
from mnc.compile.tuning.options import SearchOptions, TuningOptions
from mnc.support.errors import UserError
from mnc.support.progress import working
from mnc.targets import Target

if TYPE_CHECKING:
    from mnc.compile.frontend.tasks import TunableTask

logger = logging.getLogger(__name__)

VARIABLE = "MNC_QUICK_TUNE"
SECONDS = 45.0
TRIALS_PER_TASK = 24  # more are `tune`'s to make
UNKNOWN_SHARE = 0.1  # of the network's multiply-adds


def default_seconds() -> float:
    """$MNC_QUICK_TUNE, else SECONDS. UserError when it is no number of seconds."""
    text = os.environ.get(VARIABLE, str(SECONDS))
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UserError(f"{VARIABLE}={text} is no number of seconds; 0 leaves quick tuning out")
    return seconds


def quick_tune(
    tasks: "Sequence[TunableTask]", target: Target, log: TuningLog, logs: Path, seconds: float
) -> int:
    """Try for `seconds` what is best on other CPUs, where the log knows too little of this one; returns how
    many trials were made. That they cannot be made is logged as a warning: a build goes on without.
    """
    if seconds <= 0 or not is_due(tasks, log):
        return 0
    options = TuningOptions(
        logs=logs,
        search=SearchOptions(trials=TRIALS_PER_TASK * len(tasks), floor=8, seconds=seconds),
        rerank=None,
    )
    try:
        device = open_device(target, DeviceOptions())
        logger.info(
            "no log knows this CPU: first, for up to %g s, the kernels that suit other CPUs are tried "
            "(--quick-tune SECONDS; 0 leaves it out)",
            seconds,
        )
        with working(f"trying kernels for up to {seconds:g} s"):
            return search(tasks, log.path, device, options).trials
    except UserError as error:
        logger.warning("kernels are not tuned first: %s", error)
        return 0


def is_due(tasks: "Sequence[TunableTask]", log: TuningLog) -> bool:
    """Whether tasks without a record do more than UNKNOWN_SHARE of the multiply-adds. Those that would take
    the place of others are not needed.
    """
    from mnc.compile.templates.workload import replaced

    known = best_of_each(log.trials)
    apart = [task for task in tasks if not replaced(task.task.name, task.task.args)]
    unknown = sum(task.macs * task.calls for task in apart if task.key not in known)
    return unknown > UNKNOWN_SHARE * sum(task.macs * task.calls for task in apart)
