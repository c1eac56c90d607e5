# SPDX-License-Identifier: Apache-2.0
"""What quantization did to a network, as numbers that a page or a JSON file can hold."""

import msgspec


class Stored(msgspec.Struct, frozen=True):
    """A value in 8 bits: its range, the share of the calibration's values outside it, and how well what
    reached it follows the float network's (signal to noise, decibels).
    """

    name: str
    operator: str
    least: float
    most: float
    scale: float
    zero_point: int
    saturation: float
    snr: float


class Layer(msgspec.Struct, frozen=True):
    """A convolution or dense layer, with the signal to noise of its own output in decibels. `cost` is the
    relative error of the network's outputs where this layer alone is in integers.
    """

    name: str
    operator: str
    weights: int
    snr: float
    cost: float


class Report(msgspec.Struct, frozen=True):
    """`snr` is of the outputs, in decibels, `equalized` what equalization brought of it (0: it was left out).
    `kept_float` are layers in float32, as asked for or as not known.
    `remarks` are sentences for the reader.
    """

    images: int
    snr: float
    equalized: float
    stored: tuple[Stored, ...]
    layers: tuple[Layer, ...]
    kept_float: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    def costliest(self, count: int) -> tuple[Layer, ...]:
        """The layers that cost most, the first of them the most."""
        return tuple(sorted(self.layers, key=lambda one: -one.cost)[:count])
