# SPDX-License-Identifier: Apache-2.0
"""The examples of docs/deploying.md, compiled and run: in C and Rust without TVM, in C++ with its runtime."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tvm

from mnc.compile.artifact.store import Artifact
from mnc.compile.export import numbers
from mnc.compile.rpc import rootfs
from mnc.compile.runtime.freestanding import Freestanding
from mnc.compile.toolchain.zig import zig
from mnc.support.errors import UserError
from mnc.targets import load
from tests.compile.export.conftest import Shipped, run, write_golden
from tests.compile.export.networks import make_artifact, two_heads

ROOT = Path(__file__).parents[3]
C, CXX, RUST = (ROOT / "examples" / name for name in ("c", "cpp", "rust"))
TVM = Path(tvm.__file__).parent
INCLUDE = [f"-I{TVM / 'include'}", f"-I{TVM / '3rdparty' / 'dlpack' / 'include'}"]
Words = list[str | Path]
PIXELS = numbers.Numbers("uint8", "int8")
STRICT = ["-O2", "-Wall", "-Wextra", "-Werror"]


def ranked(artifact: Artifact) -> list[tuple[int, float]]:
    """Class and logit, the likeliest first, of the first golden example in PyTorch."""
    logits = artifact.golden().outputs[0][0, 0]
    return [(int(i), float(logits[i])) for i in np.argsort(-logits)[:5]]


def check_ranking(said: str, artifact: Artifact) -> None:
    """The first five lines say class, logit and label as PyTorch has them."""
    lines = said.splitlines()[:5]
    for line, (wanted, logit) in zip(lines, ranked(artifact), strict=True):
        index, value, label = line.split(maxsplit=2)
        assert int(index) == wanted and label == artifact.labels[wanted]
        assert abs(float(value) - logit) < 1e-3 * max(1.0, abs(logit))


def test_c_classifies_and_times(shipped: Shipped, tmp_path: Path) -> None:
    folder, program = shipped.exported.folder, tmp_path / "classify"
    link: Words = [f"-L{folder}", "-lmnc", "-lm", "-lpthread", "-o", program]
    run(["cc", *STRICT, f"-I{folder}", C / "classify.c", *link])
    said = run([program, shipped.golden, "2", "5"], LD_LIBRARY_PATH=str(folder))
    check_ranking(said, shipped.artifact)
    assert "5 runs, 2 threads: median" in said


def test_c_classifies_pixels_and_says_what_8_bit_outputs_stand_for(
    integers: Shipped, tmp_path: Path
) -> None:
    program, out = tmp_path / "classify", integers.exported
    run(
        [
            "cc",
            *STRICT,
            f"-I{out.folder}",
            C / "classify.c",
            out.static,
            "-lm",
            "-lpthread",
            "-o",
            program,
        ]
    )
    (pixels,) = numbers.given(
        [integers.artifact.golden().inputs[0][0]], integers.artifact.manifest, PIXELS
    )
    pixels.tofile(tmp_path / "input.u8")
    said = run([program, tmp_path / "input.u8", "2"])
    with Freestanding(out.shared) as library:
        logits, grid = library.run(pixels)[0][0], library.outputs[0].grid
    assert grid is not None
    best = int(np.argmax(logits))
    index, value = said.split()[:2]
    assert int(index) == best
    assert abs(float(value) - (logits[best] - grid.zero_point) * grid.scale) < 1e-3


def test_rust_classifies(shipped: Shipped, tmp_path: Path) -> None:
    if shutil.which("rustc") is None:
        pytest.skip("rustc is not installed")
    folder, program = shipped.exported.folder, tmp_path / "classify"
    link: Words = ["-L", folder, "-l", "static=mnc", "-l", "m", "-l", "pthread", "-o", program]
    run(["rustc", "--edition=2021", "-D", "warnings", RUST / "classify.rs", *link])
    check_ranking(run([program, shipped.golden]), shipped.artifact)


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler: apt-get install g++")
def test_cxx_classifies_in_tvms_runtime(shipped: Shipped, tmp_path: Path) -> None:
    program = tmp_path / "classify"
    link: Words = [f"-L{TVM}", "-ltvm_runtime", f"-Wl,-rpath,{TVM}", "-o", program]
    run(["c++", "-std=c++17", *STRICT, *INCLUDE, CXX / "classify.cpp", *link])
    said = run([program, shipped.artifact.folder, shipped.golden, "2"])
    check_ranking(said, shipped.artifact)


@pytest.mark.slow
def test_cxx_classifies_in_tvms_runtime_on_the_virtual_board(tmp_path: Path) -> None:
    try:
        board = rootfs.root("aarch64")
    except UserError as error:
        pytest.skip(f"no virtual board: {error}")
    artifact = make_artifact(two_heads(), load("rpi4"), tmp_path)
    golden = write_golden(artifact, tmp_path / "golden.f32")
    runtime, program = board.folder / rootfs.SITE / "tvm", tmp_path / "classify"
    compiler = [*zig("c++"), "-target", "aarch64-linux-gnu.2.28"]
    link: Words = [f"-L{runtime}", "-ltvm_runtime", "-o", program]
    run([*compiler, "-std=c++17", *STRICT, *INCLUDE, CXX / "classify.cpp", *link])
    path = f"LD_LIBRARY_PATH={runtime}"
    emulated: Words = [board.qemu, "-L", board.folder, "-E", path, program]
    check_ranking(run([*emulated, artifact.folder, golden, "1"]), artifact)
