# SPDX-License-Identifier: Apache-2.0
"""Logs: what is appended is read back, whatever else the file holds and however the writer died."""

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnc.compile.records import line_codec, ranking
from mnc.compile.records.ranking import best, measured, summary
from mnc.compile.records.trial import Config, Trial, task_key
from mnc.compile.records.tuning_log import TuningLog
from mnc.support.errors import UserError

TARGET = "llvm -keys=cpu -mcpu=znver3 -model=x86-test-znver3 -num-cores=2"
ARGS = (("TENSOR", (1, 8, 14, 14, 8), "float32"), (1, 1), "NCHW8c", None)
NAME = "conv2d_NCHWc.x86"
KEY = task_key(NAME, ARGS)


def made(index: int = 0, **changes: Any) -> Trial:
    """A verified trial of 1 ms, changed as asked."""
    knobs = msgspec.Raw(b'[["tile_ic","sp",[-1,8]],["unroll_kw","ot",true]]')
    fields: dict[str, Any] = {
        "key": KEY,
        "name": NAME,
        "args": ARGS,
        "target": TARGET,
        "config": Config(index=index, code_hash=None, entity=knobs),
        "costs": (1e-3,),
        "when": 1.7e9,
        "measurer": "local-v1 threads=1",
        "verified": True,
    }
    return Trial(**(fields | changes))


def failed(index: int, error: str = "wrong") -> Trial:
    """A trial that failed."""
    return made(index, costs=(), error=error, verified=False, message="off by 3")


def write(path: Path, *trials: Trial) -> None:
    """A log of these trials."""
    with TuningLog.open(path, exclusive=True) as log:
        for each in trials:
            log.append(each)


def read(path: Path, **options: Any) -> TuningLog:
    """The log, opened for reading."""
    return TuningLog.open(path, exclusive=False, **options)


def line_of(**changes: Any) -> bytes:
    """A good line with some of its keys replaced."""
    return json.dumps(json.loads(line_codec.encode_line(made())) | changes).encode() + b"\n"


def test_appended_trials_are_read_back_equal(tmp_path: Path) -> None:
    log = tmp_path / "new folder é" / "net.jsonl"
    trials = [made(0, costs=(2e-3, 1e-3, 3e-3)), failed(1), made(2, threads=2, seconds=0.4)]
    write(log, *trials)
    assert read(log).trials == trials
    assert read(log).trials[0].cost == 2e-3
    assert math.isinf(read(log).trials[1].cost)


def test_stock_autotvm_reads_the_log(tmp_path: Path) -> None:
    from tvm import autotvm

    log = tmp_path / "net.jsonl"
    write(log, made(3, costs=(1e-3, 2e-3)), failed(4))
    (first, good), (_, bad) = autotvm.record.load_from_file(str(log))
    assert first.config.to_json_dict()["index"] == 3
    assert first.config["tile_ic"].size == [-1, 8]
    assert first.task.workload == made().workload
    assert good.costs == (1e-3, 2e-3)
    assert bad.error_no == 5


def test_the_tvm_version_is_the_one_installed() -> None:
    import tvm

    installed = (tvm.__version__, tvm.autotvm.record.AUTOTVM_LOG_VERSION)
    assert installed == (line_codec.TVM_VERSION, line_codec.LOG_VERSION)


def test_a_record_of_stock_autotvm_is_a_trial_but_never_chosen(tmp_path: Path) -> None:
    log = tmp_path / "net.jsonl"
    line_codec = json.loads(line_of())
    del line_codec["mnc"]
    log.write_text(json.dumps(line_codec) + "\n")
    trials = read(log).trials
    assert measured(trials, KEY) == {0}
    assert best(trials, KEY) is None


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


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(), st.text().map(lambda text: text.encode("utf-8", "replace"))))
def test_no_line_is_fatal(line: bytes) -> None:
    try:
        line_codec.LineDecoder().decode(line)
    except line_codec.LineError as reason:
        assert str(reason)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(["input", "config", "result", "version", "tvm_version", "mnc"]), JSON)
def test_any_value_in_a_record_gives_a_trial_or_a_reason(key: str, value: Any) -> None:
    line = line_of(**{key: value})
    try:
        got = line_codec.LineDecoder().decode(line)
    except line_codec.LineError as reason:
        assert str(reason)
    else:
        assert line_codec.LineDecoder().decode(line_codec.encode_line(got)).key == got.key


@settings(max_examples=300, deadline=None)
@given(JSON | st.lists(st.tuples(st.text(max_size=5), st.sampled_from(["sp", "ot"]), JSON)))
def test_any_knobs_are_a_config_or_a_value_error(value: Any) -> None:
    entity = msgspec.Raw(json.dumps(value).encode())
    config = Config(index=0, code_hash=None, entity=entity)
    try:
        knobs = config.knobs()
    except ValueError:
        return
    assert [name for name, _, _ in knobs] == [item[0] for item in value]


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


def test_a_last_line_that_is_no_record_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "net.jsonl"
    log.write_bytes(line_of() + b"# tuned at home")
    write(log, made(7))
    assert log.read_bytes().splitlines()[1] == b"# tuned at home"
    assert len(read(log).trials) == 2


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


def test_best_is_the_cheapest_verified_by_its_last_trial() -> None:
    trials = [
        made(0, costs=(5e-3,)),
        made(1, costs=(1e-3,)),
        made(2, costs=(1e-4,), verified=False),
        made(3, costs=(2e-3, 2e-3, 9e-6)),
        made(4, costs=(1e-4,), key="another task"),
    ]
    assert best(trials, KEY) == trials[1]
    trials += [failed(1), failed(3, "device")]
    assert best(trials, KEY) == trials[3]
    assert best(trials, "unknown") is None


