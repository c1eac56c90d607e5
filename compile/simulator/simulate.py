# SPDX-License-Identifier: Apache-2.0
"""What a kernel costs on a target's cores, from its machine code alone.

Takes a `Kernel` (object or library, and its buffers) and a `Target`; gives a `Simulation`: seconds and where
the cycles go. Pure computation, the same bit for bit in every process on every machine.
"""

from mnc.compile.simulator import machine, program
from mnc.compile.simulator.core.params import clock_ghz
from mnc.compile.simulator.core.structs import Cause
from mnc.compile.simulator.estimate import TimedCall, estimate
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.kernel import CacheState, Executed, Kernel, Simulation
from mnc.compile.simulator.loader import image as images
from mnc.compile.simulator.program import DecodedProgram
from mnc.targets import Target

__all__ = ["CacheState", "Cause", "Executed", "Kernel", "Simulation", "decode", "simulate"]

# How much of a long kernel is timed; the rest only moves its caches on.
TIMED = 2_000_000  # instructions
WINDOW = 5_000  # instructions in a row


def simulate(
    kernel: Kernel,
    target: Target,
    *,
    threads: int = 1,
    state: CacheState = "warm",
    exact: bool = False,
    decoded: DecodedProgram | None = None,
) -> Simulation:
    """One call of the kernel on `threads` of the target's fast cores.

    state="warm": everything was run once before, as a timing loop does. "cold": as in a network, weights are
    in no cache, or in the last where that keeps a network, and the input was just written. All of a kernel is
    executed, and of a long one a spread sample is timed; `exact` times all of it. `decoded` saves the time of
    `decode(kernel)`, whose result is the same for every function of one code. SimulationError names what the
    model does not know.
    """
    image = images.build(kernel.code, kernel.arguments, kernel.function)
    if image.arch != target.arch:
        raise SimulationError(
            f"the kernel is {image.arch} code, target {target.name} {target.arch}"
        )
    code = decoded or program.decode(image)
    with machine.load(image, code, kernel, target, threads) as loaded:
        if state == "cold":
            loaded.count()
            if target.keeps_network:
                loaded.read_weights(target.evict_bytes)
            loaded.write_inputs()
        else:
            loaded.warm_up()
        tasks = 2 if threads > 1 else 1  # of which one only tells what it shares
        gap = _gap(int(loaded.counts()[0].sum()) // tasks)
        loaded.time(window=WINDOW, gap=0 if exact else gap)
        measured = TimedCall(*loaded.counts(), *loaded.statistics(), loaded.streams())
    return estimate(code, measured, clock_ghz(target.fast))


def decode(kernel: Kernel) -> DecodedProgram:
    """The kernel's machine code, decoded: it lies at the same addresses whichever function of it is run."""
    return program.decode(images.build(kernel.code, kernel.arguments, kernel.function))


def _gap(instructions: int) -> int:
    """Instructions between windows, 0 where everything is timed."""
    return 0 if instructions < 2 * TIMED else WINDOW * (instructions - TIMED) // TIMED
