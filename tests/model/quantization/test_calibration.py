# SPDX-License-Identifier: Apache-2.0
"""The images that calibration takes from a folder."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mnc.model import zoo
from mnc.model.preprocess import load_image
from mnc.model.quantization.calibration import images
from mnc.support.errors import UserError
from tests.model.quantization.networks import Blocks, model_of


@pytest.fixture(scope="module")
def model() -> zoo.Model:
    return zoo.load("mobilenet_v1_0.25_128")


def save(path: Path, mode: str = "RGB") -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (150, 200, len(mode)), np.uint8)
    Image.fromarray(pixels.squeeze()).save(path)


def test_a_folder_of_colour_and_gray(model: zoo.Model, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    save(tmp_path / "a.png")
    save(tmp_path / "inner" / "b.JPG", "L")
    (tmp_path / "notes.txt").write_text("no image")
    found, origin = images(model, tmp_path)
    assert origin == f"2 images of {tmp_path}"
    assert len(found) == 8 and {tuple(one.shape) for one in found} == {(1, 3, 128, 128)}
    assert model.preprocess is not None
    assert np.array_equal(found[0].numpy(), load_image(tmp_path / "a.png", model.preprocess))
    assert all(-1 <= float(one.min()) < float(one.max()) <= 1 for one in found)


def test_a_folder_that_cannot_be_used(model: zoo.Model, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder of images"):
        images(model, tmp_path / "none")
    with pytest.raises(UserError, match="no image in"):
        images(model, tmp_path)
    save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.png").read_bytes()[:2000])
    with pytest.raises(UserError, match=r"b\.jpg is damaged or cut short"):
        images(model, tmp_path)


def test_a_network_of_one_s_own_takes_a_folder_too(tmp_path: Path) -> None:
    """As torchvision's networks do, which nothing says."""
    save(tmp_path / "a.png")
    model = model_of(Blocks())
    found, _ = images(model, tmp_path)
    assert {tuple(one.shape) for one in found} == {(1, 3, 16, 16)}
    assert 0.1 < float(torch.cat(found).mean()) < 0.5  # of grey, less the mean of ImageNet's pixels
    with pytest.raises(UserError, match="takes 1x3x16x20, which is no square image"):
        images(model_of(Blocks(), (1, 3, 16, 20)), tmp_path)