def test_costs_of_different_thread_counts_are_not_compared() -> None:
    trials = [made(0, costs=(1e-3,), threads=2), made(1, costs=(2e-3,)), made(2, costs=(3e-3,))]
    assert best(trials, KEY) == trials[1]
    assert ranking.best_of_each(trials) == {KEY: trials[1]}
    assert best([t for t in trials if t.threads == 2], KEY) == trials[0]
    trials.append(made(1, costs=(9e-3,), threads=2))
    assert best(trials, KEY) == trials[1]
    assert measured(trials, KEY) == {0, 1, 2}
    assert summary(trials)[0].trials == 3


def test_what_was_timed_in_the_network_goes_before_what_was_timed_alone() -> None:
    inside = {"measurer": "in-network local-v1 threads=1", "when": 1.8e9}
    alone = [made(0, costs=(1e-3,)), made(1, costs=(2e-3,)), made(2, costs=(3e-3,))]
    reranking = [made(1, costs=(5e-3,), **inside), made(2, costs=(4e-3,), **inside)]
    for trials in (alone + reranking, reranking + alone):
        found = best(trials, KEY)
        assert found == reranking[1] == ranking.best_of_each(trials)[KEY]
        assert summary(trials)[0].best == found
        assert summary(trials)[0].trials == 3
    assert best([*reranking, *alone, made(1, costs=(1e-6,))], KEY) == reranking[1]


def test_only_the_latest_reranking_in_the_network_counts() -> None:
    inside = {"measurer": "in-network local-v1 threads=1"}
    slow_day = [made(i, costs=(5e-3 - 1e-3 * i,), when=1.9e9, **inside) for i in (0, 1)]
    fast_day = [made(i, costs=(1e-4,), when=1.8e9, **inside) for i in (2, 3)]
    assert best(fast_day + slow_day, KEY) == slow_day[1]
    # Where its records are stale, those of kernels timed alone are next.
    alone = made(5)
    found = ranking.best_of_each([*slow_day, alone], accept=lambda trial: trial.config.index == 5)
    assert found[KEY] == alone


def test_in_network_times_with_more_threads_do_not_win_over_fewer() -> None:
    two = made(1, threads=2, costs=(1e-4,), measurer="in-network local-v1 threads=2")
    assert best([two, made(0)], KEY) == made(0)
    assert best([two], KEY) == two


def test_measured_counts_failures_of_the_config_but_not_of_the_device() -> None:
    trials = [made(0), failed(1, "timeout"), failed(2, "device")]
    assert measured(trials, KEY) == {0, 1}


def test_summary_counts_configs_and_failures() -> None:
    trials = [made(0), made(0, costs=(9e-3,)), failed(1, "crash"), made(5, key="b")]
    first, second = summary(trials)
    assert (first.key, first.trials, first.failures) == (KEY, 2, {"crash": 1})
    assert first.best == trials[1]
    assert (second.key, second.trials) == ("b", 1)


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


def test_a_message_of_any_text_stays_one_short_line(tmp_path: Path) -> None:
    log = tmp_path / "net.jsonl"
    write(log, msgspec.structs.replace(failed(0), message="a\nb\ud800 " + "x" * 10_000))
    (got,) = read(log).trials
    assert got.message.startswith("a b? x")
    assert len(got.message) == 300


def test_a_hundred_thousand_lines_are_decoded_once_each_and_shared(tmp_path: Path) -> None:
    log = tmp_path / "net.jsonl"
    lines = [line_codec.encode_line(made(index)) for index in range(100_000)]
    log.write_bytes(b"".join(lines))
    opened = read(log)
    assert len(opened.trials) == 100_000
    # Decoding the arguments of each line anew is what would make a long log slow to open.
    assert opened.trials[0].args is opened.trials[-1].args
    assert len(ranking.best_of_each(opened.trials)) == 1


MODEL = "simulated v1-aaaa cortex-a72-bbbb threads=2"


def test_a_device_s_cost_comes_before_any_simulated_one(tmp_path: Path) -> None:
    real, faster = made(1, costs=(5e-3,)), made(2, costs=(1e-3,), measurer=MODEL, threads=2)
    assert faster.simulated and not real.simulated
    for trials in ([real, faster], [faster, real]):
        assert best(trials, KEY) == real
        assert ranking.best_of_each(trials)[KEY] == real
    write(tmp_path / "log", real, faster)
    assert best(read(tmp_path / "log").trials, KEY) == real
    assert best([faster], KEY) == faster


def test_a_simulated_trial_hides_no_device_s_of_the_same_config() -> None:
    real = made(1, costs=(5e-3,))
    again = made(1, costs=(1e-3,), measurer=MODEL)
    failure = made(1, costs=(), error="wrong", verified=False, measurer=MODEL)
    assert best([real, again, failure], KEY) == real
    assert measured([real, again, failure], KEY) == {1}
    assert summary([real, again])[0].trials == 1


def test_stale_configs_of_a_device_give_way_to_simulated_ones() -> None:
    real, fresh = made(1), made(2, measurer=MODEL)
    accepted = ranking.best_of_each([real, fresh], accept=lambda trial: trial.config.index == 2)
    assert accepted[KEY] == fresh


def test_costs_of_another_core_model_are_not_compared() -> None:
    old = made(1, costs=(1e-3,), measurer=MODEL, when=1.0)
    new = made(2, costs=(2e-3,), measurer=MODEL.replace("aaaa", "cccc"), when=2.0)
    assert best([new, old], KEY) == new
    assert best([old, msgspec.structs.replace(new, verified=False)], KEY) == old
