# SPDX-License-Identifier: Apache-2.0
"""artifact/ and exported/: what this project makes of the network with its committed log.

Usage: python mnc_artifact.py FOLDER MODEL.
"""

import shutil
import sys
from pathlib import Path

from mnc import build
from mnc.compile.export import exporter
from mnc.targets import load


def main(folder: Path, name: str) -> None:
    """Build for this machine, then export the freestanding library."""
    target = load("host")
    artifact = build(name, target, out=folder / "built")
    kept = folder / "artifact"
    shutil.rmtree(kept, ignore_errors=True)
    artifact.folder.rename(kept)
    shutil.rmtree(folder / "built")
    from mnc.compile.artifact import store as artifacts

    exporter.export(artifacts.load(kept), folder / "exported", target=target)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
