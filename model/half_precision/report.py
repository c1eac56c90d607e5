# SPDX-License-Identifier: Apache-2.0
"""What half precision does to a network, as numbers that a page or a JSON file can hold."""

import msgspec


class Sums(msgspec.Struct, frozen=True):
    """How far a layer's outputs are off, root mean square relative to theirs, by how its products are added
    in half precision: one after another, by blocks of channels whose sums are added then, or in float32,
    where what is left is the rounding of weights, maps and the output.
    """

    at_once: float
    by_blocks: float
    in_float32: float


class Layer(msgspec.Struct, frozen=True):
    """A value that the network makes, by the layer's name. `largest` is the largest magnitude in it;
    `products` are those in each of its sums, `sums` the errors of these, of convolutions and dense layers.
    """

    name: str
    operator: str
    largest: float
    products: int = 0
    sums: Sums | None = None


class Report(msgspec.Struct, frozen=True):
    """Over `images` runs. `kept_float` are the layers in float32, with the reason of each. `remarks` are
    sentences for the reader.
    """

    images: int
    layers: tuple[Layer, ...]
    kept_float: dict[str, str]
    remarks: tuple[str, ...] = ()

    @property
    def largest(self) -> Layer | None:
        """The layer of the largest magnitude among those in half precision."""
        halves = [one for one in self.layers if one.name not in self.kept_float]
        return max(halves, key=lambda one: one.largest, default=None)

    @property
    def least_exact(self) -> Layer | None:
        """The layer in half precision whose sums are off the most."""
        halves = [one for one in self.layers if one.sums and one.name not in self.kept_float]
        return max(halves, key=lambda one: one.sums.by_blocks if one.sums else 0.0, default=None)
