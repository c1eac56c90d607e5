# SPDX-License-Identifier: Apache-2.0
"""Logs: what is appended is read back, whatever else the file holds and however the writer died."""

import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from mnc.compile.records import line_codec, ranking
from mnc.compile.records.tuning_log import TuningLog
from mnc.support.errors import UserError
from tests.compile.records.trials import NAME, TARGET, failed, line_of, made, read, write


def test_appended_trials_are_read_back_equal(tmp_path: Path) -> None:
    log = tmp_path / "new folder é" / "net.jsonl"
    trials = [made(0, costs=(2e-3, 1e-3, 3e-3)), failed(1), made(2, threads=2, seconds=0.4)]
    write(log, *trials)
    assert read(log).trials == trials
    assert read(log).trials[0].cost == 2e-3
    assert math.isinf(read(log).trials[1].cost)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"rubbish\n", "not a record"),
        (b"\xff\xfe\x00\n", "not a record"),
        (b"{}\n", "not a record"),
        (b"[" * 100_000 + b"\n", "not a record"),
        (line_of(config={"index": -1, "code_hash": None, "entity": []}), "not a record"),
        (line_of(input=[TARGET, NAME, {"a": 1}, {}]), "not a record"),
        (line_of(result=[[math.nan], 0, 1.0, 1.0]), "a cost that is no time"),
        (line_of(result=[[math.inf], 0, 1.0, 1.0]), "a cost that is no time"),
        (line_of(result=[[-1e-3], 0, 1.0, 1.0]), "a cost that is no time"),
        (line_of(result=[[1e-3, 0.0], 0, 1.0, 1.0]), "a cost that is no time"),
        (line_of(result=[[1e-300], 0, 1.0, 1.0]), "a cost that is no time"),
        (line_of(result=[[1e-3, 9e-10], 0, 1.0, 1.0]), "a cost that is no time"),
        (line_of(result=[[1e-3], 0, 1.0, 1e18]), "from the far future"),
        (line_of(result=[[1e-3], 0, 1.0, 4e9]), "from the far future"),
        (line_of(result=[[1e9], 4, 1.0, 4e9]), "from the far future"),
        (line_of(result=[[1e9], 0, 1.0, 1.0]), "a cost that is no time"),
        (line_of(result=[[], 0, 1.0, 1.0]), "no cost"),
        (line_of(tvm_version="0.18.0"), "made by TVM 0.18.0, not 0.19.0"),
        (line_of(version=0.1), "in log format 0.1, not 0.2"),
    ],
)
def test_unusable_lines_are_skipped_with_a_reason(tmp_path: Path, line: bytes, reason: str) -> None:
    log = tmp_path / "net.jsonl"
    log.write_bytes(line_of() + line + b"# a comment\n\n" + line_of())
    before = log.read_bytes()
    with TuningLog.open(log, exclusive=True) as opened:
        assert len(opened.trials) == 2
        assert opened.skipped == {reason: 1}
    assert log.read_bytes() == before


def test_opening_for_adding_cuts_off_a_torn_line(tmp_path: Path) -> None:
    log = tmp_path / "net.jsonl"
    whole = line_of()
    for cut in range(1, len(whole) - 1):
        log.write_bytes(whole + whole[:cut])
        with TuningLog.open(log, exclusive=True) as opened:
            assert len(opened.trials) == 1
            opened.append(made(7))
        assert [t.config.index for t in read(log).trials] == [0, 7]
        assert not read(log).skipped


def test_a_whole_line_without_newline_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "net.jsonl"
    log.write_bytes(line_of().rstrip(b"\n"))
    with TuningLog.open(log, exclusive=True) as opened:
        opened.append(made(7))
    assert [t.config.index for t in read(log).trials] == [0, 7]


@pytest.mark.parametrize(
    "tail",
    [
        b"# tuned at home",
        b"{note: tuned at home",
        b'{"tuned": "at home',
        b'{"input": tuned at home',
        line_of().rstrip() + line_of()[:50],
        b"\0",
        line_of()[:50] + bytes(100),
    ],
)
def test_a_last_line_that_is_no_torn_record_is_left_alone(tail: bytes, tmp_path: Path) -> None:
    log = tmp_path / "net.jsonl"
    log.write_bytes(line_of() + tail)
    write(log, made(7))
    assert log.read_bytes().startswith(line_of() + tail + b"\n")
    assert [t.config.index for t in read(log).trials] == [0, 7]


