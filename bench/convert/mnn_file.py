# SPDX-License-Identifier: Apache-2.0
"""model.mnn from model.onnx with MNN's own converter, float32. Usage: python mnn_file.py FOLDER."""

import subprocess
import sys
from pathlib import Path


def main(folder: Path) -> None:
    """Run the converter that MNN installs beside its Python."""
    converter = Path(sys.executable).with_name("mnnconvert")
    source, result = folder / "model.onnx", folder / "model.mnn"
    command = [str(converter), "-f", "ONNX", "--modelFile", str(source), "--MNNModel", str(result)]
    subprocess.run([*command, "--bizCode", "mnc"], check=True)
    if not result.is_file():
        raise RuntimeError("the converter made no file")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
