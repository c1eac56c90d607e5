# SPDX-License-Identifier: Apache-2.0
"""The images that ranges are taken from: a folder's, or photographs and garments that packages offer.

Takes a `Model` and perhaps a folder; gives float32 tensors (1, C, H, W) as the network takes them. None of
the photographs is one that networks are compared on.
"""

from pathlib import Path

import torch
from torch import Tensor

from mnc.model import datasets, photos
from mnc.model import images as files
from mnc.model.crops import cut
from mnc.model.examples import noise
from mnc.model.families import IMAGENET
from mnc.model.preprocess import Preprocess, load_image, normalise
from mnc.model.zoo import Model
from mnc.support.errors import UserError
from mnc.support.registry import pip_files

FROM_SKIMAGE = (
    "astronaut.png", "coins.png", "grass.png", "hubble_deep_field.jpg", "ihc.png",
    "motorcycle_left.png", "retina.jpg", "rocket.jpg",
)  # fmt: skip
FROM_GRADIO = ("cheetah1.jpg", "groot.jpeg", "tower.jpg")
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm"}
NOISE = "seeded noise"
PLENTY = 36  # images; of fewer photographs several crops are taken
MOST = 96
GARMENTS = 256  # of 28x28
# Squares: their corner as shares of what they leave free, their side of the shorter one, mirrored or not.
CROPS = ((0.0, 0.0, 0.7, False), (1.0, 1.0, 0.7, True), (0.5, 0.5, 1.0, True))


def images(model: Model, folder: Path | None = None) -> tuple[list[Tensor], str]:
    """The images, and in words what they are: those of `folder`, or photographs for a network of colour
    images, Fashion-MNIST's training images for one of gray 28x28, seeded noise for any other, and where the
    real ones cannot be fetched. A network that does not say how it takes images has them as torchvision's do.
    UserError for a folder that is none or holds no image, and an image that cannot be read.
    """
    preprocess = _preprocess(model)
    if folder is not None:
        return _of_folder(model, preprocess, folder)
    try:
        if preprocess is not None and preprocess.channels == "rgb":
            paths = _photographs()
            return _crops(paths, preprocess), f"{len(paths)} photographs"
        if preprocess is not None and model.input_shape[1:] == (1, 28, 28):
            return _garments(preprocess), f"{GARMENTS} Fashion-MNIST training images"
        reason = "nothing tells what images it takes"
    except UserError as error:
        reason = f"real images could not be had: {error}"
    made = noise((1, *model.input_shape[1:]), PLENTY)
    return [torch.from_numpy(one) for one in made], f"{NOISE} ({reason})"


def _of_folder(
    model: Model, preprocess: Preprocess | None, folder: Path
) -> tuple[list[Tensor], str]:
    if not folder.is_dir():
        raise UserError(f"no folder of images to calibrate with at {folder}; check the path")
    paths = sorted(one for one in folder.rglob("*") if one.suffix.lower() in SUFFIXES)
    if not paths:
        raise UserError(
            f"no image in {folder} to calibrate with; put some dozens there ({files.READ})"
        )
    if preprocess is None:
        shape = "x".join(map(str, model.input_shape))
        raise UserError(
            f"{model.name} takes {shape}, which is no square image: leave out --calibration {folder}"
        )
    chosen = [paths[i * len(paths) // min(len(paths), MOST)] for i in range(min(len(paths), MOST))]
    words = f"{len(chosen)} image{'s' if len(chosen) > 1 else ''} of {folder}"
    return _crops(chosen, preprocess), words


def _preprocess(model: Model) -> Preprocess | None:
    """How the network takes images, which it may not say; None where it takes none."""
    channels, *sides = model.input_shape[1:]
    square = len(sides) == 2 and sides[0] == sides[1] > 1
    known = model.preprocess
    if not square or channels not in {1, 3}:
        return None
    if known is None:
        return _as_torchvision(sides[0], colour=channels == 3)
    is_its = known.size == sides[0] and channels == (3 if known.channels == "rgb" else 1)
    return known if is_its else None


def _as_torchvision(size: int, *, colour: bool) -> Preprocess:
    mean, scale = (IMAGENET.mean, IMAGENET.scale) if colour else ((127.5,), (1 / 127.5,))
    return Preprocess(
        size=size,
        mean=mean,
        scale=scale,
        resize=round(size * 256 / 224),
        channels="rgb" if colour else "gray",
    )


def _photographs() -> list[Path]:
    skimage = pip_files(photos.SKIMAGE, only=tuple(f"skimage/data/{one}" for one in FROM_SKIMAGE))
    assets = "gradio/media_assets/images"
    gradio = pip_files(photos.GRADIO, only=tuple(f"{assets}/{one}" for one in FROM_GRADIO))
    ours = [skimage / "skimage/data" / one for one in FROM_SKIMAGE]
    return [*ours, *(gradio / assets / one for one in FROM_GRADIO)]


def _garments(preprocess: Preprocess) -> list[Tensor]:
    pixels = datasets.fashion_mnist().train_images[:GARMENTS]
    return [torch.from_numpy(one[None]) for one in normalise(pixels, preprocess)]


def _crops(paths: list[Path], preprocess: Preprocess) -> list[Tensor]:
    """The crop that the network is used with of each, and more where there are few."""
    more = CROPS[: max(0, -(-PLENTY // len(paths)) - 1)]
    made = []
    for path in paths:
        made.append(load_image(path, preprocess))
        if preprocess.crop != "squash" and more:
            whole = files.read(path, gray=preprocess.channels == "gray", side=preprocess.resize)
            made += [
                normalise(cut(whole, preprocess.size, *crop)[None], preprocess) for crop in more
            ]
    return [torch.from_numpy(one) for one in made]
