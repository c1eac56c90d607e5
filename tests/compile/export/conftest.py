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
from mnc.compile.export import numbers as numbering
from mnc.compile.export.exporter import Exported
from mnc.compile.export.numbers import Numbers
from mnc.model.zoo import Model
from mnc.targets import load
from tests.compile.export.networks import in_integers, make_artifact, two_heads

torch.set_num_threads(1)
CHECK = Path(__file__).with_name("check.c")


@dataclass(frozen=True)
class Shipped:
    """An artifact, its export, and a file of its golden inputs and outputs for C programs."""

    artifact: Artifact
    exported: Exported
    golden: Path
    exact: bool = False


def write_golden_numbers(artifact: Artifact, model: Model, numbers: Numbers, path: Path) -> Path:
    """As `write_golden`, of `numbers`, with the outputs that the network's reference gives for them."""
    golden, manifest, reference = artifact.golden(), artifact.manifest, model.reference()
    with path.open("wb") as file:
        for i in range(golden.count):
            given = numbering.given([array[i] for array in golden.inputs], manifest, numbers)
            outputs = reference(*numbering.meant(given, manifest, numbers))
            for array in (*given, *numbering.returned(outputs, manifest, numbers)):
                file.write(array.tobytes())
    return path


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


def ship_integers(folder: Path, target: str, numbers: Numbers) -> Shipped:
    """The two-headed network in 8 bits, whose functions take and give `numbers`."""
    cpu, model = load(target), in_integers(two_heads())
    artifact = make_artifact(model, cpu, folder)
    exported = exporter.export(artifact, folder / "integers", target=cpu, numbers=numbers)
    golden = write_golden_numbers(artifact, model, numbers, folder / "golden.bytes")
    return Shipped(artifact, exported, golden, exact=True)


@pytest.fixture(scope="session")
def integers(tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    """The two-headed network in 8 bits for this machine: pixels in, int8 out."""
    return ship_integers(tmp_path_factory.mktemp("integers"), "host", Numbers("uint8", "int8"))


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
    words += ["-DTOLERANCE=0"] if shipped.exact else []
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
