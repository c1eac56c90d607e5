# SPDX-License-Identifier: Apache-2.0
"""Which core model this is: a name that changes whenever the model or what it knows of a device does.

Takes a `Target`; gives the name that goes into logs, and says why a target cannot be simulated. Imports
nothing heavy.
"""

import functools
import hashlib
from pathlib import Path

import msgspec

from mnc.compile.simulator.code_hash import code_hash
from mnc.targets import Target, pipeline_of

VERSION = 1
HERE = Path(__file__).resolve().parent
PRICES = HERE / "simulate.py"  # with all that it imports of this package, and the C sources
ARCHITECTURES = ("aarch64", "arm", "x86_64")  # that there are decoders for
# Names under which logs already have this model: by `code()`, its first 8 digits in those logs. Code that was
# only put differently may be added, if tests/compile/simulator/test_recorded_costs.py passes unchanged;
# code that gives other costs is another model, whose name is its hash.
NAMES = {"42dd8003": "8a13b24a"}


def identity(target: Target) -> str:
    """Such as "v1-0123abcd cortex-a72-4567cdef": the simulator, and all that `target` says of its cores."""
    told = (target.mcpu, target.cores, target.caches, target.memory, pipeline_of(target.fast))
    said = msgspec.json.encode(told)
    device = hashlib.sha256(said).hexdigest()[:8]
    return f"v{VERSION}-{fingerprint()} {target.fast.cpu}-{device}"


def why_not(target: Target) -> str | None:
    """Why `target` cannot be simulated, None where it can."""
    if target.arch not in ARCHITECTURES:
        return f"the simulator has no decoder for {target.arch}"
    return None


def fingerprint() -> str:
    """The model's name in logs: 8 hexadecimal digits."""
    return NAMES.get(code(), code())


@functools.cache
def code(folder: Path = HERE) -> str:
    """A hash, 8 digits of it, of all code that a cost depends on; files may be named and cut as one likes."""
    start, sources = folder / PRICES.relative_to(HERE), folder.rglob("*.[ch]")
    return code_hash(start, sources, folder=folder, package=__package__)[:8]
