# SPDX-License-Identifier: Apache-2.0
"""Which family of kernels a whole network is built from: ours on one blocked layout, or one of TVM's own.

Takes a model, a target and what times networks for it; gives a `Choice`, kept beside the tuning log,
that builds follow. A family is chosen for the network as a whole by its measured total, layout transforms
included: mixing families layer by layer was measured slower than any of them (apache/tvm pull 5334).
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mnc.compile.records.family_choice import FAMILIES, Choice, chosen, path_beside
from mnc.compile.records.trial import SIMULATED, Trial
from mnc.compile.simulator.totals import total_by
from mnc.support import error_text
from mnc.support.errors import UserError
from mnc.support.files import write_atomic

if TYPE_CHECKING:
    from mnc.compile.device.device import NetworkTimer

logger = logging.getLogger(__name__)


def choose(
    model: Any,
    target: Any,
    trials: Sequence[Trial],
    timer: "NetworkTimer",
    *,
    log: Path,
) -> Choice:
    """Build the network in every family, time each whole, keep the fastest beside `log`.

    Ours is built with the log's records, TVM's own with their defaults. A family that cannot be built or run
    is left out with the reason; UserError when none can. Where a device has timed them before, a core model's
    times change nothing.
    """
    if timer.name.startswith(SIMULATED) and path_beside(log).exists():
        known = chosen(log)
        if known.measured:
            logger.info(
                "family %s: kept, for a device has timed it (%s)", known.family, known.measurer
            )
            return known
    seconds: dict[str, float] = {}
    failed: dict[str, str] = {}
    for name, words in FAMILIES.items():
        try:
            seconds[name] = _time(model, target, trials, timer, name)
            logger.info("family %s: %s (%s)", name, _said(seconds[name], timer), words)
        except Exception as error:  # TVM raises nearly anything for a layout it has no kernels for
            failed[name] = error_text.of_exception(error)
            logger.info("family %s: left out, %s", name, failed[name])
    if not seconds:
        raise UserError(f"no family of kernels works for {model.name} on {target.name}: {failed}")
    best = min(seconds, key=lambda name: seconds[name])
    others = sorted(value for name, value in seconds.items() if name != best)
    how = "simulated as a whole" if timer.name.startswith(SIMULATED) else "as a whole"
    why = f"fastest {how}, transforms included: {_said(seconds[best], timer)}"
    why += f", the next {_said(others[0], timer)}" if others else ""
    made = Choice(family=best, why=why, seconds=seconds, failed=failed, measurer=timer.name)
    write_atomic(path_beside(log), msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
    return made


def _said(seconds: float, timer: "NetworkTimer") -> str:
    """Milliseconds, with the range that published boards support where they are a core model's."""
    return str(total_by(timer.name, seconds) or f"{seconds * 1e3:.2f} ms")


def _time(
    model: Any, target: Any, trials: Sequence[Trial], timer: "NetworkTimer", family: str
) -> float:
    from mnc.compile.codegen import network

    return timer.seconds_of(network.build(model, target, trials, family=family), model)
