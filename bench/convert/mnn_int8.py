# SPDX-License-Identifier: Apache-2.0
"""int8/model.mnn from model.mnn with MNN's own offline quantizer. Usage: python mnn_int8.py FOLDER.

By moving averages: version 3.6.1 crashes when asked for KL or ADMM. Its command `mnnquant` passes its words
on wrongly, and reports each use to its maker; the function behind it does neither.
"""

import json
import sys
from pathlib import Path

import _tools
import MNN  # noqa: F401 - what _tools links to


def main(folder: Path) -> None:
    """Quantize on the calibration images."""
    known = json.loads((folder / "calibration.json").read_text())
    images = folder / "calibration"
    settings = {
        "format": "RGB",
        "mean": known["mean"],
        "normal": known["scale"],
        "width": known["size"],
        "height": known["size"],
        "path": f"{images}/",
        "used_image_num": len(list(images.iterdir())),
        "feature_quantize_method": "EMA",
        "weight_quantize_method": "MAX_ABS",
        "batch_size": 1,
    }
    place = folder / "int8"
    config, result = place / "mnn.json", place / "model.mnn"
    config.write_text(json.dumps(settings))
    _tools.mnnquant(["mnnquant", str(folder / "model.mnn"), str(result), str(config)])
    if not result.is_file():
        raise RuntimeError("the quantizer made no file")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
