# SPDX-License-Identifier: Apache-2.0
"""The command line: what it prints, its exit codes, and one clear line for every mistake."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mnc.compile import cli

ROOT = Path(__file__).resolve().parents[3]
SMALL = "mobilenet_v1_28"


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 28x28 network, built by the command line into a path with a space."""
    out = tmp_path_factory.mktemp("out") / "my builds"
    assert cli.run(["-q", "build", SMALL, "--target", "host", "--out", str(out), "--no-check"]) == 0
    (folder,) = out.glob("*/*")
    return folder


def fails(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line a command prints on stderr when it fails."""
    assert cli.run(words) == cli.FAILED
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("mnc: error:")]
    assert len(lines) == 1, captured.err
    assert "Traceback" not in captured.err
    return lines[0]


def answer(words: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    """What a command prints as JSON."""
    capsys.readouterr()
    assert cli.run([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_models_lists_the_published_counts(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["model"]: row for row in answer(["models"], capsys)}
    assert round(rows["mobilenet_v1_1.0_224"]["multiply-adds (M)"], 1) == 568.7
    assert round(rows["mobilenet_v1_1.0_224"]["parameters (M)"], 2) == 4.21
    assert round(rows["mobilenet_v1_0.25_128"]["multiply-adds (M)"]) == 14


def test_a_models_layers_show_what_separability_saves(capsys: pytest.CaptureFixture[str]) -> None:
    layers = answer(["models", SMALL], capsys)
    assert len(layers) == 28
    savings = [row for row in layers if row["of standard"] is not None]
    assert len(savings) == 13
    assert all(row["of standard"] == pytest.approx(row["1/N + 1/Dk^2"]) for row in savings)


def test_targets_and_tasks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert {"host", "arm", "rpi3b"} <= {row["target"] for row in answer(["targets"], capsys)}
    rows = answer(["tasks", SMALL, "--target", "arm"], capsys)
    apart = [row for row in rows if row["kind"] != "fused"]
    assert sum(row["share %"] for row in apart) == pytest.approx(100)
    assert {row["kind"] for row in apart} == {"first conv", "depthwise", "pointwise", "dense"}
    assert 80 < sum(row["share %"] for row in rows if row["kind"] == "fused") < 100
    assert all(row["configs"] > 0 for row in rows)


def test_run_prints_the_top_labels(
    artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "gément.png"
    pixels = np.random.default_rng(0).integers(0, 255, (40, 50), dtype=np.uint8)
    Image.fromarray(pixels).save(photo)
    (one,) = answer(["run", str(artifact), "--image", str(photo)], capsys)
    assert len(one["top"]) == 5
    shares = [share for _, share in one["top"]]
    assert shares == sorted(shares, reverse=True)
    assert cli.run(["run", str(artifact), "--image", str(photo), "--top", "2"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_verify_and_profile(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checks = answer(["verify", str(artifact)], capsys)
    assert {check["compared with"] for check in checks} == {"golden outputs", "PyTorch"}
    assert all(check["ok"] for check in checks)
    made = answer(["profile", str(artifact), "--runs", "3", "--threads", "1"], capsys)
    # Each of the 13 depthwise layers may be fused with the layer before it.
    kinds = [layer["kind"] for layer in made["layers"]]
    assert len(kinds) >= 13 + 2 and kinds.count("fused") + kinds.count("depthwise") == 13
    assert not any(layer["note"] for layer in made["layers"])


def test_an_artifact_runs_without_torch(artifact: Path, tmp_path: Path) -> None:
    photo = tmp_path / "a.png"
    Image.new("L", (28, 28), 40).save(photo)
    (tmp_path / "torch.py").write_text("raise ImportError('torch is not installed')\n")
    paths = (str(tmp_path), os.environ.get("PYTHONPATH", ""))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-m", "mnc", "run", str(artifact), "--image", str(photo)]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "%" in done.stdout


def test_an_altered_output_fails_verification_by_hash(
    artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    copy = tmp_path / "altered"
    shutil.copytree(artifact, copy)
    with (copy / "golden.npz").open("r+b") as file:
        file.seek(400)
        file.write(b"\xff")
    assert "golden.npz is not the file it was built with" in fails(["verify", str(copy)], capsys)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["build", "mobilenet_v9"], "unknown model 'mobilenet_v9'"),
        (["build", SMALL, "--target", "x68"], "unknown target 'x68'"),
        (["build", SMALL, "--input-shape", "1,2"], "takes images of"),
        (["build", SMALL, "--input-shape", "big"], "write it as 1,3,224,224"),
        (["build", SMALL, "--input-shape", "x=1,2", "--input-shape", "1,2"], "name each once"),
        (["build", SMALL, "--input-shape", "x=1,2", "--input-shape", "x=1,2"], "name each once"),
        (["build", SMALL, "--weights", "no/such.pth"], "no/such.pth"),
        (["tasks", "nowhere.module:net", "--input-shape", "1,3,8,8"], "nowhere"),
        (["tune", SMALL, "--device", "rpc://"], "rpc://"),
        (["tune", SMALL, "--tasks", "wide"], "unknown task kind 'wide'"),
        (["run", "no/artifact", "--image", "x.png"], "no artifact at no/artifact"),
        (["run", "A", "--image", "x.png", "--mean", "1,b"], "--mean '1,b' is no number"),
        (["verify", "."], "no artifact"),
        (["quantize", SMALL, "--calibration", "no/folder"], "no folder of images to calibrate"),
        (["quantize", SMALL, "--keep-float", "nothing"], "no layer is called 'nothing'"),
    ],
)
def test_a_mistake_is_one_clear_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in fails(words, capsys)


def test_a_wrong_target_is_refused_before_pytorch_is_loaded() -> None:
    verbs = ["build", "tune", "tasks", "family", "rerank", "explain"]
    code = f"""
import sys
from mnc.compile import cli
print([cli.run([verb, {SMALL!r}, "--target", "x68"]) for verb in {verbs}], "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[-2] == f"{[cli.FAILED] * len(verbs)} False"
    assert done.stderr.count("unknown target 'x68'") == len(verbs)


def test_bad_images_are_named(
    artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no pixels here")
    assert "not an image" in fails(["run", str(artifact), "--image", str(text)], capsys)
    gone = str(tmp_path / "gone.jpg")
    assert "no image file" in fails(["run", str(artifact), "--image", gone], capsys)


def test_a_folder_that_is_no_artifact_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "arm" / SMALL
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("years of work")
    words = ["build", SMALL, "--target", "arm", "--out", str(tmp_path)]
    assert "is no artifact, so it is kept" in fails(words, capsys)
    assert (folder / "thesis.txt").read_text() == "years of work"


def test_wrong_usage_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["build", "--no-such-flag"]) == 2
    assert cli.run(["no-such-verb"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--help"]) == 0
    text = capsys.readouterr().out
    for verb in (
        "models",
        "targets",
        "tasks",
        "tune",
        "build",
        "run",
        "bench",
        "profile",
        "verify",
    ):
        assert verb in text


def test_make_help_lists_every_target() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = (ROOT / "Makefile").read_text().splitlines()
    phony = [line.split(":")[0] for line in lines if re.match(r"[a-z0-9-]+:.*## ", line)]
    assert phony
    assert all(f"make {name}" in done.stdout for name in phony)
