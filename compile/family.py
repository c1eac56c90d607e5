# SPDX-License-Identifier: Apache-2.0
"""Which family of kernels a whole network is built from: ours on one blocked layout, or one of TVM's own.

Takes a model, a target and something to time networks on; gives a `Choice`, kept beside the tuning log,
that builds follow. A family is chosen for the network as a whole by its measured total, layout transforms
included: mixing families layer by layer was measured slower than any of them (apache/tvm pull 5334).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from compile.trial import EMULATED, SIMULATED, Trial
from support.errors import UserError
from support.files import write_atomic

if TYPE_CHECKING:
    from compile.builder import Built

BLOCKED = "blocked"
FAMILIES = {
    BLOCKED: "our templates, one layout NCHW{b}c, no transforms",
    "spatial-pack": "TVM's templates for NCHW (arm_cpu's spatial pack on ARM)",
    "nchwc": "TVM's x86-style templates, a channel block for each layer",
    "nhwc": "TVM's templates for NHWC",
}
UNMEASURED = "no device has timed the families; this one needs no layout transform between layers"

# Median seconds of one inference of a built network, on what it is for.
Timer = Callable[["Built"], float]


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
    """The choice beside `log`; ours where there is none, or only an emulator's. UserError when damaged."""
    path = path_beside(log)
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Choice)
    except FileNotFoundError:
        return Choice(family=BLOCKED, why=UNMEASURED)
    except (msgspec.MsgspecError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}); delete it, or tune again") from None
    if found.emulated:
        return Choice(family=BLOCKED, why=f"{UNMEASURED} (an emulator's times do not count)")
    return found


def choose(
    model: Any,
    target: Any,
    trials: Sequence[Trial],
    timer: Timer,
    *,
    log: Path,
    measurer: str,
    say: Callable[[str], None] = lambda _: None,
) -> Choice:
    """Build the network in every family, time each whole, keep the fastest beside `log`.

    Ours is built with the log's records, TVM's own with their defaults. A family that cannot be built or run
    is left out with the reason; UserError when none can. Where a device has timed them before, a core model's
    times change nothing.
    """
    if measurer.startswith(SIMULATED) and path_beside(log).exists():
        known = chosen(log)
        if known.measured:
            say(f"family {known.family}: kept, for a device has timed it ({known.measurer})")
            return known
    seconds: dict[str, float] = {}
    failed: dict[str, str] = {}
    for name, words in FAMILIES.items():
        try:
            seconds[name] = _time(model, target, trials, timer, name)
            say(f"family {name}: {seconds[name] * 1e3:.2f} ms ({words})")
        except Exception as error:  # TVM raises nearly anything for a layout it has no kernels for
            lines = str(error).strip().splitlines()
            failed[name] = lines[-1][:200] if lines else type(error).__name__
            say(f"family {name}: left out, {failed[name]}")
    if not seconds:
        raise UserError(f"no family of kernels works for {model.name} on {target.name}: {failed}")
    best = min(seconds, key=lambda name: seconds[name])
    others = sorted(value for name, value in seconds.items() if name != best)
    how = "simulated as a whole" if measurer.startswith(SIMULATED) else "as a whole"
    why = f"fastest {how}, transforms included: {seconds[best] * 1e3:.2f} ms"
    why += f", the next {others[0] * 1e3:.2f} ms" if others else ""
    made = Choice(family=best, why=why, seconds=seconds, failed=failed, measurer=measurer)
    write_atomic(path_beside(log), msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
    return made


def _time(model: Any, target: Any, trials: Sequence[Trial], timer: Timer, family: str) -> float:
    from compile import builder

    return timer(builder.build(model, target, trials, family=family))


def in_layout(mod: Any, family: str, block: int) -> Any:
    """The Relay module in the family's layout."""
    if family == BLOCKED:
        from compile import layout

        return layout.to_blocked(mod, block)
    if family == "nhwc":
        from tvm import relay, transform

        wanted = {"nn.conv2d": ["NHWC", "default"]}
        return transform.Sequential(
            [relay.transform.ConvertLayout(wanted), relay.transform.FoldConstant()]
        )(mod)
    return mod


def tvm_target(target: Any, family: str) -> str:
    """The TVM target string; x86-style templates on ARM are had by not saying arm_cpu."""
    text = str(target.tvm_target())
    if family != "nchwc":
        return text
    return text.replace("-keys=arm_cpu,cpu", "-keys=cpu").replace(" -device=arm_cpu", "")
