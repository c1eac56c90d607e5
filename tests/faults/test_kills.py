# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments of tune, build and export, each a process of its own as people start it.

Nothing that was known is lost, nothing half-written is found, and what a dead process left is tidied up.
"""

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from mnc.compile.artifact import store
from mnc.compile.artifact.store import Artifact
from mnc.compile.records.tuning_log import TuningLog
from mnc.support.files import sha256
from mnc.targets import load
from tests.faults.conftest import KILLS, ROOT, start

pytestmark = pytest.mark.slow
TRIALS = 40


def kill(process: "subprocess.Popen[bytes]", after: float) -> None:
    """Let it run for some seconds at most, then kill it and what it started is left to end."""
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    _, err = process.communicate()
    assert b"Traceback" not in err, err.decode()
    assert process.returncode in {0, -signal.SIGKILL}, err.decode()


def whole_lines(path: Path) -> list[bytes]:
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1].splitlines()


def test_tune_loses_and_repeats_no_trial(tmp_path: Path) -> None:
    chance, logs = random.Random(1), tmp_path / "logs"
    path = logs / load("host").name / "mobilenet_v1_28.jsonl"
    words = (
        *(
            "tune",
            "mobilenet_v1_28",
            "--logs",
            logs,
            "--tasks",
            "pointwise",
            "--no-rerank",
            "--tuner",
            "random",
        ),
        *("--trials", str(TRIALS + 2 * KILLS), "--json"),
    )
    started = time.monotonic()
    known: list[bytes] = []
    for number in range(KILLS):
        process = start(*words)
        while len(whole_lines(path)) <= len(known) and process.poll() is None:
            time.sleep(0.02)  # at least one trial: a kill before that tests the interpreter
        kill(process, chance.uniform(0, 0.5))
        lines = whole_lines(path)
        assert lines[: len(known)] == known, f"kill {number} lost trials"
        known = lines
    last = start(*words)
    out, err = last.communicate()
    assert last.returncode == 0, err.decode()
    summary = json.loads(out)
    kept = TuningLog.open(path, exclusive=False)
    assert not kept.skipped and time.monotonic() > started
    repeated = Counter((trial.key, trial.config.index) for trial in kept.trials)
    assert max(repeated.values()) == 1
    assert len(kept.trials) == TRIALS + 2 * KILLS == len(known) + summary["trials"]


@pytest.mark.slow
def test_tune_resumes_its_step_in_the_network(tmp_path: Path) -> None:
    """Killed as soon as all trials are known: the next call makes none, and times them in the network."""
    path = tmp_path / load("host").name / "mobilenet_v1_28.jsonl"
    named = ("tune", "mobilenet_v1_28", "--logs", tmp_path, "--tasks", "pointwise")
    words = (*named, "--tuner", "random", "--trials", "16", "--json")
    process = start(*words)
    while len(whole_lines(path)) < 16 and process.poll() is None:
        time.sleep(0.02)
    kill(process, 0.1)
    assert process.returncode == -signal.SIGKILL
    alone = whole_lines(path)
    assert not any(trial.in_network for trial in TuningLog.open(path, exclusive=False).trials)
    for _ in range(2):
        again = start(*words)
        out, err = again.communicate()
        assert again.returncode == 0, err.decode()
        assert json.loads(out)["trials"] == 0
        lines = whole_lines(path)
        assert lines[: len(alone)] == alone
        trials = TuningLog.open(path, exclusive=False).trials[len(alone) :]
        assert trials and all(trial.in_network for trial in trials)
        assert len({trial.when for trial in trials}) == 1  # once, not at each call


def test_build_leaves_a_whole_artifact_or_none(tmp_path: Path) -> None:
    chance, out = random.Random(2), tmp_path / "build"
    folder = out / "host" / "mobilenet_v1_28"
    words = ("build", "mobilenet_v1_28", "--no-check", "--logs", tmp_path / "logs", "--out", out)
    started = time.monotonic()
    assert start(*words).wait() == 0
    duration = time.monotonic() - started
    for _ in range(KILLS):
        # Mostly in the second half, where files are written.
        kill(start(*words), duration * chance.uniform(0.4, 1.05))
        loaded = store.load(folder)  # by hash, each file
        assert loaded.golden().count > 0
    assert start(*words).wait() == 0
    assert [path.name for path in folder.parent.iterdir()] == ["mobilenet_v1_28"]


EXPORT = """
import sys
from pathlib import Path
from mnc.compile.artifact import store as artifact
from mnc.compile.export.exporter import export
from mnc.targets import load
made = artifact.load(Path(sys.argv[1]))
while True:
    export(made, Path(sys.argv[2]), target=load("host"))
    print("exported", flush=True)
"""


def test_export_leaves_a_whole_library_or_none(built: Artifact, tmp_path: Path) -> None:
    chance, folder = random.Random(3), tmp_path / "app library"
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", EXPORT, str(built.folder), str(folder)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"exported\n"
        started = time.monotonic()
        assert process.stdout.readline() == b"exported\n"
        kill(process, (time.monotonic() - started) * chance.uniform(0, 1.2))
        recorded = json.loads((folder / "export.json").read_bytes())["files"]
        present = {path.name for path in folder.iterdir()} - {"export.json"}
        assert present == set(recorded) and len(present) == 3
        for name, digest in recorded.items():
            assert sha256(folder / name) == digest
