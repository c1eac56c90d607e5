# SPDX-License-Identifier: Apache-2.0
"""Real photographs with a known subject, for comparing networks on what they are for.

Takes nothing; gives paths with the ImageNet class that the subject has. The files come from PyPI's
wheels (scikit-image: BSD-3 with CC0 images; gradio: Apache-2.0; foolbox: MIT), fetched once and cached.
"""

from pathlib import Path

from mnc.support.registry import pip_files

SKIMAGE = "scikit-image==0.26.0"
GRADIO = "gradio==6.31.0"
FOOLBOX = "foolbox==3.3.4"
# (file, label): the label is a part of the class name that a MobileNet should put first.
FROM_SKIMAGE = (("coffee.png", "espresso"), ("camera.png", "tripod"), ("chelsea.png", "cat"))
FROM_GRADIO = (("lion.jpg", "lion"), ("cheetah.jpg", "cheetah"))


def photographs() -> tuple[tuple[Path, str], ...]:
    """(path, expected label substring) of each; UserError when they cannot be fetched."""
    skimage = pip_files(SKIMAGE, only=tuple(f"skimage/data/{name}" for name, _ in FROM_SKIMAGE))
    folder = "gradio/media_assets/images"
    gradio = pip_files(GRADIO, only=tuple(f"{folder}/{name}" for name, _ in FROM_GRADIO))
    ours = [(gradio / folder / name, label) for name, label in FROM_GRADIO]
    return (*ours, *((skimage / "skimage/data" / name, label) for name, label in FROM_SKIMAGE))


def imagenet() -> tuple[Path, ...]:
    """Twenty of ImageNet's own photographs; UserError when they cannot be fetched."""
    folder = "foolbox/data"
    fetched = pip_files(FOOLBOX, only=(f"{folder}/imagenet_*.jpg",))
    return tuple(sorted((fetched / folder).glob("imagenet_*.jpg")))
