# SPDX-License-Identifier: Apache-2.0
"""The zoo's families of networks: how one is made, what its pixels are, which trained weights it has.

Takes a family's name, a width, a resolution and what a checkpoint holds; gives the module it is of.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from mnc.model import efficientnet_lite, mobilenet_v2, mobilenet_v4, published
from mnc.model.efficientnet_lite import EfficientNetLite0
from mnc.model.mobilenet_v1 import MobileNetV1
from mnc.model.mobilenet_v2 import MobileNetV2
from mnc.model.mobilenet_v3 import MobileNetV3, Size
from mnc.model.mobilenet_v4 import MobileNetV4ConvSmall
from mnc.model.names import Sized
from mnc.model.published import Published


@dataclass(frozen=True)
class Pixels:
    """What a network takes: ``(x - mean) * scale`` of each colour, x in 0..255."""

    mean: tuple[float, float, float]
    scale: tuple[float, float, float]


TF_SLIM = Pixels((127.5,) * 3, (1 / 127.5,) * 3)
TF_LITE = Pixels((127.0,) * 3, (1 / 128,) * 3)
# The mean and standard deviation of ImageNet's pixels in 0..1, as torchvision and timm have them.
IMAGENET = Pixels(
    (255 * 0.485, 255 * 0.456, 255 * 0.406),
    (1 / (255 * 0.229), 1 / (255 * 0.224), 1 / (255 * 0.225)),
)


@dataclass(frozen=True)
class Contents:
    """A checkpoint: its tensors under the network's own names, its notes, the `names` that it has itself."""

    state: Mapping[str, Tensor]
    notes: Mapping[str, str]
    names: frozenset[str]

    def extent(self, name: str, *, axis: int, otherwise: int) -> int:
        """The size of a tensor along `axis`; `otherwise` when there is no such thing."""
        shape = self.state[name].shape if name in self.state else ()
        return shape[axis] or otherwise if len(shape) > axis else otherwise

    def number(self, name: str, otherwise: float) -> float:
        """A positive number of the notes; `otherwise` when there is none."""
        try:
            value = float(self.notes.get(name, otherwise))
        except ValueError:
            return otherwise
        return value if 0 < value <= 4 else otherwise


NOTHING = Contents({}, {}, frozenset())  # of a network without a checkpoint
Make = Callable[[Sized, int, Contents], nn.Module]


@dataclass(frozen=True)
class Family:
    """`make` gives the module for a size, a class count and a checkpoint's contents; `classifier` names its
    last weight, `aliases` others' names of its tensors; `trained` are weights of width 1.0, if a package
    carries any.
    """

    make: Make
    classifier: str
    pixels: Callable[[Contents], Pixels] = lambda _: IMAGENET
    aliases: Callable[[Collection[str]], dict[str, str]] = lambda _: {}
    trained: Published | None = None


def _v1(one: Sized, classes: int, found: Contents) -> nn.Module:
    return MobileNetV1(
        width=one.width,
        resolution=one.resolution,
        classes=classes,
        in_channels=found.extent("stem.conv.weight", axis=1, otherwise=3),
        activation="relu" if found.notes.get("activation") == "relu" else "relu6",
        padding="torch" if found.notes.get("padding") == "torch" else "same",
        bn_eps=found.number("bn_eps", 1e-3),
    )


def _v2(one: Sized, classes: int, _: Contents) -> nn.Module:
    return MobileNetV2(width=one.width, classes=classes)


def _v3(size: Size) -> Make:
    return lambda one, classes, _: MobileNetV3(size, width=one.width, classes=classes)


def _v4(one: Sized, classes: int, _: Contents) -> nn.Module:
    return MobileNetV4ConvSmall(width=one.width, classes=classes)


def _lite0(one: Sized, classes: int, found: Contents) -> nn.Module:
    timm = efficientnet_lite.TIMM in found.names
    return EfficientNetLite0(
        width=one.width,
        resolution=one.resolution,
        classes=classes,
        padding="torch" if timm else "same",
        bn_eps=1e-5 if timm else 1e-3,
    )


def _lite0_pixels(found: Contents) -> Pixels:
    return IMAGENET if efficientnet_lite.TIMM in found.names else TF_LITE


FAMILIES = {
    "mobilenet_v1": Family(_v1, "classifier.weight", lambda _: TF_SLIM, trained=published.V1),
    "mobilenet_v2": Family(
        _v2, "classifier.1.weight", aliases=mobilenet_v2.aliases, trained=published.V2
    ),
    "mobilenet_v3_small": Family(_v3("small"), "classifier.3.weight"),
    "mobilenet_v3_large": Family(_v3("large"), "classifier.3.weight"),
    "mobilenet_v4_conv_small": Family(_v4, "classifier.weight", aliases=mobilenet_v4.aliases),
    "efficientnet_lite0": Family(
        _lite0,
        "classifier.weight",
        _lite0_pixels,
        efficientnet_lite.aliases,
        trained=published.LITE0,
    ),
}
