# SPDX-License-Identifier: Apache-2.0
"""From an artifact to a freestanding C library, compared with PyTorch's outputs where it runs here."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mnc.compile.api.named import as_target, open_artifact
from mnc.compile.export.numbers import InputType, Numbers, OutputType
from mnc.compile.toolchain.stored_weights import WeightStorage
from mnc.support.errors import UserError
from mnc.support.progress import working

if TYPE_CHECKING:
    from mnc.compile.api.named import AnyArtifact, AnyTarget
    from mnc.compile.export.exporter import Exported
    from mnc.compile.runtime.verify import Check


@dataclass(frozen=True)
class ExportResult:
    """The library, and how its outputs compare; without `check`, `note` says why it was not run here."""

    library: "Exported"
    check: "Check | None"
    note: str


def export(
    artifact: "AnyArtifact",
    out: Path | None = None,
    *,
    prefix: str = "mnc",
    cc: str | None = None,
    inputs: InputType = "float32",
    outputs: OutputType = "float32",
    weight_storage: WeightStorage | None = None,
    target: "AnyTarget | None" = None,
    allow_failed: bool = False,
) -> ExportResult:
    """Write a C library of `artifact` that needs no TVM to the folder `out` (None: the artifact's, with
    -export after it), whole or not at all.

    Its functions take `inputs` and give `outputs`: float32 as the network's own, uint8 pixels as they are in
    a picture, int8 numbers of a network in 8-bit integers. `weight_storage` "fp16" keeps weights of
    float32 in half precision in the file (None: as the artifact does). Every C name begins with `prefix`.
    `cc` is the C compiler to use, `target` the artifact's where that has a file of its own. What failed its
    comparison with PyTorch is refused, unless `allow_failed`: an artifact when it was built, a library here,
    of which nothing is left.
    """
    from mnc.compile.export import exporter
    from mnc.compile.runtime.library_check import verify_here

    checked = open_artifact(artifact, allow_failed=allow_failed)
    cpu = as_target(target or checked.manifest.target.name)
    folder = out or checked.folder.with_name(f"{checked.folder.name}-export")
    storage = weight_storage or checked.manifest.weight_storage
    check, note = None, ""

    def judge(shared: Path) -> None:
        nonlocal check, note
        check, note = verify_here(checked, shared, prefix=prefix, weight_storage=storage)
        if check is not None and not check.ok and not allow_failed:
            raise UserError(
                f"the library's outputs are off by {check.max_relative:.1e} of the largest, more than"
                f" {check.tolerance:.0e}, so {folder} was not written; build the artifact again, or"
                " --allow-failed"
            )

    with working(f"linking {checked.manifest.network.name} into a C library"):
        made = exporter.export(
            checked,
            folder,
            target=cpu,
            prefix=prefix,
            cc=cc,
            numbers=Numbers(inputs, outputs),
            weight_storage=storage,
            judge=judge,
        )
    return ExportResult(made, check, note)
