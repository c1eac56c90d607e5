# SPDX-License-Identifier: Apache-2.0
"""From a model's name, factory or file to a `Model`: the module and all that belongs to it.

Takes a spec such as ``mobilenet_v1_1.0_224``, ``package.module:function``, ``net.pt``, ``net.pt2``;
gives the module in eval mode with float32 weights, its input shape, preprocessing and labels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from mnc.model import foreign, initialise, network_files, weights
from mnc.model.families import FAMILIES, NOTHING, Contents, Family, Pixels
from mnc.model.half_precision.report import Report as HalfReport
from mnc.model.inputs import ONLY, Input, InputShapes, shapes_of
from mnc.model.mobilenet_v1 import small_28x28
from mnc.model.names import (
    RESOLUTIONS,
    ROUNDED,
    SMALL,
    WIDTHS,
    Precision,
    Sized,
    names,
    parse,
)
from mnc.model.network_files import FileNetwork
from mnc.model.preprocess import Preprocess
from mnc.model.quantization import aware_training
from mnc.model.quantization.reference import exact_reference
from mnc.model.quantization.report import Report
from mnc.model.reference import Reference
from mnc.model.torch_run import torch_reference
from mnc.support.errors import UserError

__all__ = [
    "RESOLUTIONS",
    "SMALL",
    "WIDTHS",
    "Model",
    "checkpoint",
    "labels",
    "load",
    "names",
    "weights_hash",
]

DATA = Path(__file__).parent / "data"
UNIT = 1 / 127.5  # pixels 0..255 to -1..1
SMALL_PREPROCESS = Preprocess(
    size=28, resize=28, mean=(127.5,), scale=(UNIT,), crop="squash", channels="gray"
)


@dataclass(frozen=True)
class Model:
    """What is compiled. `network` takes a float32 tensor for each input: a module in eval mode, on the CPU,
    or a file of another framework.

    `name` is safe in file names. `input_shape` is (N, C, H, W), of the first input where there are
    `more_inputs`. `labels` may be empty; otherwise
    there is one for each class. `weights` says in words where the values come from, `weights_hash`
    (SHA-256) which values they are. `spec` is what `load` was given; "" for a model of another's making.
    """

    name: str
    network: nn.Module | FileNetwork
    input_shape: tuple[int, ...]
    preprocess: Preprocess | None
    labels: tuple[str, ...]
    weights: str
    weights_hash: str
    spec: str = ""
    input_name: str = ONLY
    more_inputs: tuple[Input, ...] = ()
    precision: Precision = "float32"
    quantization: Report | None = None  # what ours did, of a network that came in float32
    half: HalfReport | None = None  # of a network in half precision

    @property
    def inputs(self) -> tuple[Input, ...]:
        """All that `network` is called with, in order."""
        return (Input(self.input_name, self.input_shape), *self.more_inputs)

    @property
    def module(self) -> nn.Module:
        """The network in PyTorch. UserError for a file of another framework."""
        if isinstance(self.network, nn.Module):
            return self.network
        raise UserError(f"{self.spec} is no PyTorch network; give one for this")

    @property
    def runtime(self) -> str:
        """The name of what runs it where it comes from."""
        return "PyTorch" if isinstance(self.network, nn.Module) else self.network.runtime

    @property
    def layout(self) -> str:
        """The axes of its images."""
        return "NCHW" if isinstance(self.network, nn.Module) else self.network.layout

    def reference(self, *, threads: int | None = None) -> Reference:
        """What runs it where it comes from; a file's runtime on `threads`, PyTorch as it is set.
        MissingPackageError where that is not installed.
        """
        if self.precision == "int8":
            return exact_reference(self.module)
        if isinstance(self.network, nn.Module):
            return torch_reference(self.network)
        return self.network.reference(threads)


@dataclass(frozen=True)
class _Built:
    """A network before its batch size and hash are known."""

    name: str
    module: nn.Module
    image: tuple[int, ...]  # (C, H, W)
    preprocess: Preprocess | None
    labels: tuple[str, ...]
    weights: str


def load(
    spec: str,
    *,
    weights: Path | None = None,
    input_shape: InputShapes | None = None,
    batch: int = 1,
) -> Model:
    """The model that `spec` names, with its trained weights, or those of the file `weights`.

    MobileNet v1 1.0 has one trained set (at 224) and uses it at every resolution, as the network is
    fully convolutional; other widths get seeded random values unless `weights` is given.
    Loading ``package.module:function``, ``.pt`` and ``.pt2`` runs the code that they hold: only
    give ones you trust. These need `input_shape` (a .pt2 knows its own): of networks with several inputs
    their shapes, in order or by name. UserError for an unknown spec, weights that do not fit, or a shape the
    network does not take.
    """
    shapes = () if input_shape is None else shapes_of(input_shape)
    if batch < 1 or any(min(shape, default=0) < 1 for shape in shapes):
        raise UserError("batch and every part of the input shape must be at least 1")
    if network_files.is_file(spec):
        return _file(spec, file=weights, input_shape=input_shape, batch=batch)
    if foreign.is_foreign(spec):
        return _foreign(spec, file=weights, input_shape=input_shape, batch=batch)
    built = _builder(spec)(weights)
    shape = (batch, *built.image)
    if shapes:
        shape = (batch if batch != 1 else shapes[0][0], *built.image)
        if len(shapes) > 1 or shapes[0][1:] != built.image:
            given = " and ".join(_text(one[1:]) for one in shapes)
            raise UserError(
                f"{built.name} takes images of {_text(built.image)}, not {given};"
                " name another resolution, as in mobilenet_v1_1.0_192"
            )
    return Model(
        name=built.name,
        network=built.module.eval(),
        input_shape=shape,
        preprocess=built.preprocess,
        labels=built.labels,
        weights=built.weights,
        weights_hash=weights_hash(built.module),
        spec=spec,
    )


def weights_hash(module: nn.Module) -> str:
    """SHA-256 of the module's state; see `model.weights.weights_hash`."""
    return weights.weights_hash(module)


