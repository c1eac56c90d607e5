# SPDX-License-Identifier: Apache-2.0
"""The artifact: a folder with all that is needed to run a compiled network and to trust it.

`save` writes library, manifest, golden inputs and outputs, and labels; `load` checks every file's
hash before anything else is done with it. The hashes show damage and mix-ups; who wrote the folder
they cannot show, and running it runs its native code: only run artifacts from people you trust.
"""

import io
import math
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from mnc.compile.artifact import manifest as manifests
from mnc.compile.artifact.manifest import (
    GOLDEN,
    LABELS,
    LIBRARY,
    MANIFEST,
    Comparison,
    FileInfo,
    Manifest,
    Tensor,
)
from mnc.support import error_text, files
from mnc.support.errors import UserError
from mnc.support.files import folder_atomic, sha256

LARGEST_MANIFEST = 16 * 2**20  # bytes
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Golden:
    """What the network gave in PyTorch: `inputs` and `outputs` hold one array for each tensor of the
    signature, with one more axis in front, over the examples.
    """

    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]

    @property
    def count(self) -> int:
        """How many examples there are."""
        return int(self.inputs[0].shape[0])


@dataclass(frozen=True)
class Artifact:
    """A checked folder."""

    folder: Path
    manifest: Manifest
    labels: tuple[str, ...]

    @property
    def library(self) -> Path:
        """The shared library."""
        return self.folder / LIBRARY

    def golden(self) -> Golden:
        """The golden inputs and outputs, read when asked for; UserError when they do not fit."""
        return _read_golden(self.folder / GOLDEN, self.manifest)


def save(
    folder: Path,
    manifest: Manifest,
    *,
    library: Callable[[Path], Any],
    golden: Golden,
    labels: Sequence[str] = (),
) -> Artifact:
    """Write an artifact at `folder`, whole or not at all; what was there is replaced, if it was one.

    `library` is called with the path to write the shared library to. `manifest.files` is filled in.
    UserError when `folder` holds something else, or cannot be written.
    """
    check_replaceable(folder)
    _check_labels(labels, manifest)
    _check_golden(golden, manifest)
    with folder_atomic(folder) as scratch:
        library(scratch / LIBRARY)
        (scratch / GOLDEN).write_bytes(_golden_bytes(golden))
        (scratch / LABELS).write_bytes("".join(f"{label}\n" for label in labels).encode())
        files = {path.name: _info(path) for path in sorted(scratch.iterdir())}
        manifest = msgspec.structs.replace(manifest, files=files)
        encoded = manifests.encode(manifest)
        manifests.decode(encoded, where=str(folder))  # what we write, we can read
        (scratch / MANIFEST).write_bytes(encoded)
    return Artifact(folder=folder, manifest=manifest, labels=tuple(labels))


def record(artifact: Artifact, comparison: Comparison) -> Artifact:
    """The artifact with how it compared written into its manifest."""
    manifest = msgspec.structs.replace(artifact.manifest, comparison=comparison)
    files.write_atomic(artifact.folder / MANIFEST, manifests.encode(manifest))
    return replace(artifact, manifest=manifest)


def attach(artifact: Artifact, name: str, file: Path) -> Artifact:
    """The artifact with a copy of `file` in its folder as `name`, and in its manifest."""
    files.write_atomic(artifact.folder / name, file.read_bytes())
    listed = {**artifact.manifest.files, name: _info(artifact.folder / name)}
    manifest = msgspec.structs.replace(artifact.manifest, files=listed)
    files.write_atomic(artifact.folder / MANIFEST, manifests.encode(manifest))
    return replace(artifact, manifest=manifest)


def check_passed(artifact: Artifact) -> None:
    """UserError for an artifact whose outputs were not PyTorch's when it was built."""
    comparison = artifact.manifest.comparison
    if comparison is not None and not comparison.passed:
        raise UserError(
            f"{artifact.folder} is not to be used: its comparison with PyTorch {comparison}; build it again "
            "when that is mended, or take it as it is with --allow-failed (in Python allow_failed=True)"
        )


def load(folder: Path) -> Artifact:
    """The artifact at `folder`, each file's size and hash checked, no native code loaded yet.

    UserError for a folder that is none, a damaged, altered or missing file, or a manifest of another
    format.
    """
    where = str(folder)
    file = folder / MANIFEST
    if not folder.is_dir() or not file.is_file():
        raise UserError(f"no artifact at {where}; build one with `mnc build`, or check the path")
    manifest = manifests.decode(_read_small(file, LARGEST_MANIFEST), where=where)
    for name in (LIBRARY, GOLDEN, LABELS):
        if name not in manifest.files:
            raise UserError(f"{where}: its manifest lists no {name}; build it again")
    for name, info in manifest.files.items():
        _check_file(folder, name, info)
    return Artifact(folder=folder, manifest=manifest, labels=_read_labels(folder, manifest))


