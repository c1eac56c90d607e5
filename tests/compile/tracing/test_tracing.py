# SPDX-License-Identifier: Apache-2.0
"""A program on a core: every instruction and access of the region, the guide's cycles, twice the same."""

import subprocess
from pathlib import Path

import pytest

from mnc.compile.toolchain.zig import zig
from mnc.compile.tracing import emulator, symbols
from mnc.compile.tracing.emulator import Command
from mnc.compile.tracing.tracing import Trace, trace
from mnc.support.errors import UserError
from mnc.targets import load

HERE = Path(__file__).parent
SIZE = 4096  # of program.c

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        emulator.why_not() is not None, reason="no emulator of this system takes plugins"
    ),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("traced") / "program"
    compiler = [*zig("cc"), "-target", "aarch64-linux-gnu.2.28", "-O2", "-pthread"]
    subprocess.run([*compiler, str(HERE / "program.c"), "-o", str(path)], check=True)
    return path


def of(program: Path, function: str, *, call: int = 2) -> Trace:
    region = symbols.function(program, function, call=call)
    return trace(Command((str(program),)), load("rpi4"), function=region)


def test_a_chain_of_multiply_adds_takes_what_the_guide_says(program: Path) -> None:
    found = of(program, "chain")
    assert found.simulation.loads == 2 * SIZE
    assert found.simulation.flops == pytest.approx(2 * SIZE, abs=4)
    assert found.unknown == ()
    assert found.simulation.cycles == pytest.approx(3 * SIZE, rel=0.02)
    assert of(program, "chain") == found
    hottest = max(found.simulation.listing, key=lambda one: one.count)
    assert found.place(hottest.line.address).startswith("program: chain+")


def test_prefetches_and_structures_access_what_their_neighbours_tell(program: Path) -> None:
    found = of(program, "move", call=3).simulation
    passes = SIZE // 16
    assert found.loads == passes * (1 + 4)
    assert found.stores == passes * (2 + 2)
    assert found.misses[0] > 0  # 32 KiB of both are more than L1 holds


def test_a_program_marks_its_own_region(program: Path) -> None:
    marked = trace(Command((str(program), "marked")), load("rpi4"))
    assert marked.simulation.loads == pytest.approx(2 * SIZE, rel=0.05)


def test_python_is_one_with_numpy() -> None:
    marks = (
        "import ctypes, numpy; m = ctypes.CDLL(None).prctl; m(0x6D6E63, 2); numpy.ones(9).sum(); "
    )
    found = trace(Command(("python", "-c", f"{marks}m(0x6D6E63, 0)")), load("rpi4"))
    assert found.simulation.instructions > 1000
    assert found.unknown == ()


def test_threads_have_a_core_each_and_share_work_as_on_cores_of_their_own(program: Path) -> None:
    found = trace(Command((str(program), "threads")), load("rpi4"), threads=4)
    assert len(found.threads) == 4
    assert min(found.threads) == pytest.approx(max(found.threads), rel=0.15)


def test_what_cannot_be_traced_is_said(program: Path) -> None:
    with pytest.raises(UserError, match=r"no function 'chian'"):
        symbols.function(program, "chian", call=1)
    with pytest.raises(UserError, match="ended with 0 and without call 9 of the function"):
        of(program, "chain", call=9)
    with pytest.raises(UserError, match="only AArch64 programs"):
        symbols.functions(Path("/bin/sh"))
