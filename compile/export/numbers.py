# SPDX-License-Identifier: Apache-2.0
"""Which numbers a library's functions read and write: floats, pixels as they are, or 8-bit numbers of a grid.

Takes the choice and the manifest; gives inputs and outputs with their types and grids, and arrays of the one
form for arrays of the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np

from mnc.compile.artifact.manifest import Grid, Manifest, Tensor
from mnc.model.preprocess import normalise
from mnc.support.errors import UserError

InputType = Literal["float32", "uint8", "int8"]
OutputType = Literal["float32", "int8"]
Array = np.ndarray[Any, np.dtype[Any]]

SIGN = np.uint8(
    128
)  # the bit between numbers of 0 to 255 and those of -128 to 127 that stand for the same


@dataclass(frozen=True)
class Numbers:
    """The types of a library's inputs and outputs.

    Inputs are float32, uint8 (pixels of 0 to 255, as in a picture) or int8 (on the grid of the network's
    first map); outputs float32 or int8 (on the grid that the manifest has for them).
    """

    inputs: InputType = "float32"
    outputs: OutputType = "float32"


FLOATS = Numbers()


def input_ports(manifest: Manifest, numbers: Numbers) -> tuple[Tensor, ...]:
    """The inputs as the library has them: with their type, and for int8 its grid, -128 to 127."""
    return tuple(_typed(port, numbers.inputs) for port in manifest.inputs)


def output_ports(manifest: Manifest, numbers: Numbers) -> tuple[Tensor, ...]:
    """The outputs likewise. UserError for int8 where the manifest has no grid for them."""
    if numbers.outputs == "int8" and not all(port.grid for port in manifest.outputs):
        raise UserError(f"--outputs int8: {no_grid(manifest)}")
    return tuple(_typed(port, numbers.outputs) for port in manifest.outputs)


def _typed(port: Tensor, dtype: InputType) -> Tensor:
    grid = port.grid if dtype == "int8" else None
    signed = grid and msgspec.structs.replace(grid, zero_point=grid.zero_point - int(SIGN))
    return msgspec.structs.replace(port, dtype=dtype, grid=signed)


def given(inputs: Sequence[Array], manifest: Manifest, numbers: Numbers) -> tuple[Array, ...]:
    """What the library is to be given for float32 inputs of the network: the numbers nearest to them."""
    if numbers.inputs == "uint8" and manifest.preprocess is not None:
        mean, scale = (
            _by_channel(one) for one in (manifest.preprocess.mean, manifest.preprocess.scale)
        )
        return tuple(
            np.clip(np.rint(one / scale + mean), 0, 255).astype(np.uint8) for one in inputs
        )
    if numbers.inputs == "int8":
        grids = [port.grid for port in manifest.inputs]
        return tuple(
            (quantized(one, grid) ^ SIGN).view(np.int8)
            for one, grid in zip(inputs, grids, strict=True)
            if grid
        )
    return tuple(inputs)


def meant(inputs: Sequence[Array], manifest: Manifest, numbers: Numbers) -> tuple[Array, ...]:
    """The network's float32 inputs that a library's stand for."""
    if numbers.inputs == "uint8" and manifest.preprocess is not None:
        how = manifest.preprocess
        return tuple(normalise(one.transpose(0, 2, 3, 1), how) for one in inputs)
    if numbers.inputs == "int8":
        grids = [port.grid for port in manifest.inputs]
        return tuple(
            real(one.view(np.uint8) ^ SIGN, grid)
            for one, grid in zip(inputs, grids, strict=True)
            if grid
        )
    return tuple(inputs)


def returned(outputs: Sequence[Array], manifest: Manifest, numbers: Numbers) -> tuple[Array, ...]:
    """What the library gives where the network gives these float32 outputs."""
    if numbers.outputs == "float32":
        return tuple(outputs)
    grids = [port.grid for port in manifest.outputs]
    return tuple(
        (quantized(one, grid) ^ SIGN).view(np.int8)
        for one, grid in zip(outputs, grids, strict=True)
        if grid
    )


def _by_channel(values: Sequence[float]) -> Array:
    return np.asarray(values, np.float32).reshape(1, -1, 1, 1)


def quantized(values: Array, grid: Grid) -> Array:
    """0 to 255 for float32 values, as the network's own first operator has them (docs/int8.md, rule 1)."""
    steps = values.astype(np.float32) * (np.float32(1) / np.float32(grid.scale))
    return np.clip(np.rint(steps.astype(np.float64) + grid.zero_point), 0, 255).astype(np.uint8)


def real(stored: Array, grid: Grid) -> Array:
    """What numbers of 0 to 255 stand for, float32."""
    return (stored.astype(np.float32) - np.float32(grid.zero_point)) * np.float32(grid.scale)


def no_grid(manifest: Manifest) -> str:
    """Why a network has no grid at an end, and what to do."""
    if manifest.dtype != "int8":
        return f"{manifest.network.name} is in float32; build it with --precision int8"
    return (
        f"{manifest.network.name} does not say which grid they are on; build it again with this mnc, or "
        "take float32"
    )
