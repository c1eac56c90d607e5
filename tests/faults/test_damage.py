# SPDX-License-Identifier: Apache-2.0
"""Altered artifacts, full disks, clocks that jump, odd paths: through the command line."""

import json
import os
import shutil
from pathlib import Path

import pytest

from mnc.compile.artifact import store
from mnc.compile.artifact.manifest import MANIFEST
from mnc.compile.artifact.store import Artifact
from mnc.compile.records import line_codec
from mnc.compile.records.ranking import best, measured, summary
from mnc.compile.records.tuning_log import TuningLog
from tests.compile.records.trials import failed, made, read, write
from tests.faults.conftest import Mnc

VERBS = ("verify", "bench", "profile", "report")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("name", ["library.so", "golden.npz", "labels.txt"])
def test_one_bit_anywhere_is_refused_by_hash(
    mnc: Mnc, small: Artifact, name: str, verb: str
) -> None:
    path = small.folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    said = mnc(verb, small.folder)
    assert said.status == 1 and f"{name} is not the file it was built with" in said.err


def test_altered_kernels_and_graph_are_refused_by_hash(
    mnc: Mnc, built: Artifact, tmp_path: Path
) -> None:
    """What `mnc export` links an app's library of."""
    for name in ("kernels.o", "graph.json"):
        folder = shutil.copytree(built.folder, tmp_path / name)
        with (folder / name).open("ab") as file:
            file.write(b"\0")
        said = mnc("verify", folder)
        assert said.status == 1 and f"{name} is not the file it was built with" in said.err


@pytest.mark.parametrize("name", ["../outside.so", "/etc/passwd", "a/../../outside.so", "sub/x"])
def test_a_manifest_that_points_outside_is_refused(mnc: Mnc, small: Artifact, name: str) -> None:
    path = small.folder / MANIFEST
    fields = json.loads(path.read_bytes())
    fields["files"][name] = fields["files"]["library.so"]
    path.write_text(json.dumps(fields))
    shutil.copy(small.library, small.folder.parent / "outside.so")
    said = mnc("verify", small.folder)
    assert said.status == 1 and "damaged manifest.json" in said.err


def test_a_manifest_with_another_signature_than_the_library_is_refused(
    mnc: Mnc, small: Artifact
) -> None:
    path = small.folder / MANIFEST
    fields = json.loads(path.read_bytes())
    fields["inputs"][0]["shape"] = [1, 3, 30, 30]
    path.write_text(json.dumps(fields))
    for verb in ("bench", "profile", "verify"):
        said = mnc(verb, small.folder)
        assert said.status == 1 and "other inputs or outputs than its manifest says" in said.err


def test_a_clock_that_jumps_changes_nothing(tmp_path: Path) -> None:
    """The log's order counts, not its dates: they go back, stand still, and run ahead."""
    path = tmp_path / "net.jsonl"
    whens = (2e9, 1.0, 0.0, -5.0, 2.1e9, 1.7e9, 1.7e9)
    trials = [made(i, when=when, costs=(1e-3 / (i + 1),)) for i, when in enumerate(whens)]
    # Measured again with an earlier date: the later line counts.
    trials += [failed(6), made(5, when=-1e18, costs=(9e-3,))]
    write(path, *trials)
    known = read(path).trials
    assert [trial.when for trial in known] == [trial.when for trial in trials]
    assert measured(known, known[0].key) == set(range(7))
    top = best(known, known[0].key)
    assert top is not None and top.config.index == 4
    (one,) = summary(known)
    assert one.trials == 7 and one.failures == {"wrong": 1}


def test_a_log_on_a_full_disk_stays_whole(tmpfs: Path) -> None:
    path = tmpfs / "logs" / "net.jsonl"
    with (
        TuningLog.open(path, exclusive=True) as log,
        pytest.raises(Exception, match="No space left"),
    ):
        for index in range(100_000):
            log.append(made(index))
    content = path.read_bytes()
    assert content.endswith(b"\n") and len(content) > 100_000
    kept = read(path)
    assert not kept.skipped and len(kept.trials) == content.count(b"\n") > 100
    assert content == b"".join(line_codec.encode_line(trial) for trial in kept.trials)


def test_a_report_on_a_full_disk_keeps_the_old_one(mnc: Mnc, small: Artifact, tmpfs: Path) -> None:
    out = tmpfs / "page.html"
    words = ("report", small.folder, "--no-run", "--out", out, "--logs", tmpfs / "none")
    assert mnc(*words).status == 0
    before = out.read_bytes()
    fill(tmpfs)
    said = mnc(*words)
    assert said.status == 1 and "cannot write" in said.err and "No space left" in said.err
    assert out.read_bytes() == before and not list(tmpfs.glob(".page*"))


def test_a_build_on_a_full_disk_leaves_nothing(mnc: Mnc, tmpfs: Path) -> None:
    words = ("build", "mobilenet_v1_28", "--no-check", "--logs", tmpfs / "none", "--out")
    said = mnc(*words, tmpfs / "build")  # what it writes is larger than the disk
    assert said.status == 1 and "No space left on device; free space" in said.err
    assert [path for path in tmpfs.rglob("*") if not path.is_dir()] == []
    assert not (tmpfs / "build" / "host" / "mobilenet_v1_28").exists()
    assert os.statvfs(tmpfs).f_bavail > 200


def fill(folder: Path) -> None:
    """Take all of the disk's space."""
    with (folder / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass


@pytest.mark.slow
def test_paths_with_spaces_and_letters_of_all_kinds(
    mnc: Mnc, tmp_path: Path, small: Artifact
) -> None:
    """Tune, build, verify, run and report in a folder whose name is hard to quote."""
    home = tmp_path / "a folder (ü, 模型) 'x' $HOME; é"
    home.mkdir()
    logs, out = home / "my logs", home / "my build"
    tuned = mnc(
        *(
            "tune",
            "mobilenet_v1_28",
            "--logs",
            logs,
            "--trials",
            "4",
            "--tasks",
            "dense",
            "--no-rerank",
        ),
        *("--tuner", "random", "--json"),
    )
    assert tuned.status == 0 and json.loads(tuned.out)["trials"] == 4
    made_at = mnc("build", "mobilenet_v1_28", "--logs", logs, "--out", out)
    assert made_at.status == 0
    folder = out / "host" / "mobilenet_v1_28"
    assert store.load(folder).manifest.kernels
    for words in (("verify",), ("bench", "--seconds", "0.1"), ("profile", "--runs", "1")):
        assert mnc(*words, folder).status == 0
    page = home / "the report.html"
    assert mnc("report", folder, "--out", page, "--logs", logs, "--seconds", "0.1").status == 0
    assert page.read_text(encoding="utf-8").count("<svg") >= 2
