# SPDX-License-Identifier: Apache-2.0
"""Which core model this is: a name that changes whenever the model or what it knows of a device does.

Takes a `Target`; gives the name that goes into logs, and says why a target cannot be simulated. Imports
nothing heavy.
"""

import functools
import hashlib
from pathlib import Path
from typing import Any

import msgspec

from mnc.compile.simulator.code_hash import code_hash
from mnc.targets import Target, pipeline_of

VERSION = 1
FLOAT = "float32"
HERE = Path(__file__).resolve().parent
PRICES = HERE / "simulate.py"  # with all that it imports of this package, and the C sources
ARCHITECTURES = ("aarch64", "arm", "x86_64")  # that there are decoders for
# Names under which logs already have this model: by `code()` and by the precision of the kernels, its first 8
# digits in those logs. Code that was only put differently may be added, if
# tests/compile/simulator/test_recorded_costs.py passes unchanged; code that gives kernels of a precision
# other costs is for those another model, whose name is its hash. (Since 3b4ab06c: pairs of loads whose first
# register is the base, which could not be priced. Since 94c4b09f: loads and stores of several registers,
# which cost as before but on an A73, whose own description changed.)
NAMES = {"84116a9d": {"float32": "8a13b24a", "int8": "a2957770", "fp16": "e710b88c"}}


def identity(target: Target, *, precision: str = FLOAT) -> str:
    """Such as "v1-0123abcd cortex-a72-4567cdef": the simulator, and what `target` says of its cores. Prices
    that float32 kernels do not depend on are not in their names.
    """
    return _named(target, fingerprint(precision), precision)


def full_identity(target: Target) -> str:
    """That of a model with all of its prices: who has the same prices whatever there is alike."""
    return _named(target, code(), "int8")


def _named(target: Target, model: str, precision: str) -> str:
    said = msgspec.json.encode(_told(target, precision))
    device = hashlib.sha256(said).hexdigest()[:8]
    return f"v{VERSION}-{model} {target.fast.cpu}-{device}"


def why_not(target: Target) -> str | None:
    """Why `target` cannot be simulated, None where it can."""
    if target.arch not in ARCHITECTURES:
        return f"the simulator has no decoder for {target.arch}"
    return None


def fingerprint(precision: str = FLOAT) -> str:
    """The model's name in logs: 8 hexadecimal digits."""
    return NAMES.get(code(), {}).get(precision, code())


def _told(target: Target, precision: str) -> tuple[Any, ...]:
    cores, pipeline = msgspec.to_builtins((target.cores, pipeline_of(target.fast)))
    if precision == FLOAT:
        own = [core["pipeline"] for core in cores if core["pipeline"]]
        for one in (*own, pipeline):
            del one["integers"]
    return (target.mcpu, cores, target.caches, target.memory, pipeline)


@functools.cache
def code(folder: Path = HERE) -> str:
    """A hash, 8 digits of it, of all code that a cost depends on; files may be named and cut as one likes."""
    start, sources = folder / PRICES.relative_to(HERE), folder.rglob("*.[ch]")
    return code_hash(start, sources, folder=folder, package=__package__)[:8]