@pytest.mark.parametrize("end", [b"\r", b"\r\n", b"\n"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_marks_of_any_editor_are_read_and_kept(
    end: bytes, last: bool, mark: bytes, tmp_path: Path
) -> None:
    log = tmp_path / "net.jsonl"
    lines = [line_codec.encode_line(made(index)).rstrip() for index in range(3)]
    before = mark + end.join(lines) + (end if last else b"")
    log.write_bytes(before)
    assert [t.config.index for t in read(log).trials] == [0, 1, 2]
    write(log, made(7))
    assert log.read_bytes().startswith(before)
    assert [t.config.index for t in read(log).trials] == [0, 1, 2, 7]
    assert not read(log).skipped


def test_a_torn_line_after_cr_line_ends_is_all_that_is_cut_off(tmp_path: Path) -> None:
    log = tmp_path / "net.jsonl"
    whole = line_of().rstrip() + b"\r"
    log.write_bytes(whole + line_of()[:60])
    write(log)
    assert log.read_bytes() == whole


def test_a_clock_a_little_ahead_is_believed(tmp_path: Path) -> None:
    log = tmp_path / "net.jsonl"
    write(log, made(0, when=time.time() + 86400))
    assert len(read(log).trials) == 1


def test_reading_changes_nothing(tmp_path: Path) -> None:
    log = tmp_path / "net.jsonl"
    torn = line_of() + line_of()[:50]
    log.write_bytes(torn)
    assert len(read(log).trials) == 1
    assert log.read_bytes() == torn
    assert read(tmp_path / "absent.jsonl").trials == []
    assert not (tmp_path / "absent.jsonl").exists()


def test_only_this_device_s_records_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "net.jsonl"
    other = TARGET.replace("x86-test-znver3", "x86-test")  # a prefix is another device too
    unnamed = "llvm -keys=cpu -mcpu=znver3"
    write(log, made(0), made(1, target=other), made(2, target=unnamed))
    opened = read(log, target=TARGET + " -libs=none")
    assert [t.config.index for t in opened.trials] == [0]
    assert opened.skipped == {"for another device": 2}
    assert opened.other_models == {"x86-test": 1, "unnamed": 1}
    assert read(log, target=unnamed).trials == []


def test_a_second_writer_is_refused_by_the_first_one_s_pid(tmp_path: Path) -> None:
    log = tmp_path / "net.jsonl"
    with TuningLog.open(log, exclusive=True) as first:
        with pytest.raises(UserError, match=f"process {os.getpid()}") as refused:
            TuningLog.open(log, exclusive=True)
        assert "\n" not in str(refused.value)
        first.append(made())
        assert len(read(log).trials) == 1
    write(log, made(1))
    assert len(read(log).trials) == 2


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    log = tmp_path / "net.jsonl"
    code = f"""
        import os, time
        from pathlib import Path
        from mnc.compile.records.tuning_log import TuningLog
        log = TuningLog.open(Path({str(log)!r}), exclusive=True)
        if os.fork():
            os._exit(0)
        print("child", os.getpid(), flush=True)
        time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline().split()[1])
        parent.wait()
        try:
            write(log, made())
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_replaced_log_is_noticed(tmp_path: Path) -> None:
    log = tmp_path / "net.jsonl"
    with TuningLog.open(log, exclusive=True) as opened:
        log.unlink()
        log.touch()
        with pytest.raises(UserError, match="replaced"):
            opened.append(made())


@pytest.mark.parametrize("path", ["folder", "file/net.jsonl", "/proc/net.jsonl"])
def test_a_path_that_cannot_be_a_log_is_one_line(tmp_path: Path, path: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write") as refused:
        TuningLog.open(tmp_path / path, exclusive=True)
    assert "\n" not in str(refused.value)


def test_a_log_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        read(tmp_path)


def test_a_full_disk_is_one_line_and_leaves_the_log_whole(tmp_path: Path) -> None:
    log = tmp_path / "net.jsonl"
    write(log, made(0))
    code = f"""
        import resource, signal
        from pathlib import Path
        from mnc.compile.records.tuning_log import TuningLog
        from mnc.support.errors import UserError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        path = Path({str(log)!r})
        size = path.stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, size + 50))
        with TuningLog.open(path, exclusive=True) as log:
            try:
                log.append(log.trials[0])
            except UserError as error:
                print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"cannot write {log}")
    assert log.read_bytes() == line_codec.encode_line(made(0))


def test_killed_writers_lose_and_repeat_nothing(tmp_path: Path) -> None:
    """Twelve writers in turn, each killed at some moment, count on from what the log holds."""
    log = tmp_path / "net.jsonl"
    code = f"""
        import sys
        from pathlib import Path
        import msgspec
        from mnc.compile.records.tuning_log import TuningLog
        from mnc.compile.records.trial import Config
        from mnc.compile.records.ranking import measured
        with TuningLog.open(Path({str(log)!r}), exclusive=True) as log:
            first = log.trials[0]
            tried = measured(log.trials, first.key)
            for index in range(1, 10**9):
                if index in tried:
                    continue
                config = msgspec.structs.replace(first.config, index=index)
                log.append(msgspec.structs.replace(first, config=config))
                print(index, flush=True)
    """
    write(log, made(0))
    said: list[int] = []
    for moment in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            for _ in range(moment + 1):
                said.append(int(writer.stdout.readline()))
            writer.kill()
            said += [int(line) for line in writer.stdout if line.endswith("\n")]
    with TuningLog.open(log, exclusive=True) as opened:
        indices = [t.config.index for t in opened.trials]
    assert indices == list(range(len(indices)))  # none lost, none twice
    assert set(said) <= set(indices)
    assert not read(log).skipped


def test_a_hundred_thousand_lines_are_decoded_once_each_and_shared(tmp_path: Path) -> None:
    log = tmp_path / "net.jsonl"
    lines = [line_codec.encode_line(made(index)) for index in range(100_000)]
    log.write_bytes(b"".join(lines))
    opened = read(log)
    assert len(opened.trials) == 100_000
    # Decoding the arguments of each line anew is what would make a long log slow to open.
    assert opened.trials[0].args is opened.trials[-1].args
    assert len(ranking.best_of_each(opened.trials)) == 1
