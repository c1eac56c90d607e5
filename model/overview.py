# SPDX-License-Identifier: Apache-2.0
"""The zoo at a glance: what each network costs, without fetching or making any weights.

Takes a listed name; gives its architecture on torch's meta device and where its weights would come from.
"""

from dataclasses import dataclass

import torch
from torch import nn

from mnc.model import weights, zoo
from mnc.model.cost import PUBLISHED, Cost, cost
from mnc.model.mobilenet_v1 import MobileNetV1, small_28x28
from mnc.model.mobilenet_v2 import MobileNetV2


@dataclass(frozen=True)
class Overview:
    """`image` is (C, H, W); `published` are millions of multiply-adds and top-1 in %, where published."""

    name: str
    image: tuple[int, int, int]
    cost: Cost
    weights: str
    published: tuple[float, float] | None


def overviews() -> tuple[Overview, ...]:
    """One for each name of `zoo.names()`."""
    return tuple(overview(name) for name in zoo.names())


def overview(name: str) -> Overview:
    """What `name`, one of `zoo.names()`, costs."""
    if name in zoo.SMALL:
        dataset = zoo.SMALL[name]
        with torch.device("meta"):
            small = small_28x28()
        return _overview(name, small, (1, 28, 28), f"trained on {dataset}, committed", None)
    match = zoo.MULTIPLIERS.fullmatch(name)
    if match is None:
        raise KeyError(name)
    version, width, size = match[1], float(match[2]), int(match[3])
    with torch.device("meta"):
        v1, v2 = MobileNetV1(width=width, resolution=size), MobileNetV2(width=width)
    module: nn.Module = v1 if version == "v1" else v2
    origin = weights.V1_ORIGIN if version == "v1" else weights.V2_ORIGIN
    published = PUBLISHED.get((width, size)) if version == "v1" else None
    trained = origin if width == 1.0 else "random (seed 0), or --weights FILE"
    return _overview(name, module, (3, size, size), trained, published)


def _overview(
    name: str,
    module: nn.Module,
    image: tuple[int, int, int],
    origin: str,
    published: tuple[float, float] | None,
) -> Overview:
    return Overview(name, image, cost(module, (1, *image)), origin, published)
