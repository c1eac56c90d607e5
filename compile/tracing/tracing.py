# SPDX-License-Identifier: Apache-2.0
"""What a region of an AArch64 program costs on a target's cores.

Takes a command, the region and a `Target`; gives a `Trace`. The program is run under the emulator and
priced while it runs; what the caches hold when the timed region begins is what the region before left in
them. Each of its threads has a core of its own. Deterministic as far as the program is.
"""

import contextlib
from collections import Counter
from dataclasses import dataclass

import numpy as np

from mnc.compile.simulator.core.params import clock_ghz, core_params
from mnc.compile.simulator.decoders.aarch64.decode import ABI
from mnc.compile.simulator.estimate import TimedCall, estimate
from mnc.compile.simulator.isa.packing import MICRO_OP, Array
from mnc.compile.simulator.kernel import Simulation
from mnc.compile.simulator.program import DecodedProgram
from mnc.compile.tracing import symbols
from mnc.compile.tracing.blocks import Blocks
from mnc.compile.tracing.definitions import Definitions, Mapping
from mnc.compile.tracing.emulator import Command, Function, traced
from mnc.compile.tracing.packets import DEFINITIONS, packets
from mnc.compile.tracing.replay import Replay
from mnc.support.errors import UserError
from mnc.targets import Target


@dataclass(frozen=True)
class Trace:
    """`simulation` is of the timed region, of the thread that was busy longest; `threads` are the cycles of
    all.

    `unknown` says how often instructions ran that the model does not know, by name, most often first: they
    cost a place at dispatch. `mappings` are the files that code came from.
    """

    simulation: Simulation
    threads: tuple[float, ...]
    unknown: tuple[tuple[str, int], ...]
    mappings: tuple[Mapping, ...]

    @property
    def unknown_share(self) -> float:
        """Of all instructions that ran."""
        return sum(count for _, count in self.unknown) / max(self.simulation.instructions, 1)

    def place(self, address: int) -> str:
        """The code at an address as a person would look for it: "libncnn.so: convolution_forward+0x40"."""
        for one in self.mappings:
            if one.first <= address < one.last:
                name, start = symbols.name_at(one.path, address - one.first + one.offset)
                return f"{one.path.name}: {name}+{start:#x}" if name else one.path.name
        return ""


def trace(
    command: Command,
    target: Target,
    *,
    function: Function | None = None,
    threads: int = 1,
) -> Trace:
    """Price call `function.call` of a function, or without it the region that the program marks as timed.
    `threads` cores share what they share, however many threads the program has.

    UserError when the program never gets there.
    """
    blocks, definitions = Blocks(), Definitions()
    replays: dict[int, Replay] = {}
    params = core_params(target, threads=threads)
    with contextlib.ExitStack() as stack, traced(command, function, target) as program:
        for packet in packets(program):
            if packet.cpu == DEFINITIONS:
                definitions.take(packet.words)
                continue
            if packet.cpu not in replays:
                fresh = stack.enter_context(Replay(params, blocks, definitions, cores=threads))
                for other in replays.values():
                    fresh.meet(other)
                replays[packet.cpu] = fresh
            replays[packet.cpu].feed(packet.words)
        status = program.popen.wait()
        counts = {cpu: one.counts()[: len(blocks.lines)] for cpu, one in replays.items()}
        priced = {
            cpu: _priced(one, counts[cpu], blocks, target)
            for cpu, one in replays.items()
            if counts[cpu].any()
        }
        if not priced:
            raise UserError(_never(command, function, status))
        longest = max(priced, key=lambda cpu: priced[cpu].cycles)
        cycles = tuple(sorted((one.cycles for one in priced.values()), reverse=True))
        unknown = _unknown(blocks, counts[longest])
        return Trace(priced[longest], cycles, unknown, definitions.mappings())


def _never(command: Command, function: Function | None, status: int) -> str:
    region = f"call {function.call} of the function" if function else "a region marked as timed"
    return (
        f"{command.words[0]} ended with {status} and without {region}; "
        "see what it printed, and docs/tracing.md"
    )


def _priced(replay: Replay, counts: Array, blocks: Blocks, target: Target) -> Simulation:
    size = len(blocks.lines)
    stats, cycles = replay.statistics()
    code = DecodedProgram(ABI, blocks.insns[:size], np.zeros(0, MICRO_OP), tuple(blocks.lines), {})
    call = TimedCall(np.zeros_like(counts), counts, stats, cycles[:size], (0.0, 0.0, 0.0))
    return estimate(code, call, clock_ghz(target.fast))


def _unknown(blocks: Blocks, counts: Array) -> tuple[tuple[str, int], ...]:
    found: Counter[str] = Counter()
    for index in blocks.unknown:
        found[blocks.lines[index].mnemonic] += int(counts[index])
    return tuple((name, count) for name, count in found.most_common() if count)
