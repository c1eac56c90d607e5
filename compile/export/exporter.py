# SPDX-License-Identifier: Apache-2.0
"""From an artifact to a folder an app links against: PREFIX.h, libPREFIX.so, libPREFIX.a; or to the shared
library alone.

Takes an `Artifact`; gives an `Exported`. Nothing of the artifact is loaded or run for it: kernels, graph
and weights are read, checked, and linked with a runtime of ours.
"""

import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from mnc.compile.artifact.manifest import LIBRARY
from mnc.compile.artifact.store import Artifact
from mnc.compile.export import (
    elf_check,
    graph_check,
    header,
    memory_plan,
    objects,
    source,
    toolchain,
    weights,
)
from mnc.compile.export.intakes import intakes
from mnc.compile.export.numbers import FLOATS, Numbers, input_ports, output_ports
from mnc.compile.export.source import Contents
from mnc.compile.toolchain import graph
from mnc.compile.toolchain.stored_weights import WeightStorage
from mnc.support.errors import UserError
from mnc.support.files import check_replaceable, folder_atomic, sha256
from mnc.targets import Target

PREFIX = re.compile(r"\A[a-z][a-z0-9_]{0,39}\Z")
RECORD = "export.json"
# What the runtime gives to kernels; a kernel that asks for more cannot be exported.
PROVIDED = frozenset(
    "__TVMBackendParallelLaunch __TVMBackendAllocWorkspace __TVMBackendFreeWorkspace "
    "__TVMAPISetLastError".split()
)


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`export.json`: what the folder was made from, and its files' SHA-256."""

    prefix: str
    network: str
    target: str
    manifest_sha256: str
    files: dict[str, str]


@dataclass(frozen=True)
class Exported:
    """The folder and its files; sizes in bytes. `peak_bytes` is of one instance with one thread,
    `thread_bytes` what each further one adds; neither counts the weights.
    """

    folder: Path
    prefix: str
    header: Path
    shared: Path
    static: Path
    weight_bytes: int
    arena_bytes: int
    peak_bytes: int
    thread_bytes: int
    needed: tuple[str, ...]


def export(
    artifact: Artifact,
    folder: Path,
    *,
    target: Target,
    prefix: str = "mnc",
    cc: str | None = None,
    numbers: Numbers = FLOATS,
    weight_storage: WeightStorage | None = None,
    judge: Callable[[Path], None] | None = None,
) -> Exported:
    """Write the freestanding library of `artifact` to `folder`, whole or not at all.

    `target` is what the artifact was built for, or another that its code runs on: it says which system to
    link for. `prefix` begins every public name; two libraries in one program need different ones. `cc` names
    a C compiler for the target (None: ziglang's). `numbers` are what its functions take and give,
    `weight_storage` is how the file has its weights (None: as the artifact). `judge` is
    given the shared library before it is in `folder`, and nothing comes there when it raises. UserError when
    the artifact has no kernels to link, they need more than there is, or nothing says what the numbers mean.
    """
    if not PREFIX.match(prefix):
        raise UserError(
            f"prefix {prefix!r} is no C name in small letters; give one such as mobilenet"
        )
    check_replaceable(folder, marker=RECORD, kind="export")
    _check_target(artifact, target)
    storage = weight_storage or artifact.manifest.weight_storage
    contents = replace(_contents(artifact, prefix, numbers), weight_storage=storage)
    tools = toolchain.find(target, cc=cc)
    with folder_atomic(folder) as scratch:
        _write(artifact, contents, tools, scratch)
        shared = scratch / f"lib{prefix}.so"
        needed = elf_check.check(shared, target, prefix=prefix)
        if judge is not None:
            judge(shared)
        record = Record(
            prefix=prefix,
            network=artifact.manifest.network.name,
            target=artifact.manifest.target.name,
            manifest_sha256=sha256(artifact.folder / "manifest.json"),
            files={path.name: sha256(path) for path in sorted(scratch.iterdir())},
        )
        encoded = msgspec.json.format(msgspec.json.encode(record), indent=2)
        (scratch / RECORD).write_bytes(encoded + b"\n")
    return Exported(
        folder=folder,
        prefix=prefix,
        header=folder / f"{prefix}.h",
        shared=folder / f"lib{prefix}.so",
        static=folder / f"lib{prefix}.a",
        weight_bytes=contents.weight_offsets()[1],
        arena_bytes=contents.layout.size,
        peak_bytes=contents.peak_bytes(1),
        thread_bytes=contents.peak_bytes(2) - contents.peak_bytes(1),
        needed=needed,
    )


def link(artifact: Artifact, path: Path, *, target: Target, cc: str | None = None) -> None:
    """The shared library alone, its names beginning with mnc_, at `path`. As `export` otherwise."""
    contents = _contents(artifact, "mnc", FLOATS)
    tools = toolchain.find(target, cc=cc)
    with tempfile.TemporaryDirectory(prefix="mnc-link-") as name:
        tools.share(_objects(artifact, contents, tools, Path(name)), path)
    elf_check.check(path, target, prefix=contents.prefix)


