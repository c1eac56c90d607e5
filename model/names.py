# SPDX-License-Identifier: Apache-2.0
"""The names of the zoo's networks, known without importing torch (a shell completes them).

A name is a family, a width multiplier and a resolution, as in mobilenet_v1_0.75_192; or one of `SMALL`.
"""

import re
from dataclasses import dataclass
from typing import Literal

Precision = Literal["float32", "fp16", "int8"]  # in which a network is compiled
FAMILIES = (
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "mobilenet_v4_conv_small",
    "efficientnet_lite0",
)
WIDTHS, RESOLUTIONS = (1.0, 0.75, 0.5, 0.25), (224, 192, 160, 128)
# The 28x28 networks and the datasets their committed checkpoints were trained on.
SMALL = {
    "mobilenet_v1_28": "fashion_mnist",
    "mobilenet_v1_28_mnist": "mnist",
    "mobilenet_v1_28_qat": "fashion_mnist",
}
ROUNDED = {"mobilenet_v1_28_qat"}  # those of quantization-aware training
SIZED = re.compile(rf"({'|'.join(FAMILIES)})_(\d+(?:\.\d+)?|\.\d+)_(\d+)")


@dataclass(frozen=True)
class Sized:
    """One of `FAMILIES` at a width and a resolution in pixels."""

    family: str
    width: float
    resolution: int

    @property
    def name(self) -> str:
        """As `parse` takes it."""
        return f"{self.family}_{self.width}_{self.resolution}"


def parse(name: str) -> Sized | None:
    """What a name says; a family alone is its network at width 1.0 for 224 pixels. None for other names."""
    if name in FAMILIES:
        return Sized(name, 1.0, 224)
    match = SIZED.fullmatch(name)
    return Sized(match[1], float(match[2]), int(match[3])) if match else None


def names() -> tuple[str, ...]:
    """The models `mnc models` lists; any other width and resolution can be named as well."""
    first, *others = FAMILIES
    grid = (Sized(first, width, size) for width in WIDTHS for size in RESOLUTIONS)
    return (*(one.name for one in grid), *SMALL, *(Sized(one, 1.0, 224).name for one in others))
