# SPDX-License-Identifier: Apache-2.0
"""How far a network in half precision or 8-bit integers agrees with the one in float32 that it was made from.

Takes a session and the float32 network as a function; gives an `Agreement` on images that it was not
calibrated with: crops of photographs, or all of Fashion-MNIST's test images.
"""

from dataclasses import dataclass

import numpy as np

from mnc.compile.artifact.manifest import Manifest
from mnc.compile.runtime.session import Array, Session
from mnc.model import datasets
from mnc.model.crops import crops
from mnc.model.preprocess import normalise
from mnc.model.reference import Reference

TOP = 5
TOGETHER = 100  # images that the float32 network is given at once


@dataclass(frozen=True)
class Agreement:
    """On `examples` images, which are `on`: `top1` and `top5` are the shares whose likeliest class in float32
    is the likeliest, and among the five likeliest, here, `logit_error` the root of the mean square of
    all differences, relative to that of float32's outputs; `right` and `right_in_float` the shares classified
    as labelled, where they are labelled.
    """

    on: str
    examples: int
    top1: float
    top5: float
    logit_error: float
    right: float | None = None
    right_in_float: float | None = None


def agreement(session: Session, floats: Reference) -> Agreement | None:
    """None where nothing says which images the network takes, or it takes several at once. UserError when
    they cannot be fetched.
    """
    found = _images(session.manifest)
    if found is None:
        return None
    images, labels, words = found
    truth = np.concatenate([floats(some)[0] for some in _parts(images)])
    made = np.concatenate([session.run(image[None])[0] for image in images])
    return compared(truth.reshape(len(images), -1), made.reshape(len(images), -1), labels, words)


def compared(truth: Array, made: Array, labels: Array | None, words: str) -> Agreement:
    """Of outputs (N, classes) in float32 and in other numbers."""
    likeliest, ranks = truth.argmax(1), np.argsort(-made, axis=1, kind="stable")
    off = (truth - made).astype(np.float64)
    return Agreement(
        on=words,
        examples=len(truth),
        top1=float((ranks[:, 0] == likeliest).mean()),
        top5=float((ranks[:, :TOP] == likeliest[:, None]).any(1).mean()),
        logit_error=float(np.sqrt((off**2).mean() / (truth.astype(np.float64) ** 2).mean())),
        right=None if labels is None else float((ranks[:, 0] == labels).mean()),
        right_in_float=None if labels is None else float((likeliest == labels).mean()),
    )


def _images(manifest: Manifest) -> tuple[Array, Array | None, str] | None:
    """(images (N, C, H, W), their labels, what they are)."""
    how, shape = manifest.preprocess, manifest.inputs[0].shape
    if how is None or len(manifest.inputs) > 1 or shape[0] != 1:
        return None
    if how.channels == "rgb" and shape[1:] == (3, how.size, how.size):
        return crops(how), None, "crops of photographs"
    if shape[1:] == (1, 28, 28):
        test = datasets.fashion_mnist()
        return normalise(test.test_images, how), test.test_labels, "Fashion-MNIST's test images"
    return None


def _parts(images: Array) -> list[Array]:
    """Small images many at once, to save time; large ones one by one."""
    size = TOGETHER if len(images) > 10 * TOGETHER else 1
    return [images[first : first + size] for first in range(0, len(images), size)]
