# SPDX-License-Identifier: Apache-2.0
"""What `make setup` says of the PyTorch that it is about to fetch."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mnc.support import torch_build


def report(folder: Path, **versions: str) -> dict[str, Any]:
    """pip's, of packages of 200 MB each."""
    for name in versions:
        with (folder / f"{name}.whl").open("wb") as file:
            file.truncate(200_000_000)  # a hole, no disk
    install = [
        {
            "metadata": {"name": name.replace("_", "-"), "version": version},
            "download_info": {"url": (folder / f"{name}.whl").as_uri()},
        }
        for name, version in versions.items()
    ]
    return {"install": install}


def test_a_build_for_cpus(tmp_path: Path) -> None:
    said = torch_build.line(report(tmp_path, torch="2.13.0+cpu", sympy="1.14.0"))
    assert said == "setup: PyTorch 2.13.0+cpu, 2 packages, 0.4 GB to fetch: a build for CPUs"


def test_a_build_for_cuda_is_named_and_so_is_the_way_round_it(tmp_path: Path) -> None:
    said = torch_build.line(
        report(tmp_path, torch="2.13.0", nvidia_cublas="13.1", triton="3.7.1", sympy="1.14.0")
    )
    assert said is not None
    assert "4 packages, 0.8 GB to fetch, twice that on disk: a build for CUDA" in said
    assert "MNC_TORCH_INDEX" in said and "\n" not in said


def test_a_size_that_is_not_told(tmp_path: Path) -> None:
    made = report(tmp_path, torch="2.13.0", sympy="1.14.0")
    (tmp_path / "sympy.whl").unlink()
    assert "2 packages, over 0.2 GB to fetch" in (torch_build.line(made) or "")


def test_nothing_is_said_when_it_is_there(tmp_path: Path) -> None:
    assert torch_build.line(report(tmp_path, sympy="1.14.0")) is None


@pytest.mark.slow
def test_it_reads_what_pip_reports() -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    made = subprocess.run([*pip, "--report", "-", "torch"], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"no PyTorch: {made.stderr!r}")
    done = subprocess.run(
        [sys.executable, torch_build.__file__], input=made.stdout, capture_output=True, check=True
    )
    version = json.loads(made.stdout)["install"][0]["metadata"]["version"]
    assert done.stderr.decode().startswith(f"setup: PyTorch {version}, ")
