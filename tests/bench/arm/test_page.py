# SPDX-License-Identifier: Apache-2.0
"""The page of races on modelled cores: all targets of a folder, with what kind of figures they are first."""

from pathlib import Path

import msgspec

from bench.arm import page
from bench.arm.results import NOTE, Race, Result
from mnc.compile.simulator.totals import total_of


def test_the_page_says_that_it_is_a_model_and_how_far_off_before_any_figure(tmp_path: Path) -> None:
    total = total_of(0.1, core="cortex-a72", threads=1)
    ours = Result("mobilenet_v1_1.0_224", "mnc", 1, 90.0, total, 200_000_000)
    peer = Result("mobilenet_v1_1.0_224", "ncnn", 1, 100.0, total, 173_000_000)
    failed = Result("mobilenet_v1_1.0_224", "mnn", 1, why="MNN failed")
    race = Race(NOTE, "rpi4", "4x cortex-a72", "v1-x", (ours, peer, failed))
    (tmp_path / "rpi4.json").write_bytes(msgspec.json.encode(race))
    page.write(tmp_path)
    lines = (tmp_path / "README.md").read_text().splitlines()
    text = "\n".join(lines)
    assert lines[2] == NOTE
    assert text.index("published latencies") < text.index("| mobilenet")
    ours_line, peer_line, failed_line = [line for line in lines if line.startswith("| mobilenet")]
    assert "| 90 |" in ours_line
    assert "| 0.9 |" in ours_line
    assert "| 1 |" in peer_line
    assert "MNN failed" in failed_line
    assert (tmp_path / "race.svg").read_text().startswith("<?xml")
