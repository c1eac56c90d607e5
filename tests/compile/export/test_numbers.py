# SPDX-License-Identifier: Apache-2.0
"""Libraries that take pixels or 8-bit numbers: the artifact's bits; what has no grid is refused."""

import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import pytest

from mnc.compile.artifact.manifest import Grid
from mnc.compile.export import exporter, intakes, numbers
from mnc.compile.export.numbers import Numbers
from mnc.compile.runtime.freestanding import Freestanding
from mnc.compile.runtime.library_check import verify_here
from mnc.compile.runtime.session import Session
from mnc.compile.toolchain import graph
from mnc.model.preprocess import Preprocess, normalise
from mnc.support.errors import UserError
from mnc.targets import load
from tests.compile.export.conftest import Shipped

PIXELS = Preprocess(size=32, resize=32, mean=(127.5,) * 3, scale=(1 / 127.5,) * 3)


def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (1, 3, 32, 32), np.uint8)


def test_pixels_in_and_int8_out_are_what_the_artifact_gives_to_the_bit(integers: Shipped) -> None:
    image, manifest = pixels(), integers.artifact.manifest
    assert manifest.preprocess is not None
    floats = normalise(image.transpose(0, 2, 3, 1), manifest.preprocess)
    hosted = Session(integers.artifact, threads=1).run(floats)
    with Freestanding(integers.exported.shared, threads=2) as library:
        outputs = library.run(image)
        assert [array.dtype for array in outputs] == [np.int8, np.int8]
        for wanted, found, port in zip(hosted, outputs, library.outputs, strict=True):
            assert port.grid is not None
            steps = np.rint(wanted / np.float32(port.grid.scale)) + port.grid.zero_point
            assert np.abs(steps - found).max() <= 1  # a tie may fall either way in this arithmetic
            real = (found.astype(float) - port.grid.zero_point) * port.grid.scale
            assert np.abs(real - wanted).max() <= 0.51 * port.grid.scale
        with pytest.raises(UserError, match="takes uint8 1x3x32x32 as input, not float32"):
            library.run(floats)
    check, _ = verify_here(integers.artifact, integers.exported.shared, prefix="mnc")
    assert check is not None and check.ok and check.tolerance == check.max_absolute == 0


@pytest.mark.parametrize("chosen", [Numbers("int8", "float32"), Numbers()])
def test_other_numbers_are_compared_to_the_bit_as_well(
    integers: Shipped, tmp_path: Path, chosen: Numbers
) -> None:
    artifact = integers.artifact
    made = exporter.export(artifact, tmp_path / "out", target=load("host"), numbers=chosen)
    check, _ = verify_here(artifact, made.shared, prefix="mnc")
    assert check is not None and check.ok and check.tolerance == check.max_absolute == 0
    header = " ".join(made.header.read_text().replace("*", " ").split())
    if chosen.inputs == "int8":
        assert (
            "3072 numbers of int8_t, input, 1 x 3 x 32 x 32 (NCHW), y standing for (y - (" in header
        )
    else:
        assert "in 8-bit integers there is no NaN" in header


def test_no_kernel_is_left_that_only_puts_the_input_on_its_grid(integers: Shipped) -> None:
    whole = graph.load(integers.artifact.folder)
    less, (intake,) = intakes.intakes(whole, integers.artifact.manifest, Numbers("uint8"))
    assert len(less.calls) == len(whole.calls) - 1
    assert (intake.plain, intake.table.shape) == ((1, 3, 32, 32), (3, 256))
    assert intake.table.dtype.itemsize == 1


def test_a_float_network_takes_pixels_too(shipped: Shipped, tmp_path: Path) -> None:
    manifest = msgspec.structs.replace(shipped.artifact.manifest, preprocess=PIXELS)
    artifact = dataclasses.replace(shipped.artifact, manifest=manifest)
    made = exporter.export(
        artifact, tmp_path / "out", target=load("host"), numbers=Numbers("uint8")
    )
    image = pixels()
    wanted = Session(shipped.artifact, threads=1).run(
        normalise(image.transpose(0, 2, 3, 1), PIXELS)
    )
    with Freestanding(made.shared, threads=2) as library:
        for one, other in zip(wanted, library.run(image), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (Numbers("uint8"), "--inputs uint8: nothing says how pixels become input of two_heads_0"),
        (
            Numbers("int8"),
            "--inputs int8: two_heads_0 is in float32; build it with --precision int8",
        ),
        (Numbers(outputs="int8"), "--outputs int8: two_heads_0 is in float32; build it with"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(
    shipped: Shipped, tmp_path: Path, chosen: Numbers, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        exporter.export(shipped.artifact, tmp_path / "out", target=load("host"), numbers=chosen)
    assert not (tmp_path / "out").exists()


def test_what_a_number_stands_for_is_stored_as_that_number_again() -> None:
    every = np.arange(256, dtype=np.uint8)
    for scale in (0.0078125, 0.0502395332, 3.7e-5, 11.0):
        grid = Grid(scale=float(np.float32(scale)), zero_point=93)
        np.testing.assert_array_equal(numbers.quantized(numbers.real(every, grid), grid), every)
    half = np.array([-200.0, -1.5, -0.5, 0.5, 1.5, 900.0], np.float32)
    assert numbers.quantized(half, Grid(scale=1.0, zero_point=1)).tolist() == [0, 0, 0, 2, 2, 255]
