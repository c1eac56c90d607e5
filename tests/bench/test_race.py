# SPDX-License-Identifier: Apache-2.0
"""Races of real processes: PyTorch and stock TVM, in the project's environment, on a tiny network."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bench import environments, judging, race
from bench.peer import Peer
from bench.peers import find
from bench.recipes import ModelFiles
from bench.results import Entry
from bench.worker_process import Worker
from mnc.support.errors import UserError

KNOWN = {peer.key: peer for peer in find(None)}
EAGER, SCRIPT = KNOWN["torch"], KNOWN["torch-script"]
SHAPE = (1, 3, 16, 16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What convert/exchange.py writes, of a network of two layers."""
    torch.manual_seed(0)
    made = tmp_path_factory.mktemp("model")
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU6(), nn.Flatten(), nn.Linear(1568, 5)).eval()
    inputs = torch.rand((3, *SHAPE)) * 2 - 1
    with torch.no_grad():
        expected = np.stack([net(one).numpy() for one in inputs])
        traced = torch.jit.trace(net, inputs[0])  # type: ignore[no-untyped-call]
        torch.jit.save(traced, str(made / "model.pt"))
        torch.export.save(torch.export.export(net, (inputs[0],)), made / "model.pt2")
    np.save(made / "inputs.npy", inputs.numpy())
    np.save(made / "expected.npy", expected)
    return made


def run(folder: Path, *peers: Peer, rounds: int = 2) -> tuple[Entry, ...]:
    cpu = min(os.sched_getaffinity(0))
    entries, busy = race.contest(
        peers,
        folder,
        failures={"ncnn_file": "no such converter"},
        threads=1,
        cpus=[cpu],
        rounds=rounds,
        say=lambda text: None,
    )
    assert 0 <= busy <= 1.1
    return entries


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.01)


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0]
    except FileNotFoundError:
        return "gone"


@pytest.mark.slow
def test_all_are_timed_in_every_round_and_compared(folder: Path) -> None:
    eager, script, left_out = run(folder, EAGER, SCRIPT, KNOWN["ncnn"], rounds=3)
    for entry in (eager, script):
        assert entry.why == ""
        assert entry.error is not None and entry.error < 1e-5  # float32 sums in any order
        assert len(entry.rounds) == 3 and entry.calls == 3 * race.CALLS
        assert entry.minimum is not None and entry.low is not None and entry.median is not None
        assert 0 < entry.minimum <= entry.low <= entry.median
        assert entry.version.startswith("2.13")
        assert entry.library_bytes is not None and entry.library_bytes > 1e7
    assert eager.model_bytes == (folder / "model.pt2").stat().st_size
    assert (left_out.why, left_out.median) == ("no such converter", None)


@pytest.mark.slow
def test_wrong_outputs_get_no_time(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    truth = np.load(tmp_path / "expected.npy")
    truth[1, 0, 2] += 1e-3 * np.abs(truth[1]).max()
    np.save(tmp_path / "expected.npy", truth)
    (entry,) = run(tmp_path, EAGER)
    assert entry.why.startswith("wrong: differs from PyTorch by 1.0e-03")
    assert entry.median is None
    (tmp_path / "int8").mkdir()
    for name in ("model.pt2", "inputs.npy"):
        (tmp_path / "int8" / name).write_bytes((folder / name).read_bytes())
    np.save(tmp_path / "int8" / "expected.npy", -truth)
    (entry,) = run(tmp_path, dataclasses.replace(EAGER, precision="int8"))
    assert entry.why.startswith("wrong: the likeliest class is float32's in 0% of the crops")


@pytest.mark.slow
def test_a_runtime_that_cannot_load_is_left_out_with_its_own_words(tmp_path: Path) -> None:
    (entry,) = run(tmp_path, SCRIPT)
    assert "model.pt" in entry.why and "\n" not in entry.why


@pytest.mark.slow
def test_a_frozen_worker_is_stopped_on_its_processor_and_dies_with_its_driver(folder: Path) -> None:
    cpu = max(os.sched_getaffinity(0))
    driver = f"""
import sys, time
from pathlib import Path
from bench.peers import find
from bench.worker_process import Worker
(peer,) = find("torch-script")
worker = Worker(peer, Path({str(folder)!r}), threads=1, cpus=[{cpu}])
worker.freeze()
print(worker._process.pid, flush=True)
time.sleep(600)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", driver], stdout=subprocess.PIPE, text=True, cwd=environments.ROOT
    )
    assert process.stdout is not None
    with process.stdout as output:
        pid = int(output.readline())
    until(lambda: state(pid) == "T")
    assert os.sched_getaffinity(pid) == {cpu}
    process.send_signal(signal.SIGKILL)
    process.wait()
    until(lambda: state(pid) in ("gone", "Z"))


@pytest.mark.slow
def test_a_killed_worker_says_how_it_ended(folder: Path) -> None:
    with Worker(SCRIPT, folder, threads=1, cpus=[]) as worker:
        os.kill(worker._process.pid, signal.SIGKILL)
        with pytest.raises(UserError, match="SIGKILL"):
            worker.ask("run", untimed=0, calls=1)


def test_the_error_is_relative_to_each_examples_largest_logit() -> None:
    truth = np.array([[1.0, -2.0], [100.0, 50.0]])
    found = np.array([[1.0, -2.02], [100.0, 50.5]])
    alike = judging.likeness(truth, found)
    assert alike.error == pytest.approx(0.01)
    assert alike.logit_error == pytest.approx(
        (0.02**2 + 0.5**2) ** 0.5 / (1 + 4 + 1e4 + 2500) ** 0.5
    )
    assert alike.agreement == 1.0
    assert judging.likeness(truth, np.array([[1.0, -2.0], [100.0, 101.0]])).agreement == 0.5
    assert judging.likeness(truth, np.full((2, 2), np.nan)).error == float("inf")


def test_pauses_see_what_others_use() -> None:
    cpu = min(os.sched_getaffinity(0))
    spin = f"import os\nos.sched_setaffinity(0, {{{cpu}}})\nprint(flush=True)\nwhile True: pass"
    busy = race.Busy([cpu])
    spinner = subprocess.Popen([sys.executable, "-c", spin], stdout=subprocess.PIPE)
    try:
        assert spinner.stdout is not None
        spinner.stdout.readline()
        busy.pause(0.5)
    finally:
        spinner.kill()
        spinner.wait()
        assert spinner.stdout is not None
        spinner.stdout.close()
    assert busy.share > 0.8


@pytest.mark.slow
def test_model_files_are_made_once_and_a_failure_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNC_CACHE", str(tmp_path))
    said: list[str] = []
    for _ in range(2):
        files = ModelFiles("mobilenet_v1_0.1_64", "0" * 64, "cpu", said.append)
        files.make("exchange")
        files.make("stock_tvm_tuned")
    assert said == ["mobilenet_v1_0.1_64: exchange"]
    assert json.loads((files.folder / "cpu.json").read_text())["cores"] >= 1
    assert files.failures == {
        "stock_tvm_tuned": "not tuned to the end on this CPU; --tune TRIALS does it, in hours"
    }
    broken = ModelFiles("no_such_network", "0" * 64, "cpu", said.append)
    broken.make("stock_tvm")
    assert "unknown model 'no_such_network'" in broken.failures["exchange"]
    assert broken.failures["stock_tvm"] == f"exchange: {broken.failures['exchange']}"
