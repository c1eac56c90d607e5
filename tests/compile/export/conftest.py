# SPDX-License-Identifier: Apache-2.0
"""An artifact for this machine, exported once a session, and C programs linked against it."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from mnc.compile.artifact.store import Artifact
from mnc.compile.export import exporter
from mnc.compile.export.exporter import Exported
from mnc.targets import load
from tests.compile.export.networks import make_artifact, two_heads

torch.set_num_threads(1)
CHECK = Path(__file__).with_name("check.c")


@dataclass(frozen=True)
class Shipped:
    """An artifact, its export, and a file of its golden inputs and outputs for C programs."""

    artifact: Artifact
    exported: Exported
    golden: Path


def write_golden(artifact: Artifact, path: Path) -> Path:
    """Float32: for each example all inputs, then all outputs. In the last a pixel is NaN, and so is what
    depends on it, which is everything (`tests/compile/frontend/test_right_answers.py` has PyTorch's word).
    """
    golden = artifact.golden()
    rows = [
        np.concatenate([array[i].ravel() for array in (*golden.inputs, *golden.outputs)])
        for i in range(golden.count)
    ]
    damaged = np.full_like(rows[0], np.nan)
    image = golden.inputs[0][0]
    damaged[: image.size] = image.ravel()
    damaged[image.size // 2] = np.nan
    rows.append(damaged)
    np.stack(rows).astype(np.float32).tofile(path)
    return path


def ship(artifact: Artifact, folder: Path, target: str, *, prefix: str = "mnc") -> Shipped:
    """Export `artifact` into `folder`."""
    exported = exporter.export(artifact, folder / "out put ü", target=load(target), prefix=prefix)
    return Shipped(artifact, exported, write_golden(artifact, folder / "golden.f32"))


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    """The two-headed network for this machine, in a folder whose name has a space and an umlaut."""
    folder = tmp_path_factory.mktemp("export")
    return ship(make_artifact(two_heads(), load("host"), folder), folder, "host")


def compile_check(
    shipped: Shipped,
    program: Path,
    *,
    command: Sequence[str] = ("cc",),
    flags: Sequence[str] = (),
    shared: bool = False,
) -> Path:
    """check.c linked with the library, the static one unless `shared`."""
    out = shipped.exported
    library = [f"-L{out.folder}", f"-l{out.prefix}"] if shared else [str(out.static)]
    words = ["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", *flags, f"-I{out.folder}"]
    subprocess.run(
        [*command, *words, str(CHECK), *library, "-lm", "-lpthread", "-o", str(program)],
        check=True,
    )
    return program


def run(words: Sequence[str | Path], **environment: str) -> str:
    """Standard output of a command that must succeed."""
    import os

    done = subprocess.run(
        [str(word) for word in words],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
