# SPDX-License-Identifier: Apache-2.0
"""A line of a log is AutoTVM's own record and one key more; any other is a reason, never an exception."""

import json
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from mnc.compile.records import line_codec
from mnc.compile.records.ranking import best, measured
from mnc.compile.records.trial import Config
from tests.compile.records.trials import KEY, failed, line_of, made, read, write


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
    record = json.loads(line_of())
    del record["mnc"]
    log.write_text(json.dumps(record) + "\n")
    trials = read(log).trials
    assert measured(trials, KEY) == {0}
    assert best(trials, KEY) is None


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


def test_a_message_of_any_text_stays_one_short_line(tmp_path: Path) -> None:
    log = tmp_path / "net.jsonl"
    write(log, msgspec.structs.replace(failed(0), message="a\nb\ud800 " + "x" * 10_000))
    (got,) = read(log).trials
    assert got.message.startswith("a b? x")
    assert len(got.message) == 300
