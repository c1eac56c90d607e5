# SPDX-License-Identifier: Apache-2.0
"""How good a classifier of 28x28 images is: its predictions, accuracy and confusions.

Takes a module and uint8 images with labels; gives logits and an `Evaluation` that can print itself.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from mnc.model.preprocess import Preprocess, normalise

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Evaluation:
    """`confusion[i, j]` counts the images of class i that were taken for class j."""

    confusion: Ints
    labels: tuple[str, ...]

    @property
    def accuracy(self) -> float:
        """The share of images classified rightly, 0..1."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def per_class(self) -> tuple[float, ...]:
        """The share of each class's images classified rightly; 0 for a class without images."""
        totals = np.maximum(self.confusion.sum(axis=1), 1)
        return tuple(float(value) for value in np.diag(self.confusion) / totals)

    def most_confused(self, count: int = 5) -> tuple[tuple[str, str, int], ...]:
        """(true class, taken for, how often), the most frequent mistakes first."""
        wrong = self.confusion.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(wrong, axis=None, kind="stable")[::-1][:count]
        pairs = (divmod(int(index), len(self.labels)) for index in order)
        return tuple(
            (self.labels[i], self.labels[j], int(wrong[i, j])) for i, j in pairs if wrong[i, j]
        )

    def summary(self) -> str:
        """Accuracy, accuracy per class and the most confused pairs, as a few lines of text."""
        lines = [f"accuracy {self.accuracy:.2%} of {self.confusion.sum()} images"]
        lines += [
            f"  {label:<12} {share:7.2%}"
            for label, share in zip(self.labels, self.per_class, strict=True)
        ]
        lines += [f"  {a} taken for {b}: {times}" for a, b, times in self.most_confused()]
        return "\n".join(lines)


def logits(
    module: nn.Module,
    images: np.ndarray[Any, np.dtype[np.uint8]],
    preprocess: Preprocess,
    *,
    batch: int = 500,
) -> Floats:
    """float32 logits (N, classes) of uint8 images (N, 28, 28), computed `batch` at a time."""
    parts = []
    with torch.no_grad():
        for start in range(0, len(images), batch):
            inputs = torch.from_numpy(normalise(images[start : start + batch], preprocess))
            parts.append(module(inputs).numpy())
    return np.concatenate(parts)


def evaluate(
    predicted: Ints, truth: np.ndarray[Any, np.dtype[np.uint8]], labels: tuple[str, ...]
) -> Evaluation:
    """The confusion of predicted class indices (N,) against the true ones (N,)."""
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (truth.astype(np.int64), predicted), 1)
    return Evaluation(confusion, labels)
