# SPDX-License-Identifier: Apache-2.0
"""Which core model this is: a name that changes whenever the model or what it knows of a device does.

Takes a `Target`; gives the name that goes into logs, and says why a target cannot be simulated. Imports
nothing heavy.
"""

import ast
import functools
import hashlib
import re
from pathlib import Path

import msgspec

from targets import Target, pipeline_of

VERSION = 1
HERE = Path(__file__).parent
# No cost depends on these. Of the others, and of the C sources, all but the comments counts.
APART = ("__init__", "explain", "identity", "listing", "network")
C_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
ARCHITECTURES = {"aarch64": "aarch64", "arm": "arm", "x86_64": "x86"}  # and their decoders


def identity(target: Target) -> str:
    """Such as "v1-0123abcd cortex-a72-4567cdef": the simulator, and all that `target` says of its cores."""
    told = (target.mcpu, target.cores, target.caches, target.memory, pipeline_of(target.fast))
    said = msgspec.json.encode(told)
    device = hashlib.sha256(said).hexdigest()[:8]
    return f"v{VERSION}-{fingerprint()} {target.fast.cpu}-{device}"


def why_not(target: Target) -> str | None:
    """Why `target` cannot be simulated, None where it can."""
    decoder = ARCHITECTURES.get(target.arch)
    if decoder is None or not (HERE / f"{decoder}.py").exists():
        return f"the simulator has no decoder for {target.arch}"
    if target.fast.clock_ghz is None and target.arch != "x86_64":
        return f"its target file says no clock_ghz for {target.fast.cpu}"
    return None


@functools.cache
def fingerprint() -> str:
    """A hash of the simulator's code; comments and spacing are not in it."""
    digest = hashlib.sha256()
    for path in sorted(HERE.glob("*.[ch]")):
        digest.update(" ".join(C_COMMENT.sub(" ", path.read_text("utf-8")).split()).encode())
    for path in sorted(HERE.glob("*.py")):
        if path.stem not in APART:
            digest.update(ast.dump(ast.parse(path.read_text("utf-8"))).encode())
    return digest.hexdigest()[:8]
