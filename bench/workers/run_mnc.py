# SPDX-License-Identifier: Apache-2.0
"""This project: the artifact in its Session, or the freestanding library (VARIANT)."""

import os
from importlib.metadata import version
from pathlib import Path

from network import Network

if os.environ["VARIANT"] == "freestanding":
    from mnc.compile.runtime.freestanding import Freestanding, aligned
else:
    from mnc import load as load_artifact


def load(folder: Path, threads: int) -> Network:
    """The artifact that `mnc build` made, or the library that `mnc export` made of it."""
    if os.environ["VARIANT"] == "freestanding":
        library = Freestanding(folder / "exported" / "libmnc.so", threads=threads)
        return Network(
            version("mnc"),
            library.run,
            prepare=aligned,
            finish=lambda outputs: outputs[0],
            workspace_bytes=library.memory,
        )
    session = load_artifact(folder / "artifact", threads=threads)
    return Network(
        version("mnc"),
        session.run,
        finish=lambda outputs: outputs[0],
        workspace_bytes=session.manifest.workspace_bytes,
    )
