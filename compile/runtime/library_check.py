# SPDX-License-Identifier: Apache-2.0
"""Does a freestanding library compute what PyTorch computes?

Takes the artifact that it was linked from, and its path; gives a `Check`.
"""

from pathlib import Path

from mnc.compile.artifact.store import Artifact
from mnc.compile.export import numbers as numbering
from mnc.compile.export.numbers import FLOATS
from mnc.compile.runtime.freestanding import Freestanding
from mnc.compile.runtime.session import Session, check_cpu
from mnc.compile.runtime.verify import EXACT, STORED, TOLERANCE, Check, compare, golden_check
from mnc.compile.toolchain.stored_weights import WeightStorage
from mnc.support.errors import UserError


def verify(
    artifact: Artifact, library: Freestanding, *, weight_storage: WeightStorage = "float32"
) -> Check:
    """Compare the library with what PyTorch gave for the artifact's golden inputs; where it takes, gives or
    computes in 8-bit numbers, with what the artifact itself gives for what they stand for, in every bit.
    """
    manifest, numbers = artifact.manifest, library.numbers
    exact = weight_storage == manifest.weight_storage
    if numbers == FLOATS and manifest.dtype != "int8":
        return golden_check(artifact, library.run, tolerance=None if exact else STORED)
    golden = artifact.golden()
    rows = [tuple(array[i] for array in golden.inputs) for i in range(golden.count)]
    given = [numbering.given(one, manifest, numbers) for one in rows]
    hosted = Session(artifact)
    outputs = [hosted.run(*numbering.meant(one, manifest, numbers)) for one in given]
    return compare(
        "the artifact",
        [numbering.returned(one, manifest, numbers) for one in outputs],
        [library.run(*one) for one in given],
        tolerance=EXACT if manifest.dtype == "int8" else (TOLERANCE if exact else STORED),
    )


def verify_here(
    artifact: Artifact, shared: Path, *, prefix: str, weight_storage: WeightStorage = "float32"
) -> tuple[Check | None, str]:
    """`verify` of the library in `shared`, or None and why it cannot run on this machine."""
    try:
        check_cpu(artifact.manifest.target)
    except UserError as error:
        return None, f"not run here: {error}"
    with Freestanding(shared, prefix=prefix) as library:
        return verify(artifact, library, weight_storage=weight_storage), ""
