# SPDX-License-Identifier: Apache-2.0
"""From a model's name, factory or file to a `Model`: the module and all that belongs to it.

Takes a spec such as ``mobilenet_v1_1.0_224``, ``package.module:function``, ``net.pt``, ``net.pt2``;
gives the module in eval mode with float32 weights, its input shape, preprocessing and labels.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from mnc.model import foreign, initialise, mobilenet_v2, weights
from mnc.model.mobilenet_v1 import MobileNetV1, small_28x28
from mnc.model.mobilenet_v2 import MobileNetV2
from mnc.model.names import RESOLUTIONS, SMALL, WIDTHS, names
from mnc.model.preprocess import Preprocess
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
MULTIPLIERS = re.compile(r"mobilenet_(v1|v2)_(\d+(?:\.\d+)?|\.\d+)_(\d+)")
UNIT = 1 / 127.5  # pixels 0..255 to -1..1
SMALL_PREPROCESS = Preprocess(
    size=28, resize=28, mean=(127.5,), scale=(UNIT,), crop="squash", channels="gray"
)
# torchvision's: the mean and standard deviation of ImageNet's pixels in 0..1.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Model:
    """What is compiled. `module` is in eval mode, float32, on the CPU, and takes one tensor.

    `name` is safe in file names. `input_shape` is (N, C, H, W). `labels` may be empty; otherwise
    there is one for each class. `weights` says in words where the values come from, `weights_hash`
    (SHA-256) which values they are. `spec` is what `load` was given; "" for a model of another's making.
    """

    name: str
    module: nn.Module
    input_shape: tuple[int, ...]
    preprocess: Preprocess | None
    labels: tuple[str, ...]
    weights: str
    weights_hash: str
    spec: str = ""


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
    input_shape: tuple[int, ...] | None = None,
    batch: int = 1,
) -> Model:
    """The model that `spec` names, with its trained weights, or those of the file `weights`.

    MobileNet v1 1.0 has one trained set (at 224) and uses it at every resolution, as the network is
    fully convolutional; other widths get seeded random values unless `weights` is given.
    Loading ``package.module:function``, ``.pt`` and ``.pt2`` runs the code that they hold: only
    give ones you trust. These need `input_shape` (a .pt2 knows its own). UserError for an unknown
    spec, weights that do not fit, or a shape the network does not take.
    """
    if batch < 1 or (input_shape is not None and min(input_shape, default=0) < 1):
        raise UserError("batch and every part of the input shape must be at least 1")
    if foreign.is_foreign(spec):
        return _foreign(spec, file=weights, input_shape=input_shape, batch=batch)
    built = _builder(spec)(weights)
    shape = (batch, *built.image)
    if input_shape is not None:
        shape = (batch if batch != 1 else input_shape[0], *built.image)
        if input_shape[1:] != built.image:
            raise UserError(
                f"{built.name} takes images of {_text(built.image)}, not {_text(input_shape[1:])};"
                " name another resolution, as in mobilenet_v1_1.0_192"
            )
    return Model(
        name=built.name,
        module=built.module.eval(),
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
    """The committed checkpoint of ``mobilenet_v1_28`` or ``mobilenet_v1_28_mnist``."""
    return DATA / f"mobilenet_v1_28_{SMALL[name]}.safetensors"


def _builder(spec: str) -> Callable[[Path | None], _Built]:
    spec = {"mobilenet_v2": "mobilenet_v2_1.0_224", "mobilenet_v1": "mobilenet_v1_1.0_224"}.get(
        spec, spec
    )
    if spec in SMALL:
        return lambda path: _small(spec, path)
    match = MULTIPLIERS.fullmatch(spec)
    if match is None:
        raise UserError(
            f"unknown model {spec!r}; one of {', '.join(names())}, another width or resolution of"
            " these, package.module:function, or a .pt or .pt2 file"
        )
    version, width, size = match[1], float(match[2]), int(match[3])
    if not (0.05 <= width <= 4 and 32 <= size <= 1024):
        raise UserError(f"{spec}: the width must be 0.05 to 4 and the resolution 32 to 1024")
    name = f"mobilenet_{version}_{width}_{size}"
    build = _v1 if version == "v1" else _v2
    return lambda path: build(name, width, size, path)


def _v1(name: str, width: float, size: int, path: Path | None) -> _Built:
    trained = width == 1.0
    file = path or (weights.imagenet_v1() if trained else None)
    state = weights.read_state(file) if file else {}
    classes = _extent(state, "classifier.weight", axis=0, otherwise=1000)
    channels = _extent(state, "stem.conv.weight", axis=1, otherwise=3)
    notes = weights.metadata(file) if file else {}
    module = MobileNetV1(
        width=width,
        resolution=size,
        classes=classes,
        in_channels=channels,
        activation="relu" if notes.get("activation") == "relu" else "relu6",
        padding="torch" if notes.get("padding") == "torch" else "same",
        bn_eps=_number(notes, "bn_eps", 1e-3),
    )
    origin = _fill(module, file, (1, channels, size, size))
    return _Built(
        name=name,
        module=module,
        image=(channels, size, size),
        preprocess=_imagenet(size, (127.5,) * 3, (UNIT,) * 3) if channels == 3 else None,
        labels=_imagenet_labels(classes) if "classifier.weight" in state else (),
        weights=origin if path or not trained else weights.V1_ORIGIN,
    )


def _v2(name: str, width: float, size: int, path: Path | None) -> _Built:
    trained = width == 1.0
    file = path or (weights.imagenet_v2() if trained else None)
    state = weights.read_state(file) if file else {}
    classes = _extent(state, "classifier.1.weight", axis=0, otherwise=1000)
    module = MobileNetV2(width=width, classes=classes)
    origin = _fill(module, file, (1, 3, size, size), aliases=mobilenet_v2.aliases(state))
    mean = tuple(255 * value for value in IMAGENET_MEAN)
    scale = tuple(1 / (255 * value) for value in IMAGENET_STD)
    return _Built(
        name=name,
        module=module,
        image=(3, size, size),
        preprocess=_imagenet(size, mean, scale),
        labels=_imagenet_labels(classes) if "classifier.1.weight" in state else (),
        weights=origin if path or not trained else weights.V2_ORIGIN,
    )


def _small(name: str, path: Path | None) -> _Built:
    dataset = SMALL[name]
    file = path or checkpoint(name)
    notes = weights.metadata(file)
    # The last map has 1024 channels times the width, which tells the checkpoint's width.
    features = _extent(weights.read_state(file), "classifier.weight", axis=1, otherwise=256)
    module = small_28x28(width=_number(notes, "width", features / 1024))
    origin = _fill(module, file, (1, 1, 28, 28))
    result = f", test accuracy {notes['test_accuracy']}" if "test_accuracy" in notes else ""
    return _Built(
        name=name,
        module=module,
        image=(1, 28, 28),
        preprocess=SMALL_PREPROCESS,
        labels=labels(dataset),
        weights=origin if path else f"trained on {dataset} (model/data{result})",
    )


def _foreign(
    spec: str, *, file: Path | None, input_shape: tuple[int, ...] | None, batch: int
) -> Model:
    module, shape = foreign.load(spec, input_shape=input_shape, batch=batch)
    origin = f"as {spec} gives them"
    if file is not None:
        origin = weights.load_weights(module, file).words
    return Model(
        name=foreign.safe_name(spec),
        module=module,
        input_shape=shape,
        preprocess=None,
        labels=(),
        weights=origin,
        weights_hash=weights_hash(module),
        spec=spec,
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


def _extent(state: Mapping[str, Tensor], name: str, *, axis: int, otherwise: int) -> int:
    """The size of a checkpoint's tensor along `axis`; `otherwise` when it has no such thing."""
    shape = state[name].shape if name in state else ()
    return shape[axis] or otherwise if len(shape) > axis else otherwise


def _number(notes: Mapping[str, str], name: str, otherwise: float) -> float:
    """A positive number from a checkpoint's notes; `otherwise` when there is none."""
    try:
        value = float(notes.get(name, otherwise))
    except ValueError:
        return otherwise
    return value if 0 < value <= 4 else otherwise


def _imagenet(size: int, mean: tuple[float, ...], scale: tuple[float, ...]) -> Preprocess:
    # 224 of 256, the 87.5% centre crop that both trainings were evaluated with.
    return Preprocess(size=size, resize=round(size * 256 / 224), mean=mean, scale=scale)


def _imagenet_labels(classes: int) -> tuple[str, ...]:
    known = labels("imagenet")
    return {1000: known, 1001: ("background", *known)}.get(classes, ())


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(str(part) for part in shape)