def labels(dataset: str) -> tuple[str, ...]:
    """Class names in index order: ``imagenet`` (1000), ``fashion_mnist`` or ``mnist`` (10)."""
    return tuple((DATA / f"{dataset}_labels.txt").read_text(encoding="utf-8").splitlines())


def checkpoint(name: str) -> Path:
    """The committed checkpoint of one of the 28x28 networks, as ``mobilenet_v1_28``."""
    rounded = "_qat" if name in ROUNDED else ""
    return DATA / f"mobilenet_v1_28_{SMALL[name]}{rounded}.safetensors"


def _builder(spec: str) -> Callable[[Path | None], _Built]:
    if spec in SMALL:
        return lambda path: _small(spec, path)
    one = parse(spec)
    if one is None:
        raise UserError(
            f"unknown model {spec!r}; one of {', '.join(names())}, another width or resolution of"
            " these, package.module:function, or a .pt, .pt2, .onnx or .tflite file"
        )
    if not (0.05 <= one.width <= 4 and 32 <= one.resolution <= 1024):
        raise UserError(f"{spec}: the width must be 0.05 to 4 and the resolution 32 to 1024")
    return lambda path: _sized(one, path)


def _sized(one: Sized, path: Path | None) -> _Built:
    family = FAMILIES[one.family]
    trained = family.trained if one.width == 1.0 else None
    file = path or (trained.fetch() if trained else None)
    aliases, found = _contents(family, file)
    classes = found.extent(family.classifier, axis=0, otherwise=1000)
    module = family.make(one, classes, found)
    channels = found.extent("stem.conv.weight", axis=1, otherwise=3)
    image = (channels, one.resolution, one.resolution)
    origin = _fill(module, file, (1, *image), aliases=aliases)
    return _Built(
        name=one.name,
        module=module,
        image=image,
        preprocess=_imagenet(one.resolution, family.pixels(found)) if channels == 3 else None,
        labels=_imagenet_labels(classes) if family.classifier in found.state else (),
        weights=origin if path or trained is None else trained.origin,
    )


