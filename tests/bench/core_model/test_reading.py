# SPDX-License-Identifier: Apache-2.0
"""Logs of both formats give the same records; what cannot be replayed is counted or refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.core_model import boards, records, selection
from bench.core_model.convolution import CONVOLUTIONS, LoggedConvolution, mobilenet_calls
from mnc.support.errors import UserError
from tests.bench.core_model import validation_logs as logs

TOPHUB = os.environ.get("MNC_BOARD_LOGS", "")


def test_both_formats_say_the_same(tmp_path: Path) -> None:
    new = logs.write(tmp_path / "new.log", logs.pointwise(0.25), logs.depthwise(0.125))
    old = logs.write(tmp_path / "old.log", logs.old_pointwise(0.25), logs.old_depthwise(0.125))
    (one,), (other,) = records.read_log(new), records.read_log(old)
    assert [r.convolution for r in one.records] == [r.convolution for r in other.records]
    assert [r.knobs for r in one.records] == [r.knobs for r in other.records]
    assert [r.template for r in one.records] == [r.template for r in other.records]
    assert [r.seconds for r in other.records] == [0.25, 0.125]
    assert one.records[0].convolution == LoggedConvolution(
        False, 16, 8, 8, 16, (1, 1), (1, 1), (0, 0, 0, 0)
    )
    assert one.records[1].convolution.padding == (1, 1, 1, 1)
    assert other.records[0].triple == "aarch64-linux-gnu"
    assert (one.records[0].mattr, other.records[0].mattr) == (("+neon",), ())


def test_a_folder_is_its_logs_and_boards_of_a_file_are_apart(tmp_path: Path) -> None:
    elsewhere = logs.TARGET.replace("rk3399", "kirin970")
    logs.write(tmp_path / "a.log", logs.pointwise(0.1), logs.pointwise(0.2, target=elsewhere))
    logs.write(tmp_path / "b.log", logs.depthwise(0.3))
    (tmp_path / "README.md").write_text("no log")
    read = records.read_logs([tmp_path])
    assert [(log.path.name, log.model) for log in read] == [
        ("a.log", "rk3399"),
        ("a.log", "kirin970"),
        ("b.log", "rk3399"),
    ]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    half = logs.pointwise(0.1).replace("float32", "float16")
    path = logs.write(
        tmp_path / "a.log",
        logs.old_pointwise(0.1, kind="winograd"),
        logs.old_pointwise(0.1, kind="winograd"),
        half,
        logs.pointwise(0.1),
        "",
    )
    (log,) = records.read_log(path)
    assert len(log.records) == 1
    assert dict(log.left_out) == {
        "of template topi_nn_conv2d (winograd)": 2,
        "of another type than float32": 1,
    }


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 1: not a record"),
        ("[]", "line 1: not a record"),
        ('{"input": []}', "line 1: not a record"),
        (logs.pointwise(0.0), "a cost of 0.0 seconds"),
        (logs.pointwise(0.1).replace("-model=rk3399", ""), "names no -model"),
        (logs.old_pointwise(0.1, kind="winograd"), "no record to replay: 1 of template"),
        ("", "it is empty"),
    ],
)
def test_a_log_it_cannot_use_is_refused_in_a_line(tmp_path: Path, line: str, says: str) -> None:
    path = logs.write(tmp_path / "a.log", line)
    with pytest.raises(UserError, match=says.replace("(", r"\(")) as caught:
        records.read_log(path)
    assert "a.log" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_broken_line_leaves_the_others(tmp_path: Path) -> None:
    lines = ["{", logs.pointwise(0.1), '{"input": 3}', logs.depthwise(0.2)]
    (log,) = records.read_log(logs.write(tmp_path / "a.log", *lines))
    assert [record.seconds for record in log.records] == [0.1, 0.2]
    ((why, count),) = log.left_out
    assert (count, "line 1: not a record" in why) == (2, True)


def test_a_log_it_cannot_use_leaves_the_others(tmp_path: Path) -> None:
    logs.write(tmp_path / "a.log", logs.old_pointwise(0.1, kind="winograd"))
    logs.write(tmp_path / "b.log", logs.pointwise(0.1))
    (tmp_path / "c.log").write_bytes(b"\xff\xfe")
    said: list[str] = []
    (log,) = records.read_logs([tmp_path], tell=said.append)
    assert log.path.name == "b.log"
    assert ["a.log" in said[0], "c.log" in said[1]] == [True, True]


def test_a_target_may_be_json_and_spell_features_as_in_2018(tmp_path: Path) -> None:
    """As later versions of TVM can write it; LLVM has forgotten -d16 since."""
    target = {
        "kind": "llvm",
        "keys": ["arm_cpu", "cpu"],
        "model": "pynq",
        "mtriple": "armv7a-linux-eabi",
        "mattr": ["+vfp3", "-d16", "+neon"],
    }
    path = logs.write(tmp_path / "a.log", logs.pointwise(0.1, target=json.dumps(target)))
    (log,) = records.read_log(path)
    board = boards.board_of(log.records[0])
    assert (board.target.name, board.target.arch) == ("pynq", "arm")
    assert "-mtriple=armv7a-linux-eabi -mattr=+vfp3,+neon " in board.tvm_target


def test_a_triple_that_is_no_arms_is_refused(tmp_path: Path) -> None:
    target = logs.TARGET.replace("aarch64-linux-gnu", "hexagon")
    (log,) = records.read_log(logs.write(tmp_path / "a.log", logs.pointwise(1, target=target)))
    with pytest.raises(UserError, match=r"a\.log:1.*-mtriple=hexagon"):
        boards.board_of(log.records[0])


def test_a_board_nobody_knows_leaves_the_others(tmp_path: Path) -> None:
    other = logs.TARGET.replace("rk3399", "toaster")
    logs.write(tmp_path / "a.log", logs.pointwise(1e-4), logs.pointwise(1e-4, target=other))
    command = [sys.executable, "-m", "bench.core_model", str(tmp_path), "--jobs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "left out: no target file describes the log's board -model=toaster" in done.stdout
    assert "1 records of rk3399" in done.stdout


def test_missing_logs_are_refused(tmp_path: Path) -> None:
    for paths in ([], [tmp_path], [tmp_path / "absent.log"]):
        with pytest.raises(UserError, match="log"):
            records.read_logs(paths)


def test_a_board_keeps_its_cores_and_takes_the_logs_architecture(tmp_path: Path) -> None:
    arm32 = logs.TARGET.replace("aarch64", "armv7l").replace("gnu ", "gnueabihf ")
    lines = [logs.pointwise(0.1, target=arm32.replace("rk3399", "bcm2837")), logs.old_depthwise(1)]
    small, big = (
        log.records[0] for log in records.read_log(logs.write(tmp_path / "a.log", *lines))
    )
    pi, rock = boards.board_of(small), boards.board_of(big)
    assert pi.target.arch == "arm"
    assert (pi.target.fast.cpu, pi.threads) == ("cortex-a53", 4)
    assert "-mtriple=armv7l-linux-gnueabihf -mattr=+neon -mfloat-abi=hard" in pi.tvm_target
    assert "-mcpu" not in pi.tvm_target
    assert rock.target.arch == "aarch64"
    assert (rock.target.fast.cpu, rock.threads) == ("cortex-a72", 2)
    assert "-mattr" not in rock.tvm_target


def test_an_unknown_board_names_the_known_ones(tmp_path: Path) -> None:
    target = logs.TARGET.replace("rk3399", "toaster")
    (log,) = records.read_log(logs.write(tmp_path / "a.log", logs.pointwise(1, target=target)))
    with pytest.raises(UserError, match=r"-model=toaster.*rk3399"):
        boards.board_of(log.records[0])


def test_each_config_is_a_case_and_the_fastest_is_the_networks(tmp_path: Path) -> None:
    args = [*logs.tensors(512, 512, 14, 1, 512), [1, 1], [0, 0, 0, 0], [1, 1], "float32"]
    name = "conv2d_nchw_spatial_pack.arm_cpu"
    slow, fast = logs.other_tile(1), logs.other_tile(2)
    path = logs.write(
        tmp_path / "a.log",
        logs.new(args, slow, 0.5, name),
        logs.new(args, fast, 0.25, name),
        logs.new(args, fast, 0.35, name),
        logs.pointwise(0.5),
    )
    read = records.read_log(path)
    cases = selection.cases_of(read, everything=False)["rk3399"]
    assert [(case.seconds, case.calls, case.paired) for case in cases] == [
        (0.5, 0, True),
        (pytest.approx(0.3), 5, True),
    ]
    assert cases[1].record.seconds == 0.25
    assert len(selection.cases_of(read, everything=True)["rk3399"]) == 3


def test_the_networks_convolutions_are_the_papers() -> None:
    calls = mobilenet_calls()
    assert sum(calls.values()) == CONVOLUTIONS == 27
    assert len(calls) == 19
    # 568.7 million multiply-adds, of which the classifier has 1.0.
    assert sum(one.flops * count for one, count in calls.items()) == 2 * (568_740_352 - 1_024_000)


@pytest.mark.skipif(not TOPHUB, reason="MNC_BOARD_LOGS names no folder of boards' logs")
def test_published_logs_hold_the_whole_network() -> None:
    read = records.read_logs([Path(TOPHUB)])
    for cases in selection.cases_of(read, everything=False).values():
        assert sum(case.calls for case in cases) == 27
        assert all(json.loads(case.record.knobs) for case in cases)
