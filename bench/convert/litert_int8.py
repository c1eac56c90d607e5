# SPDX-License-Identifier: Apache-2.0
"""int8/model.tflite from model.tflite with ai-edge-quantizer: int8 weights per channel, int8 activations.

Usage: python litert_int8.py FOLDER. Ranges are the least and most that the images gave: its default, a moving
average, cuts off most networks' likeliest logits.
"""

import sys
from pathlib import Path

import numpy as np
from ai_edge_quantizer import calibrator, quantizer, recipe, recipe_manager
from ai_edge_quantizer.utils import qsv_utils, tfl_interpreter_utils


def main(folder: Path) -> None:
    """Calibrate, quantize, write."""
    source = str(folder / "model.tflite")
    interpreter = tfl_interpreter_utils.create_tfl_interpreter(source)
    (signature,) = interpreter.get_signature_list()
    (name,) = interpreter.get_signature_list()[signature]["inputs"]
    images = np.load(folder / "calibration.npy").transpose(0, 1, 3, 4, 2)
    how = recipe_manager.RecipeManager()
    how.load_quantization_recipe(recipe.static_wi8_ai8())
    ranges = calibrator.Calibrator(source, qsv_update_func=qsv_utils.min_max_update)
    ranges.calibrate({signature: [{name: np.ascontiguousarray(one)} for one in images]}, how)
    made = quantizer.Quantizer(source, recipe.static_wi8_ai8()).quantize(ranges.get_model_qsvs())
    made.export_model(str(folder / "int8" / "model.tflite"), overwrite=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