def _contents(family: Family, file: Path | None) -> tuple[dict[str, str], Contents]:
    """(the network's names of the file's tensors, what the file holds)."""
    if file is None:
        return {}, NOTHING
    state = weights.read_state(file)
    aliases = family.aliases(state)
    renamed = {aliases.get(name, name): tensor for name, tensor in state.items()}
    return aliases, Contents(renamed, weights.metadata(file), frozenset(state))


def _small(name: str, path: Path | None) -> _Built:
    dataset = SMALL[name]
    file = path or checkpoint(name)
    notes = weights.metadata(file)
    # The last map has 1024 channels times the width, which tells the checkpoint's width.
    found = Contents(weights.read_state(file), notes, frozenset())
    features = found.extent("classifier.weight", axis=1, otherwise=256)
    module: nn.Module = small_28x28(width=found.number("width", features / 1024))
    shape = (1, 1, 28, 28)
    if name in ROUNDED:
        module = aware_training.prepared(module, shape)
    origin = _fill(module, file, shape)
    result = f", test accuracy {notes['test_accuracy']}" if "test_accuracy" in notes else ""
    return _Built(
        name=name,
        module=module,
        image=(1, 28, 28),
        preprocess=SMALL_PREPROCESS,
        labels=labels(dataset),
        weights=origin if path else f"trained on {dataset} (model/data{result})",
    )


def _foreign(spec: str, *, file: Path | None, input_shape: InputShapes | None, batch: int) -> Model:
    module, (first, *others) = foreign.load(spec, input_shape=input_shape, batch=batch)
    origin = f"as {spec} gives them"
    if file is not None:
        origin = weights.load_weights(module, file).words
    return Model(
        name=foreign.safe_name(spec),
        network=module,
        input_shape=first.shape,
        preprocess=None,
        labels=(),
        weights=origin,
        weights_hash=weights_hash(module),
        spec=spec,
        input_name=first.name,
        more_inputs=tuple(others),
    )


def _file(spec: str, *, file: Path | None, input_shape: InputShapes | None, batch: int) -> Model:
    """The network in a file of another framework."""
    if file is not None:
        raise UserError(f"{spec} holds its own weights: leave out --weights")
    network = network_files.read(Path(spec), input_shape=input_shape, batch=batch)
    first, *others = network.inputs
    return Model(
        name=foreign.safe_name(spec),
        network=network,
        input_shape=first.shape,
        preprocess=None,
        labels=(),
        weights=f"as {spec} gives them",
        weights_hash=network.content_hash,
        spec=spec,
        input_name=first.name,
        more_inputs=tuple(others),
    )


def _fill(
    module: nn.Module,
    file: Path | None,
    shape: tuple[int, ...],
    *,
    aliases: Mapping[str, str] | None = None,
) -> str:
    """Fill a network of ours from `file`; what the file lacks, all without one, with seeded values."""
    loaded = None if file is None else weights.load_weights(module, file, aliases=aliases)
    if loaded is None or loaded.lacks:
        initialise.randomise(module, shape)
    if file is None or loaded is None:
        return "random (seed 0)"
    if loaded.lacks:
        weights.load_weights(module, file, aliases=aliases)
    return loaded.words


def _imagenet(size: int, pixels: Pixels) -> Preprocess:
    # 224 of 256, the 87.5% centre crop that all these trainings were evaluated with.
    return Preprocess(
        size=size, resize=round(size * 256 / 224), mean=pixels.mean, scale=pixels.scale
    )


def _imagenet_labels(classes: int) -> tuple[str, ...]:
    known = labels("imagenet")
    return {1000: known, 1001: ("background", *known)}.get(classes, ())


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(str(part) for part in shape)
