# SPDX-License-Identifier: Apache-2.0
"""The seven products of `strassen`, as TIR: for a tile of the output's quarters one after another.

Takes a `Layer`, its map, the four sums of the map's quarters, packed weights and bias; gives the statement.
On AArch64 a product is calls of `lane_kernel`'s functions; elsewhere, where a kernel is only checked, loops.
"""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import tir

from mnc.compile.templates import blocked, lane_kernel, lane_tile
from mnc.compile.templates.assembly_function import VECTOR_BYTES
from mnc.compile.templates.convolution_depthwise import ACTIVATIONS
from mnc.compile.templates.lane_assembly import Kernel
from mnc.compile.templates.strassen_products import BLOCK, PRODUCTS, Product, Quarter

FLOAT = 4  # bytes
KIND = f"float32x{BLOCK}"
# What the outermost loop goes over: tiles of channels or of pixels, each with all products; or products.
CHANNEL_OUTER, PIXEL_OUTER, PRODUCT_OUTER = 0, 1, 2


@dataclass(frozen=True)
class Layer:
    """Half as many blocks of output and of input channels as the layer has, its map, and the config: vectors
    of output channels and pixels of a tile of a quarter, and what `lane_assembly.Kernel` is told.
    """

    batch: int
    out_blocks: int
    in_blocks: int
    height: int
    width: int
    activation: str
    channels: int
    pixels: int
    lanes: int
    prefetch: bool
    order: int

    @property
    def half(self) -> int:
        """Pixels of a quarter: of an odd number both halves have the one in the middle."""
        return -(-self.height * self.width // 2)

    @property
    def second(self) -> int:
        """The first pixel of the second half."""
        return self.height * self.width // 2

    def pixels_of(self, product: Product) -> int:
        """Of a tile: the second half's pixel in the middle is the one that stays."""
        shared = self.half - self.second
        return self.pixels - (shared if product.results[0].quarter.pixels == 0 else 0)

    def apart(self, product: Product) -> int:
        """Pixels from a block of the product's source to the next."""
        whole = isinstance(product.source, Quarter)
        return self.height * self.width if whole else self.half

    def kernels(self, product: Product) -> list[tuple[int, Kernel]]:
        """(first pixel, kernel) of a tile."""
        apart = self.apart(product) * VECTOR_BYTES
        ahead, near = lane_tile.prefetches(apart, self.in_blocks) if self.prefetch else (0, 0)
        tile = lane_tile.Tile(
            channels=self.channels,
            rows=1,
            columns=self.pixels_of(product),
            blocks=self.in_blocks,
            at_once=self.in_blocks,
            lanes=self.lanes,
            ahead=ahead,
            apart=near,
        )
        return [(first, kernel) for first, _, kernel, _ in tile.calls(FLOAT)]


@dataclass(frozen=True)
class _Place:
    """In the output's quarters: image, first block of channels, first pixel."""

    image: Any
    block: Any
    pixel: Any


def body(layer: Layer, ins: Sequence[Any], out: Any) -> Any:
    """All tiles, none of which needs another."""
    data, *sums_of_map, weights, bias = ins
    builder = tir.ir_builder.create()
    made = _Body(builder, layer, data, sums_of_map, weights, bias, out)
    across, down = layer.out_blocks // layer.channels, layer.half // layer.pixels
    outer, inner = (down, across) if layer.order == PIXEL_OUTER else (across, down)
    steps = layer.batch * outer * inner
    each = [[one] for one in PRODUCTS] if layer.order == PRODUCT_OUTER else [PRODUCTS]
    for products in each:
        with builder.for_range(0, steps, name="tile", kind="parallel") as tile:
            numbers = (tile // inner % outer, tile % inner)
            block, pixel = numbers[::-1] if layer.order == PIXEL_OUTER else numbers
            image = tile // (outer * inner)
            place = _Place(image, block * layer.channels, pixel * layer.pixels)
            for product in products:
                made.product(product, place)
    return _with_functions(layer, builder.get()) if blocked.on_aarch64() else builder.get()


def _with_functions(layer: Layer, statement: Any) -> Any:
    wanted = dict.fromkeys(
        (kernel, product.part) for product in PRODUCTS for _, kernel in layer.kernels(product)
    )
    text = tir.StringImm("\n".join(lane_kernel.function(*each) for each in wanted))
    return tir.AttrStmt(tir.const(0, "int32"), "pragma_import_llvm", text, statement)


@dataclass(frozen=True)
class _Body:
    builder: Any
    layer: Layer
    data: Any
    sums: Sequence[Any]
    weights: Any
    bias: Any
    out: Any

    def product(self, product: Product, tile: _Place) -> None:
        """Of a tile: a loop over kernels that are alike."""
        for kernel, some in itertools.groupby(self.layer.kernels(product), lambda one: one[1]):
            starts = [start for start, _ in some]
            with self.builder.for_range(0, len(starts), name="kernel") as number:
                pixel = tile.pixel + starts[0] + number * kernel.pixels
                self._kernel(product, kernel, _Place(tile.image, tile.block, pixel))

    def _kernel(self, product: Product, kernel: Kernel, place: _Place) -> None:
        count = len(kernel.sums) * BLOCK
        # "global" and small is on the stack, whence LLVM takes it into registers.
        kept = self.builder.allocate("float32", count, name="kept", scope="global").asobject()
        if product.starts:
            with self._each_vector(kernel) as (at, *vector):
                held = [self._load(place, vector, quarter) for quarter in product.starts]
                self.builder.emit(kept.vstore([at], sum(held[1:], held[0])))
        multiply = self._call if blocked.on_aarch64() else self._loops
        multiply(product, kernel, place, kept)
        for result in product.results:
            with self._each_vector(kernel) as (at, *vector):
                value = kept.vload([at], KIND)
                if result.onto:
                    value += self._load(place, vector, result.quarter)
                if result.final:
                    value = ACTIVATIONS[self.layer.activation](value)
                self.builder.emit(self.out.vstore(self._at(place, vector, result.quarter), value))

    @contextlib.contextmanager
    def _each_vector(self, kernel: Kernel) -> Iterator[tuple[Any, Any, Any]]:
        """Of a kernel's sums: index of its first number, channel, pixel."""
        kind = "unroll" if blocked.on_aarch64() else "serial"
        with (
            self.builder.for_range(0, kernel.channels, name="vector", kind=kind) as channel,
            self.builder.for_range(0, kernel.pixels, name="pixel", kind=kind) as pixel,
        ):
            yield (channel * kernel.pixels + pixel) * BLOCK, channel, pixel

    def _load(self, place: _Place, vector: Sequence[Any], quarter: Quarter) -> Any:
        return self.out.vload(self._at(place, vector, quarter), KIND)

    def _at(self, place: _Place, vector: Sequence[Any], quarter: Quarter) -> list[Any]:
        """Index of a (channel, pixel) of the output."""
        channel, pixel = vector
        block = place.block + channel + quarter.channels * self.layer.out_blocks
        return [place.image, block, *self._pixel(place.pixel + pixel, quarter), 0]

    def _pixel(self, pixel: Any, quarter: Quarter) -> tuple[Any, Any]:
        """Row and column."""
        whole = pixel + quarter.pixels * self.layer.second
        return whole // self.layer.width, whole % self.layer.width

    def _source(self, product: Product, place: _Place) -> tuple[Any, list[Any]]:
        """Buffer of what is multiplied, and index of its first block at the place."""
        if isinstance(product.source, Quarter):
            block = product.source.channels * self.layer.in_blocks
            pixel = self._pixel(place.pixel, product.source)
            return self.data, [place.image, block, *pixel, 0]
        return self.sums[product.source], [place.image, 0, place.pixel, 0]

    def _bias(self, product: Product, place: _Place) -> Any:
        """Block of the bias that sums of the product start from."""
        return place.block + product.results[0].quarter.channels * self.layer.out_blocks

    def _call(self, product: Product, kernel: Kernel, place: _Place, kept: Any) -> None:
        source, first = self._source(product, place)
        weights = [place.block, PRODUCTS.index(product), 0, 0, 0, 0]
        sizes = [
            self.layer.in_blocks,
            self.layer.apart(product) * VECTOR_BYTES,
            len(PRODUCTS) * self.layer.in_blocks * BLOCK * VECTOR_BYTES,
            kernel.pixels * VECTOR_BYTES,
        ]
        arguments = [
            kept.access_ptr("rw"),
            _pointer(source, first),
            _pointer(self.weights, weights),
        ]
        arguments += [tir.const(size, "int64") for size in sizes]
        if not product.starts:
            arguments.append(_pointer(self.bias, [0, self._bias(product, place), 0, 0, 0]))
        name = lane_kernel.name(kernel, product.part)
        self.builder.emit(tir.call_extern("int32", name, *arguments))

    def _loops(self, product: Product, kernel: Kernel, place: _Place, kept: Any) -> None:
        with self._each_vector(kernel) as (at, vector, pixel):
            if not product.starts:
                first = [0, self._bias(product, place) + vector, 0, 0, 0]
                self.builder.emit(kept.vstore([at], self.bias.vload(first, KIND)))
            moved = _Place(place.image, place.block, place.pixel + pixel)
            source, (image, chunk, *where, _) = self._source(product, moved)
            with self.builder.for_range(0, self.layer.in_blocks * BLOCK, name="channel") as channel:
                of, lane = channel // BLOCK, channel % BLOCK
                number = source.vload([image, chunk + of, *where, lane])
                weights = [place.block + vector, PRODUCTS.index(product), of, 0, lane, 0]
                made = tir.Broadcast(number, BLOCK) * self.weights.vload(weights, KIND)
                self.builder.emit(kept.vstore([at], kept.vload([at], KIND) + made))


def _pointer(buffer: Any, index: Sequence[Any]) -> Any:
    """To the element of that index."""
    offset: Any = 0
    for size, at in zip(buffer.shape, index, strict=True):
        offset = offset * size + at
    return buffer.access_ptr("r", offset=offset)
