# SPDX-License-Identifier: Apache-2.0
"""The zoo at a glance: what each network costs, without fetching or making any weights.

Takes a listed name; gives its architecture on torch's meta device and where its weights would come from.
"""

from dataclasses import dataclass

import torch
from torch import nn

from mnc.model import zoo
from mnc.model.cost import PUBLISHED, Cost, cost
from mnc.model.families import FAMILIES, NOTHING
from mnc.model.mobilenet_v1 import small_28x28
from mnc.model.names import parse


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
    one = parse(name)
    if one is None:
        raise KeyError(name)
    family = FAMILIES[one.family]
    with torch.device("meta"):
        module = family.make(one, 1000, NOTHING)
    trained = family.trained if one.width == 1.0 else None
    origin = trained.origin if trained else "random (seed 0), or --weights FILE"
    image = (3, one.resolution, one.resolution)
    return _overview(name, module, image, origin, PUBLISHED.get(one.name))


def _overview(
    name: str,
    module: nn.Module,
    image: tuple[int, int, int],
    origin: str,
    published: tuple[float, float] | None,
) -> Overview:
    return Overview(name, image, cost(module, (1, *image)), origin, published)
