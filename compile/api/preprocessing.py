# SPDX-License-Identifier: Apache-2.0
"""How an artifact's network takes photographs: as its manifest says, or as whoever runs it says.

Takes a manifest and what was given; gives a `Preprocess`, or a UserError that says what is missing.
"""

import math
from collections.abc import Sequence

from mnc.compile.artifact.manifest import Manifest
from mnc.model.preprocess import LARGEST_SIDE, Preprocess
from mnc.support.errors import UserError


def chosen(
    manifest: Manifest,
    *,
    mean: Sequence[float] | None,
    scale: Sequence[float] | None,
    size: int | None,
) -> Preprocess:
    """What is given, for the rest what the manifest says. UserError where neither says it, where the values
    do not fit the network, or where it does not take pictures of one or three channels.
    """
    channels, *extent = _picture(manifest)
    side = min(extent)
    told = manifest.preprocess
    if told is not None:
        mean, scale = mean or told.mean, scale or told.scale
    if mean is None or scale is None:
        raise UserError(
            f"{manifest.network.name} does not say how it takes images; give --mean and --scale, for"
            " (x - mean) * scale of pixels x of 0..255, as in --mean 127.5 --scale 0.00784"
        )
    size = size or (told.resize if told else side)
    if not side <= size <= LARGEST_SIDE:
        raise UserError(f"--size {size} is outside of {side}, the network's own, to {LARGEST_SIDE}")
    return Preprocess(
        size=side,
        resize=size,
        mean=_values("--mean", mean, channels),
        scale=_values("--scale", scale, channels),
        crop=told.crop if told else "center",
        channels="gray" if channels == 1 else "rgb",
    )


def extent_of(manifest: Manifest) -> tuple[int, int]:
    """The (height, width) of the pictures that the network takes."""
    _, height, width = _picture(manifest)
    return height, width


def _picture(manifest: Manifest) -> tuple[int, int, int]:
    """(channels, height, width) of the network's only input."""
    shape = manifest.inputs[0].shape
    if manifest.inputs[0].layout == "NHWC":
        shape = (shape[0], *shape[3:], *shape[1:3])
    if len(manifest.inputs) != 1 or len(shape) != 4 or shape[1] not in {1, 3}:
        takes = ", ".join("x".join(map(str, tensor.shape)) for tensor in manifest.inputs)
        raise UserError(
            f"{manifest.network.name} takes {takes}, which a photograph cannot be: only one input of"
            " N x 1 or 3 x H x W; from Python, Session.run takes arrays"
        )
    return shape[1], shape[2], shape[3]


def _values(flag: str, given: Sequence[float], channels: int) -> tuple[float, ...]:
    values = tuple(given) * channels if len(given) == 1 else tuple(given)
    if len(values) != channels or not all(map(math.isfinite, values)):
        shown = ",".join(f"{value:g}" for value in given)
        raise UserError(f"{flag} {shown}: give one finite number, or {channels}, one a channel")
    return values
