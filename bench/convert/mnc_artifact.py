# SPDX-License-Identifier: Apache-2.0
"""artifact/ and exported/: what this project makes of the network with its committed log.

Usage: python mnc_artifact.py FOLDER MODEL PRECISION TARGET.
"""

import shutil
import sys
from pathlib import Path

from bench.peer import home
from mnc import build
from mnc.compile.api import ModelSpec
from mnc.compile.artifact import store as artifacts
from mnc.compile.export import exporter
from mnc.model.names import Precision
from mnc.targets import load


def main(folder: Path, name: str, precision: Precision, target_name: str) -> None:
    """Build for the target, which runs on this machine, then export the freestanding library."""
    target, place = load(target_name), home(folder, precision)
    artifact = build(ModelSpec(name, precision=precision), target, out=place / "built")
    kept = place / "artifact"
    shutil.rmtree(kept, ignore_errors=True)
    artifact.folder.rename(kept)
    shutil.rmtree(place / "built")
    exporter.export(artifacts.load(kept), place / "exported", target=target)


if __name__ == "__main__":
    main(
        Path(sys.argv[1]), sys.argv[2], "int8" if sys.argv[3] == "int8" else "float32", sys.argv[4]
    )
