# SPDX-License-Identifier: Apache-2.0
"""Made-up logs replayed to the end: compiled, simulated, reported, the same in any number of processes."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bench.core_model import boards, kernels, records, summary
from bench.core_model.__main__ import main
from tests.bench.core_model import validation_logs as logs

ARM32 = "llvm -device=arm_cpu -model=bcm2837 -mtriple=armv7l-linux-gnueabihf -mattr=+neon"
ANDROID = "llvm -device=arm_cpu -model=kirin970 -mtriple=arm64-linux-android -mattr=+neon"


def run(*arguments: str | int | Path) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels are compiled anew, but the simulator's own library is not."""
    monkeypatch.setattr(
        kernels, "cache_dir", lambda *parts: tmp_path if parts == ("validation",) else Path()
    )


@pytest.mark.slow
def test_a_log_of_three_boards_to_the_end(tmp_path: Path) -> None:
    path = logs.write(
        tmp_path / "boards.log",
        logs.pointwise(0.00002),
        logs.pointwise(0.00004, logs.other_tile(4)),
        logs.depthwise(0.00001),
        logs.pointwise(0.00002, target=ARM32),
        logs.depthwise(0.00001, target=ANDROID),
    )
    out = tmp_path / "out.json"
    done = run(path, "--all", "--jobs", 1, "--worst", 2, "--out", out)
    assert done.exit_code == 0, done.output
    for name in ("rk3399 (target rk3399)", "bcm2837 (target rpi3b)", "kirin970 (target kirin970)"):
        assert name in done.output
    assert "pairs ordered right" in done.output
    assert "tile_oh=" in done.output and "DRAM" in done.output  # of the worst
    assert "not priced" not in done.output
    first = json.loads(out.read_text())
    assert len(first["outcomes"]) == 5
    assert all(one["price"]["seconds"] > 0 for one in first["outcomes"])
    # Other processes, from the cache: the same to the bit.
    again = run(path, "--all", "--jobs", 2, "--out", out)
    assert again.exit_code == 0, again.output
    assert json.loads(out.read_text()) == first


@pytest.mark.slow
def test_32_bit_kernels_chain_multiply_adds_as_their_llvm_did(tmp_path: Path) -> None:
    path = logs.write(tmp_path / "a.log", logs.pointwise(1.0, target=ARM32))
    (log,) = records.read_log(path)
    built = kernels.build(log.records[0], boards.board_of(log.records[0]))
    assert [one.shape for one in built.arguments if one.unwritten] == [(4, 16, 1, 1, 4)]
    assert [one.is_output for one in built.arguments].count(True) == 1
    from mnc.compile.simulator.decoders import disassembly
    from mnc.compile.simulator.loader import object_file

    code = object_file.read(Path(built.code).read_bytes())
    text = max((one.data for one in code.sections if one.executable), key=len)
    words = [text[i : i + 4] for i in range(0, len(text) - 3, 4)]
    names = set()
    for word in words:
        try:
            names.add(disassembly.disassemble(word, 0, "arm")[0].mnemonic)
        except Exception:  # data between the code
            continue
    assert "vmla.f32" in names
    assert "vmul.f32" not in names


def test_a_log_it_cannot_use_ends_with_a_line_and_a_status(tmp_path: Path) -> None:
    path = logs.write(tmp_path / "a.log", "nonsense")
    done = run(path)
    assert done.exit_code == 1
    assert "error:" in done.output
    assert "line 1: not a record" in done.output
    unknown = logs.write(
        tmp_path / "b.log", logs.pointwise(1, target=logs.TARGET.replace("rk3399", "toaster"))
    )
    done = run(unknown)
    assert done.exit_code == 1
    assert "no target file describes the log's board -model=toaster" in done.output


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("MNC_BOARD_LOGS"), reason="MNC_BOARD_LOGS names no logs")
def test_published_boards_meet_the_goals(tmp_path: Path) -> None:
    """The figures that docs/simulator.md states."""
    out = tmp_path / "out.json"
    done = run(os.environ["MNC_BOARD_LOGS"], "--jobs", 1, "--out", out)
    assert done.exit_code == 0, done.output
    for one in json.loads(out.read_text())["summaries"]:
        ours = one["methods"][0]
        assert one["calls"] == 27
        assert abs(ours["sum_error"]) <= summary.SUM_GOAL
