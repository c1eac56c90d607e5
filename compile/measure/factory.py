# SPDX-License-Identifier: Apache-2.0
"""Where costs come from: this machine's cores, devices over RPC, or a model of a core that is not here.

Takes a target and what the user asked for; gives the measurer, or a UserError that says what the choices
are. A target that is not this machine is simulated unless a device is named.
"""

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from mnc.compile.rpc.address import parse
from mnc.support.errors import UserError
from mnc.targets import Target
from mnc.targets import load as load_target

if TYPE_CHECKING:
    from mnc.compile.measure.measurer import Measurer

Kind = Literal["here", "device", "simulated"]


class How(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for. `device` is "rpc://host:port/key". `simulate` prefers the core model to this
    machine; it is done by `workers` processes here, or on the machines that have joined `tracker`
    ("host:port"). `threads` run each kernel (None: 1 where timed, every fast core where simulated).
    """

    device: str | None = None
    simulate: bool = False
    workers: int | None = None
    tracker: str | None = None
    threads: int | None = None
    allow_emulated: bool = False


def kind(target: Target, how: How) -> Kind:
    """What will measure; UserError, before anything is begun, when nothing can or the wishes conflict."""
    simulating = how.simulate or how.workers is not None or how.tracker is not None
    if how.device is not None:
        if simulating:
            raise UserError(
                "a device measures for itself: give --device, or --simulate, --workers and --tracker"
            )
        parse(how.device, key=target.name)
        return "device"
    if not simulating and load_target("host").model == target.model:
        return "here"
    from mnc.compile.measure.simulated import check_simulable

    check_simulable(target, threads=how.threads or target.fast.count)
    return "simulated"


def open_measurer(target: Target, how: How) -> "Measurer":
    """The measurer. Use as a context manager."""
    found = kind(target, how)
    opened: Any
    if found == "device":
        from mnc.compile.measure.rpc import RpcMeasurer

        assert how.device is not None
        emulated = how.allow_emulated
        opened = RpcMeasurer(target, how.device, threads=how.threads or 1, allow_emulated=emulated)
    elif found == "here":
        from mnc.compile.measure.local import LocalMeasurer
        from mnc.compile.measure.options import LocalOptions as Timed

        opened = LocalMeasurer(target, options=Timed(threads=how.threads or 1))
    else:
        opened = _simulated(target, how)
    return opened  # type: ignore[no-any-return]


def _simulated(target: Target, how: How) -> Any:
    from mnc.compile.measure.options import SimulationOptions
    from mnc.compile.measure.simulated import SimulatedMeasurer

    options = SimulationOptions(threads=how.threads, workers=how.workers)
    if how.tracker is None:
        return SimulatedMeasurer(target, options=options)
    from mnc.compile.measure.fleet.client import Fleet
    from mnc.compile.rpc.address import parse_tracker

    fleet = Fleet(parse_tracker(how.tracker), target)
    try:
        return SimulatedMeasurer(target, options=options, engine=fleet)
    except BaseException:
        fleet.close()
        raise


def note(target: Target, how: How) -> str | None:
    """One line when costs will be simulated: by what, what that is worth, how to have real ones."""
    if kind(target, how) != "simulated":
        return None
    core, threads = target.fast, how.threads or target.fast.count
    clock = f" at {core.clock_ghz:g} GHz" if core.clock_ghz else ""
    return (
        f"no device: costs are simulated, by the model of {threads}x {core.cpu}{clock} of {target.name} "
        "(docs/simulator.md says how near it comes to real boards); to measure on a real one: "
        f"--device rpc://HOST:PORT/{target.name}"
    )
