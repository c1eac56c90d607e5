# SPDX-License-Identifier: Apache-2.0
"""triton, which PyPI's own torch brings along, beside us: its LLVM and TVM's do not meet."""

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from mnc.support.errors import UserError
from mnc.support.registry import pip_files

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.heavy]

LOAD = "import sys, torch.export; torch.export.load('own.pt2');"


def pin() -> str:
    """The version that PyPI's torch of constraints.txt needs."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return next(line for line in lines if line.startswith("triton=="))


@pytest.fixture(scope="module")
def triton() -> Path:
    """The real one: its Python and its library, not the tools for GPUs."""
    try:
        return pip_files(
            pin(), platform=platform.machine(), only=("*.py", "*/libtriton.so", "*/METADATA")
        )
    except UserError as error:
        pytest.skip(f"no triton: {error}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With own.pt2, an exported program."""
    module = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 8, 1)).eval()
    program = torch.export.export(module, (torch.zeros(1, 3, 16, 16),))
    torch.export.save(program, tmp_path / "own.pt2")
    return tmp_path


def run(triton: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(triton), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_us_it_ends_the_process(triton: Path, folder: Path) -> None:
    """So that the tests below say something."""
    code = f"import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); import tvm; {LOAD}"
    done = run(triton, folder, "-c", code)
    assert done.returncode == -signal.SIGABRT and "registered more than once" in done.stderr


@pytest.mark.parametrize(
    "imports",
    [
        "import mnc, tvm, triton",
        "import tvm, mnc, triton",
        "import torch, tvm, mnc",
        "import triton, mnc, tvm",
        "import triton, tvm, mnc",
    ],
)
def test_both_are_there_in_either_order(triton: Path, folder: Path, imports: str) -> None:
    """triton's LLVM registers its options when loaded; TVM's is asked for this machine's CPU."""
    code = f"""{imports}; {LOAD}
print(__import__("triton").__version__)
print(tvm.target.codegen.llvm_get_system_cpu())
"""
    done = run(triton, folder, "-c", code)
    assert done.returncode == 0, done.stderr
    version, cpu = done.stdout.splitlines()
    assert f"triton=={version}" == pin() and cpu


@pytest.mark.parametrize(
    "words",
    [
        ("models", "own.pt2"),
        ("tasks", "own.pt2", "--input-shape", "1,3,16,16", "--target", "host"),
        ("build", "own.pt2", "--input-shape", "1,3,16,16", "--target", "host"),
    ],
)
def test_every_verb_that_reads_an_exported_program(
    triton: Path, folder: Path, words: tuple[str, ...]
) -> None:
    done = run(triton, folder, "-m", "mnc", *words)
    assert done.returncode == 0, done.stderr


def test_our_own_tests(triton: Path) -> None:
    """pytest's process meets TVM before any module of ours, but for tests/conftest.py."""
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/model/test_prepare.py")
    chosen = ("tests/compile/frontend/test_tasks.py", "-k", "export and small or every_kind")
    done = run(triton, ROOT, *words, *chosen)
    assert done.returncode == 0, done.stdout[-2000:]
