# SPDX-License-Identifier: Apache-2.0
"""How near networks in 8-bit integers stay to their float selves: ``make bench-int8``, docs/int8.md's table.

Judged on Fashion-MNIST's 10,000 test images and crops of 25 labelled photographs, none of which calibrates.
What is judged are the markers' floats (or, with --exact, the integers themselves, which takes longer).
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click
import numpy as np
import torch
from numpy.typing import NDArray

from mnc.model import crops, datasets, zoo
from mnc.model.photos import imagenet, photographs
from mnc.model.preprocess import normalise
from mnc.model.quantization import calibration, post_training
from mnc.model.quantization.reference import exact_reference
from mnc.model.zoo import Model

MODELS = ("mobilenet_v1_28", "mobilenet_v1_1.0_224", "mobilenet_v2_1.0_224")
BATCH = 20
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Judged:
    """Images as a network takes them, (N, C, H, W), and the classes that are right of each."""

    words: str
    images: Floats
    classes: tuple[frozenset[int], ...]


def judged_on(model: Model) -> Judged:
    """What `model`, one of the zoo's, is judged on."""
    preprocess = model.preprocess
    if preprocess is None:
        raise click.ClickException(f"nothing says what images {model.name} takes")
    if preprocess.channels == "gray":
        data = datasets.fashion_mnist()
        classes = tuple(frozenset([int(label)]) for label in data.test_labels)
        return Judged("10,000 test images", normalise(data.test_images, preprocess), classes)
    found = crops.crops(preprocess)
    classes = tuple(one for one in _labelled(model) for _ in crops.SQUARES)
    return Judged(f"{len(found)} crops", found, classes)


def _labelled(model: Model) -> Iterator[frozenset[int]]:
    """The classes of each photograph, in the order of `crops`."""
    for _, words in photographs():
        yield frozenset(i for i, label in enumerate(model.labels) if words in label)
    for path in imagenet():
        yield frozenset([int(path.stem.rpartition("_")[2]) + len(model.labels) - 1000])


def logits(run: Callable[[Floats], Floats], judged: Judged) -> Floats:
    """(N, classes)."""
    count = len(judged.images)
    parts = [run(judged.images[at : at + BATCH]) for at in range(0, count, BATCH)]
    return np.concatenate(parts)


def _run(module: torch.nn.Module) -> Callable[[Floats], Floats]:
    def run(x: Floats) -> Floats:
        with torch.inference_mode():
            made: Floats = module(torch.from_numpy(x)).numpy()
        return made

    return run


@click.command()
@click.option("--models", default=",".join(MODELS), show_default=True, help="Of the zoo.")
@click.option("--exact", is_flag=True, help="Judge the integers, not the markers' floats.")
def main(*, models: str, exact: bool) -> None:
    """Print agreement with float, accuracy, error of the logits and the seconds that quantizing takes."""
    click.echo(
        "| network | judged on | top-1 as float | top-5 as float | right | float right | error | s |"
    )
    click.echo("|---|---|---|---|---|---|---|---|")
    for name in models.split(","):
        click.echo(_row(zoo.load(name), exact=exact))


def _row(model: Model, *, exact: bool) -> str:
    judged = judged_on(model)
    found, _ = calibration.images(model)
    begun = time.perf_counter()
    made = post_training.quantize(model, found).model.module
    seconds = time.perf_counter() - begun
    reference = exact_reference(made)
    ours = logits((lambda x: reference(x)[0]) if exact else _run(made), judged)
    floats = logits(_run(model.module), judged)
    first, both = (np.argsort(-one, axis=1)[:, :5] for one in (ours, floats))
    top5 = np.mean([set(a) == set(b) for a, b in zip(first, both, strict=True)])
    error = np.linalg.norm(ours - floats) / np.linalg.norm(floats)
    right, float_right = (
        np.mean([one in classes for one, classes in zip(side[:, 0], judged.classes, strict=True)])
        for side in (first, both)
    )
    shares = (np.mean(first[:, 0] == both[:, 0]), top5, right, float_right)
    figures = " | ".join(f"{share:.4f}" for share in shares)
    return f"| {model.name} | {judged.words} | {figures} | {error:.3f} | {seconds:.1f} |"


if __name__ == "__main__":
    main()
