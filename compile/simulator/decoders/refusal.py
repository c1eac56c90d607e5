# SPDX-License-Identifier: Apache-2.0
"""What a decoder does with an instruction that it has no model of: it says which, and why.

Takes operands and whole decoders; raises SimulationError, whatever options Python runs with.
"""

import functools
from collections.abc import Callable
from typing import TypeVar

from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import Instruction, Line

Kind = TypeVar("Kind")
Decode = Callable[[Line], tuple[Instruction, ...]]
# What reading an operand that is not there, or a name that no table has, ends in.
UNKNOWN = (SimulationError, KeyError, ValueError, IndexError, StopIteration)


def expect(kind: type[Kind], operand: object) -> Kind:
    """The operand, when it is of the kind that the instruction takes there; else SimulationError."""
    if not isinstance(operand, kind):
        raise SimulationError(f"{operand} is no {kind.__name__}")
    return operand


def naming_refusals(architecture: str) -> Callable[[Decode], Decode]:
    """Make a decoder of one line raise nothing but SimulationErrors that name the instruction."""

    def decorated(decode: Decode) -> Decode:
        @functools.wraps(decode)
        def named(line: Line) -> tuple[Instruction, ...]:
            try:
                return decode(line)
            except UNKNOWN as error:
                why = str(error) or type(error).__name__
                raise SimulationError(
                    f"no model of the {architecture} instruction {line.text!r} "
                    f"at {line.address:#x} ({why})"
                ) from error

        return named

    return decorated
