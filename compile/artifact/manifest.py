# SPDX-License-Identifier: Apache-2.0
"""What an artifact says of itself: `manifest.json`, strict in both directions.

Takes the bytes of a manifest and gives a `Manifest`, or the other way round. Reading one never runs
anything, and a name in it can only be that of a file in the artifact's own folder.
"""

import math
from typing import Annotated, Any, Literal

import msgspec

from mnc.compile.artifact.provenance import Source, Versions
from mnc.compile.records.trial import SIMULATED
from mnc.compile.toolchain.stored_weights import WeightStorage
from mnc.model.names import Precision
from mnc.model.preprocess import Preprocess
from mnc.support import error_text
from mnc.support.errors import UserError

FORMAT = 1
MANIFEST, LIBRARY, GOLDEN, LABELS = "manifest.json", "library.so", "golden.npz", "labels.txt"
FREESTANDING = "freestanding.so"  # the network without TVM; not in every artifact
LARGEST_TENSOR = 2**31  # elements

Text = Annotated[str, msgspec.Meta(max_length=2000)]
Name = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_][A-Za-z0-9_.+-]*\Z", max_length=200)]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Size = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
Dimension = Annotated[int, msgspec.Meta(ge=1, le=LARGEST_TENSOR)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]
DType = Literal["float32", "float16", "int8", "uint8", "int32", "int64"]


class Grid(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Values in 8 bits: q stands for (q - zero_point) * scale, `scale` a float32. q is 0 to 255, as int8 -128
    to 127.
    """

    scale: Annotated[float, msgspec.Meta(gt=0)]
    zero_point: Annotated[int, msgspec.Meta(ge=-128, le=255)]


class Tensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One input or output. `layout` names the axes, as in "NCHW". `grid` is the one that a network in 8-bit
    integers puts an input on first, and for its outputs one that they fit on.
    """

    name: Text
    shape: Annotated[tuple[Dimension, ...], msgspec.Meta(min_length=1, max_length=8)]
    dtype: DType = "float32"
    layout: Text
    grid: Grid | None = None

    def __post_init__(self) -> None:
        """ValueError for a tensor of more than `LARGEST_TENSOR` elements."""
        if math.prod(self.shape) > LARGEST_TENSOR:
            raise ValueError(f"tensor {self.name} is too large")


class Network(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the network came from. `spec` is what `model.zoo.load` takes to build it again."""

    name: Name
    spec: Text
    weights: Text
    weights_hash: Sha256


class Platform(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the library runs on: `arch` and LLVM's names of the CPU `features` its code may use."""

    name: Name
    description: Text
    tvm_target: Text
    arch: Literal["x86_64", "aarch64", "arm"]
    features: tuple[Name, ...]


class KernelEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A tunable task of the network, and the record (of the log at `log`) that it was built with.

    `macs` are multiply-adds of one call, `calls` how often the network calls it. When `tuned` is
    false the kernel has the template's default config. `config` is `Config.as_json`'s, `cost` is
    seconds a call, as measured.
    """

    key: Text
    kind: Text
    shape: Text
    macs: Size
    calls: Size
    tuned: bool
    config: dict[str, Any] | None = None
    cost: Seconds | None = None
    measurer: Text | None = None
    log: Text | None = None

    @property
    def simulated(self) -> bool:
        """Whether its cost is a core model's, no device's."""
        return self.measurer is not None and self.measurer.startswith(SIMULATED)


class Comparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the outputs compared with PyTorch's when the artifact was built.

    `on` is what ran: the artifact, on the "device" that it is for, or its program, compiled for the "host",
    the machine that built it. `max_relative` is `runtime.verify.Check`'s; None where outputs were no numbers,
    or could not be had at all, for a `reason`.
    """

    on: Literal["device", "host"]
    passed: bool
    max_relative: float | None = None
    reason: Text = ""

    def __str__(self) -> str:
        """For people: what came of it, where it ran, and by how much it was off."""
        where = (
            "on its device" if self.on == "device" else "on the CPU of the machine that built it"
        )
        if self.max_relative is None:
            how = self.reason or "outputs, its own or PyTorch's, are no numbers"
        else:
            how = f"off by {self.max_relative:.1e} of the largest output"
        return f"{'passed' if self.passed else 'failed'} {where}: {how}"


class FileInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a file of the artifact must be."""

    sha256: Sha256
    size: Size


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of `manifest.json`. `created` is ISO 8601, UTC. `fell_back` are keys of untuned kernels.

    `workspace_bytes` is the peak of what the network allocates besides weights, inputs and outputs;
    None when it is not known. `weight_storage` is how the file has the weights of a network in float32.
    `rounds`: of a network in integers, some of it is in float32, where CPUs may differ in the last bit.
    `golden` says what the golden inputs are, `family` and `family_reason` which kernels the network is made
    of and why. `comparison` is None where nothing was compared. `files` holds every file but the manifest;
    `save` fills it in.
    """

    format: int = FORMAT
    network: Network
    target: Platform
    versions: Versions
    dtype: Precision = "float32"
    weight_storage: WeightStorage = "float32"
    rounds: bool = False
    inputs: Annotated[tuple[Tensor, ...], msgspec.Meta(min_length=1, max_length=16)]
    outputs: Annotated[tuple[Tensor, ...], msgspec.Meta(min_length=1, max_length=16)]
    preprocess: Preprocess | None = None
    kernels: tuple[KernelEntry, ...] = ()
    fell_back: tuple[Text, ...] = ()
    workspace_bytes: Size | None = None
    golden: Text = ""
    family: Text = "blocked"
    family_reason: Text = ""
    comparison: Comparison | None = None
    source: Source
    created: Text
    files: dict[Name, FileInfo] = {}


class _Format(msgspec.Struct):
    format: int


def encode(manifest: Manifest) -> bytes:
    """The manifest as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def decode(data: bytes, *, where: str) -> Manifest:
    """The manifest in `data`; UserError, naming `where` it was, when it is none or not of ours."""
    again = "build it again with `mnc build`"
    try:
        made = msgspec.json.decode(data, type=_Format).format
        if made != FORMAT:
            raise UserError(
                f"{where} has manifest format {made}, this mnc reads {FORMAT}: use the mnc that made"
                f" it, or {again}"
            )
        return msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        reason = error_text.of_exception(error)
        raise UserError(f"{where} has a damaged {MANIFEST} ({reason}); {again}") from None