def _contents(artifact: Artifact, prefix: str, numbers: Numbers) -> Contents:
    """All that is read of the artifact, checked against each other."""
    where = str(artifact.folder)
    for name in (graph.OBJECT, graph.GRAPH):
        if name not in artifact.manifest.files:
            raise UserError(
                f"{where} has no {name}, which export needs; build it again with this mnc"
            )
    arrays = weights.read(artifact.folder / LIBRARY)
    network = graph.load(artifact.folder, weights=arrays)
    scratch_bytes = graph_check.check(network, where=where)
    _check_ports(artifact, network)
    for name, entry in network.weights.items():
        tensor = network.tensors[entry]
        if arrays[name].shape != tensor.shape or arrays[name].dtype.name != tensor.dtype:
            raise UserError(f"{where}: weights {name} do not fit the graph; build it again")
    manifest, whole = artifact.manifest, network
    network, taken = intakes(whole, manifest, numbers)
    return Contents(
        prefix=prefix,
        manifest=artifact.manifest,
        graph=network,
        scratch_bytes=scratch_bytes,
        layout=memory_plan.plan(network),
        arrays=arrays,
        weight_storage=manifest.weight_storage,
        labels=artifact.labels,
        cores=_cores(artifact),
        numbers=numbers,
        intakes=tuple(taken),
        inputs=input_ports(manifest, numbers),
        outputs=output_ports(manifest, numbers),
        entries=tuple(whole.inputs[port.name] for port in manifest.inputs),
    )


def _check_ports(artifact: Artifact, network: graph.Graph) -> None:
    """The manifest's signature is the graph's, or a UserError."""
    manifest = artifact.manifest
    inputs = {port.name: port.shape for port in manifest.inputs}
    found = {name: network.tensors[entry].shape for name, entry in network.inputs.items()}
    outputs = [port.shape for port in manifest.outputs]
    if inputs != found or outputs != [network.tensors[entry].shape for entry in network.outputs]:
        raise UserError(
            f"{artifact.folder}: manifest and graph have other inputs or outputs; build it again"
        )


def _write(
    artifact: Artifact, contents: Contents, tools: toolchain.Toolchain, folder: Path
) -> None:
    """Header and libraries into `folder`."""
    prefix = contents.prefix
    with tempfile.TemporaryDirectory(prefix="mnc-export-") as name:
        work = Path(name)
        parts = _objects(artifact, contents, tools, work)
        shutil.copyfile(work / f"{prefix}.h", folder / f"{prefix}.h")
        tools.share(parts, folder / f"lib{prefix}.so")
        tools.archive(parts, folder / f"lib{prefix}.a")


def _objects(
    artifact: Artifact, contents: Contents, tools: toolchain.Toolchain, work: Path
) -> list[Path]:
    """The library's objects, and its header, in `work`."""
    return [
        _compile_network(contents, tools, work),
        _compile_weights(contents, tools, work),
        _private_kernels(artifact, contents, work),
    ]


def _compile_network(contents: Contents, tools: toolchain.Toolchain, work: Path) -> Path:
    (work / f"{contents.prefix}.h").write_text(header.header(contents))
    network = work / f"{contents.prefix}_network.c"
    network.write_text(source.tables(contents))
    target = network.with_suffix(".o")
    tools.compile(network, target, include=[work, source.RUNTIME])
    return target


def _compile_weights(contents: Contents, tools: toolchain.Toolchain, work: Path) -> Path:
    (work / "weights.bin").write_bytes(source.weights_bytes(contents))
    assembly = work / f"{contents.prefix}_weights.s"
    assembly.write_text(source.weights_assembly(contents.prefix))
    target = assembly.with_suffix(".o")
    tools.compile(assembly, target, include=[work])
    return target


def _private_kernels(artifact: Artifact, contents: Contents, work: Path) -> Path:
    data = (artifact.folder / graph.OBJECT).read_bytes()
    defined = objects.defined(data)
    wanted = {name for name in defined if name.startswith("__TVM")} - PROVIDED
    if wanted:
        raise UserError(
            f"{artifact.folder}: its kernels call {', '.join(sorted(wanted))}, which only TVM's runtime has;"
            " ship the artifact with that instead (docs/deploying.md)"
        )
    missing = {call.kernel for call in contents.graph.calls} - defined
    if missing:
        raise UserError(f"{artifact.folder}: {graph.OBJECT} lacks {min(missing)}; build it again")
    target = work / f"{contents.prefix}_kernels.o"
    target.write_bytes(objects.privatise(data, source.private(contents.prefix)))
    return target


def _check_target(artifact: Artifact, target: Target) -> None:
    arch = artifact.manifest.target.arch
    if target.arch != arch:
        raise UserError(
            f"{artifact.folder} is for {arch}, target {target.name} is {target.arch}; name the target it "
            f"was built for ({artifact.manifest.target.name})"
        )


def _cores(artifact: Artifact) -> int:
    """The fast cores of the device that the artifact was built for, by its TVM target string."""
    found = re.search(r" -num-cores=(\d{1,4})\b", artifact.manifest.target.tvm_target)
    return min(int(found.group(1)), source.MAX_THREADS) if found else 1
