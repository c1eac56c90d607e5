# SPDX-License-Identifier: Apache-2.0
"""The images that this project's quantizer takes, for everybody's.

Usage: python calibration.py FOLDER MODEL PRECISION. Writes calibration.npy (inputs), calibration/ (the same
as PNG files) and calibration.json (how pixels become inputs: (x - mean) * scale).
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from mnc.model import zoo
from mnc.model.quantization import calibration


def main(folder: Path, name: str) -> None:
    """Write the files."""
    model = zoo.load(name)
    preprocess = model.preprocess
    if preprocess is None:
        raise RuntimeError(f"nothing says what images {name} takes")
    images, origin = calibration.images(model)
    inputs = np.stack([one.numpy() for one in images])
    np.save(folder / "calibration.npy", inputs)
    scale, mean = (np.asarray(one, np.float32) for one in (preprocess.scale, preprocess.mean))
    pixels = inputs[:, 0].transpose(0, 2, 3, 1) / scale + mean
    shutil.rmtree(folder / "calibration", ignore_errors=True)
    (folder / "calibration").mkdir()
    for number, image in enumerate(np.rint(pixels).astype(np.uint8)):
        Image.fromarray(image).save(folder / "calibration" / f"{number:03}.png")
    said = {"mean": preprocess.mean, "scale": preprocess.scale, "size": preprocess.size}
    (folder / "calibration.json").write_text(json.dumps(said | {"images": origin}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
