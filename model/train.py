# SPDX-License-Identifier: Apache-2.0
"""Train the 28x28 MobileNet v1: ``python -m mnc.model.train --data fashion-mnist --out FILE``.

Takes a dataset, width, epochs and seed; gives a .safetensors checkpoint that carries its recipe and
test accuracy, and prints the accuracy and the confusions. ``--quantized CHECKPOINT`` trains a float network
further, in the 8 bits that it is to be compiled in.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import safetensors.torch
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from mnc.model import datasets, zoo
from mnc.model.evaluate import Evaluation, evaluate, logits
from mnc.model.mobilenet_v1 import small_28x28
from mnc.model.preprocess import normalise
from mnc.model.quantization import aware_training
from mnc.model.weights import load_weights
from mnc.support.errors import UserError
from mnc.support.files import write_atomic

SHIFT = 2  # pixels an image may move in training
SHAPE = (1, 1, 28, 28)
FURTHER_RATE = 0.02  # the peak, where a network is trained already
FROZEN = 0.6  # of the steps in 8 bits, after which ranges and BN's statistics stay


@dataclass(frozen=True)
class TrainingRecipe:
    """All that decides the result on one machine: SGD with momentum under a one-cycle rate."""

    data: str
    width: float = 0.25
    epochs: int = 8
    seed: int = 0
    batch: int = 128
    peak_rate: float = 0.2
    weight_decay: float = 5e-4
    smoothing: float = 0.05
    quantized: bool = False


def train(
    recipe: TrainingRecipe,
    data: datasets.Dataset,
    *,
    on_step: Callable[[int, int, float], None],
    start: Path | None = None,
) -> nn.Module:
    """A trained module in eval mode, from seeded weights or those of the checkpoint `start`. `on_step(step,
    steps, loss)` is called after each step.
    """
    torch.manual_seed(recipe.seed)
    random = np.random.default_rng(recipe.seed)
    module: nn.Module = small_28x28(width=recipe.width)
    if start is not None:
        load_weights(module, start)
    module = aware_training.prepared(module, SHAPE) if recipe.quantized else module.train()
    steps = recipe.epochs * (len(data.train_images) // recipe.batch)
    optimiser = torch.optim.SGD(
        module.parameters(),
        lr=recipe.peak_rate,
        momentum=0.9,
        nesterov=True,
        weight_decay=recipe.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=recipe.peak_rate, total_steps=steps, pct_start=0.2
    )
    criterion = nn.CrossEntropyLoss(label_smoothing=recipe.smoothing)
    order = np.empty(0, np.int64)
    for step in range(steps):
        if recipe.quantized and step == round(FROZEN * steps):
            aware_training.freeze(module)
        if len(order) < recipe.batch:
            order = random.permutation(len(data.train_images))
        chosen, order = order[: recipe.batch], order[recipe.batch :]
        inputs = _inputs(augment(data.train_images[chosen], random))
        truth = torch.from_numpy(data.train_labels[chosen].astype(np.int64))
        optimiser.zero_grad()
        loss = criterion(module(inputs), truth)
        loss.backward()
        optimiser.step()
        schedule.step()
        on_step(step + 1, steps, float(loss.detach()))
    return module.eval()


def augment(images: datasets.Bytes, random: np.random.Generator) -> datasets.Bytes:
    """Each (28, 28) image moved by up to two pixels either way, over black."""
    padded = np.pad(images, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)))
    rows, columns = random.integers(0, 2 * SHIFT + 1, (2, len(images)))
    height, width = images.shape[1:]
    return np.stack(
        [
            image[row : row + height, column : column + width]
            for image, row, column in zip(padded, rows, columns, strict=True)
        ]
    )


def examine(module: nn.Module, data: datasets.Dataset) -> Evaluation:
    """The module's result on the whole test part."""
    found = logits(module, data.test_images, zoo.SMALL_PREPROCESS)
    return evaluate(found.argmax(axis=1), data.test_labels, zoo.labels(data.name.replace("-", "_")))


def save(module: nn.Module, path: Path, notes: dict[str, str]) -> None:
    """Write the state dict (float32) with `notes` as its metadata; whole or not at all."""
    state = {
        name: tensor.clone()  # one that has two names is written twice
        for name, tensor in module.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    write_atomic(path, safetensors.torch.save(state, metadata=notes))


def notes(
    recipe: TrainingRecipe, result: Evaluation, seconds: float, start: Path | None = None
) -> dict[str, str]:
    """What a checkpoint says about itself: the recipe, its cost and what came out."""
    further = "" if start is None else f" --quantized {start.name}"
    said: dict[str, Any] = {
        name: getattr(recipe, name) for name in TrainingRecipe.__dataclass_fields__
    }
    return {name: str(value) for name, value in said.items()} | {
        "recipe": f"python -m mnc.model.train --data {recipe.data} --width {recipe.width}"
        f" --epochs {recipe.epochs} --seed {recipe.seed}{further}",
        "test_accuracy": f"{result.accuracy:.4f}",
        "test_images": str(result.confusion.sum()),
        "training_seconds": f"{seconds:.0f}",
        "torch": torch.__version__,
        "activation": "relu",
        "padding": "torch",
        "bn_eps": "1e-05",
    }


def _inputs(images: datasets.Bytes) -> Tensor:
    return torch.from_numpy(normalise(images, zoo.SMALL_PREPROCESS))


@click.command()
@click.option("--data", type=click.Choice(["fashion-mnist", "mnist"]), default="fashion-mnist")
@click.option("--width", type=click.FloatRange(0.05, 4), default=0.25, show_default=True)
@click.option("--epochs", type=click.IntRange(1), default=8, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1), help="of PyTorch; all cores by default")
@click.option(
    "--quantized",
    "start",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="CHECKPOINT",
    help="Train this float network further, rounded to 8 bits; 3 epochs are enough.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True)
def main(
    *,
    data: str,
    width: float,
    epochs: int,
    seed: int,
    threads: int | None,
    start: Path | None,
    out: Path,
) -> None:
    """Train the 28x28 variant and write a checkpoint with its recipe and accuracy."""
    if threads:
        torch.set_num_threads(threads)
    recipe = TrainingRecipe(data=data, width=width, epochs=epochs, seed=seed)
    if start is not None:
        recipe = replace(recipe, quantized=True, peak_rate=FURTHER_RATE)
    try:
        images = datasets.load(data)
        begun = time.perf_counter()
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        with Progress(*columns) as progress:
            bar = progress.add_task("training")

            def show(step: int, steps: int, loss: float) -> None:
                text = f"epoch {step * epochs // steps}/{epochs} loss {loss:.3f}"
                progress.update(bar, completed=step, total=steps, description=text)

            module = train(recipe, images, on_step=show, start=start)
        seconds = time.perf_counter() - begun
        result = examine(module, images)
        save(module, out, notes(recipe, result, seconds, start))
    except UserError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{result.summary()}\ntrained in {seconds:.0f} s; wrote {out}")


if __name__ == "__main__":
    main()
