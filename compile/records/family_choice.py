# SPDX-License-Identifier: Apache-2.0
"""Which family of kernels a network is built from: our templates, or one of TVM's own.

Takes a tuning log's path; gives the choice that is kept beside it.
"""

from pathlib import Path

import msgspec

from mnc.compile.records.paths import committed
from mnc.compile.records.trial import EMULATED, SIMULATED
from mnc.support.errors import UserError

BLOCKED = "blocked"
FAMILIES = {
    BLOCKED: "our templates, one layout NCHW{b}c, no transforms",
    "spatial-pack": "TVM's templates for NCHW (arm_cpu's spatial pack on ARM)",
    "nchwc": "TVM's x86-style templates, a channel block for each layer",
    "nhwc": "TVM's templates for NHWC",
}
UNMEASURED = "no device has timed the families; this one needs no layout transform between layers"


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The family, and why. `seconds` are medians of a whole inference, `failed` says why one has none."""

    family: str
    why: str
    seconds: dict[str, float] = {}
    failed: dict[str, str] = {}
    measurer: str = ""

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"family must be one of {', '.join(FAMILIES)}, not {self.family!r}")

    @property
    def emulated(self) -> bool:
        """Whether its times are an emulator's, which say nothing about a real core."""
        return EMULATED in self.measurer.split()

    @property
    def simulated(self) -> bool:
        """Whether its times are a core model's: a device's come before them."""
        return self.measurer.startswith(SIMULATED)

    @property
    def measured(self) -> bool:
        """Whether its times are a real device's."""
        return bool(self.measurer) and not self.simulated and not self.emulated


def path_beside(log: Path) -> Path:
    """Where the choice that goes with a log is kept."""
    return log.with_suffix(".family.json")


def chosen(log: Path) -> Choice:
    """The choice beside `log`, or that of an installed copy; ours where there is none, or only an emulator's.
    UserError when damaged.
    """
    path = path_beside(log)
    if not path.exists():
        path = committed(path) or path
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Choice)
    except FileNotFoundError:
        return Choice(family=BLOCKED, why=UNMEASURED)
    except (msgspec.MsgspecError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}); delete it, or tune again") from None
    if found.emulated:
        return Choice(family=BLOCKED, why=f"{UNMEASURED} (an emulator's times do not count)")
    return found