def check_replaceable(folder: Path) -> None:
    """UserError unless `folder` is absent, empty or an artifact: a build must not remove the rest."""
    files.check_replaceable(folder, marker=MANIFEST, kind="artifact")


def _info(path: Path) -> FileInfo:
    return FileInfo(sha256=sha256(path), size=path.stat().st_size)


def _check_file(folder: Path, name: str, info: FileInfo) -> None:
    path = folder / name
    again = "build it again, or fetch it anew from where it came"
    try:
        if path.is_symlink() or not path.is_file():
            raise UserError(f"{folder}: {name} is missing or no plain file; {again}")
        if path.stat().st_size != info.size or sha256(path) != info.sha256:
            raise UserError(f"{folder}: {name} is not the file it was built with; {again}")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check its permissions") from None


def _read_small(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check its permissions") from None
    if len(data) > limit:
        raise UserError(f"{path} is far too large to be a manifest; build the artifact again")
    return data


def _read_labels(folder: Path, manifest: Manifest) -> tuple[str, ...]:
    try:
        text = (folder / LABELS).read_bytes().decode()
    except ValueError:
        raise UserError(f"{folder}: {LABELS} is not UTF-8 text; build it again") from None
    labels = tuple(text.split("\n")[:-1])
    try:
        _check_labels(labels, manifest)
    except ValueError as error:
        raise UserError(f"{folder}: {LABELS} has {error}; build it again") from None
    return labels


def _check_labels(labels: Sequence[str], manifest: Manifest) -> None:
    """ValueError unless there is one line a class, or nothing."""
    if labels and len(labels) != manifest.outputs[0].shape[-1]:
        raise ValueError(f"{len(labels)} labels for {manifest.outputs[0].shape[-1]} classes")
    if any("\n" in label for label in labels):
        raise ValueError("a label holds a line break")


def _named(manifest: Manifest) -> dict[str, Tensor]:
    """The array's name in the file, for each tensor."""
    inputs = {f"input_{i}": tensor for i, tensor in enumerate(manifest.inputs)}
    outputs = {f"output_{i}": tensor for i, tensor in enumerate(manifest.outputs)}
    return inputs | outputs


def _golden_bytes(golden: Golden) -> bytes:
    arrays: dict[str, Any] = {f"input_{i}": array for i, array in enumerate(golden.inputs)}
    arrays |= {f"output_{i}": array for i, array in enumerate(golden.outputs)}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _check_golden(golden: Golden, manifest: Manifest) -> None:
    """ValueError unless every array is its tensor's shape and type after an axis of examples."""
    arrays = (*golden.inputs, *golden.outputs)
    tensors = (*manifest.inputs, *manifest.outputs)
    if len(golden.inputs) != len(manifest.inputs) or len(arrays) != len(tensors):
        raise ValueError("golden arrays do not match the signature")
    for array, tensor in zip(arrays, tensors, strict=True):
        if array.shape != (golden.count, *tensor.shape) or array.dtype != tensor.dtype:
            found = f"{array.dtype}{list(array.shape)}"
            raise ValueError(f"golden array of {tensor.name} is {found}")


def _read_golden(path: Path, manifest: Manifest) -> Golden:
    try:
        _check_members(path, manifest)
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in _named(manifest)}
        inputs = tuple(array for name, array in arrays.items() if name.startswith("input"))
        golden = Golden(inputs=inputs, outputs=tuple(arrays.values())[len(inputs) :])
        _check_golden(golden, manifest)
    except Exception as error:  # zipfile and numpy raise nearly anything for a crafted file
        reason = error_text.of_exception(error)
        raise UserError(f"{path} is damaged ({reason}); build the artifact again") from None
    return golden


def _check_members(path: Path, manifest: Manifest) -> None:
    """ValueError when unpacking would give more than was stored, or other arrays than wanted."""
    wanted = _named(manifest)
    with zipfile.ZipFile(path) as file:
        members = {member.filename.removesuffix(".npy"): member for member in file.infolist()}
    if set(members) != set(wanted):
        raise ValueError("its arrays are not those of the signature")
    for name, member in members.items():
        one = math.prod(wanted[name].shape) * np.dtype(wanted[name].dtype).itemsize
        if member.compress_type != zipfile.ZIP_STORED or member.file_size < one:
            raise ValueError(f"array {name} is not stored plainly")
