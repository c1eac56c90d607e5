# SPDX-License-Identifier: Apache-2.0
"""The command line for people and programs: help, completion, JSON, quiet, colour, time left."""

import io
import json
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from mnc.compile import cli
from mnc.compile.artifact.store import Artifact
from mnc.compile.cli.reporting import SHELLS
from mnc.compile.cli.spinner import time_left, working

ROOT = Path(__file__).resolve().parents[3]


def complete(*words: str, shell: str = "bash") -> list[str]:
    """What a shell would offer for the last of the words."""
    done = subprocess.run(
        [sys.executable, "-m", "mnc"],
        cwd=ROOT,
        env={
            **os.environ,
            "_MNC_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": " ".join(["mnc", *words]),
            "COMP_CWORD": str(len(words)),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_every_verb_s_help_reads_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--help"]) == 0
    listed = capsys.readouterr().out.partition("Commands:")[2]
    assert "..." not in listed and len(listed.strip().splitlines()) == len(cli.cli.commands)
    for name, verb in cli.cli.commands.items():
        assert cli.run([name, "--help"]) == 0
        text = capsys.readouterr().out
        for option in verb.params:
            if option.param_type_name == "option":
                assert getattr(option, "help", None), f"{name} {option.name} has no help"
        assert max(map(len, text.splitlines())) <= 100


def test_every_verb_that_prints_a_table_has_json() -> None:
    without = {"completion", "device", "doctor", "simulate-worker"}
    for name, verb in cli.cli.commands.items():
        options = {word for option in verb.params for word in option.opts}
        assert "--json" in options or name in without, name


def test_names_are_completed() -> None:
    assert complete("ver") == ["verify"]
    assert complete("tune", "--target", "rk33") == ["rk3399"]
    assert complete("build", "mobilenet_v1_28") == [
        *("mobilenet_v1_28", "mobilenet_v1_28_mnist", "mobilenet_v1_28_qat")
    ]


@pytest.mark.parametrize("shell", sorted(SHELLS))
def test_the_script_is_the_shell_s(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"_MNC_COMPLETE={shell}_complete" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


PLAIN = {name: value for name, value in os.environ.items() if not name.endswith("_COLOR")}


def on_a_terminal(words: list[str], **environment: str) -> str:
    """What a command prints on a terminal."""
    here, there = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mnc", *words],
        cwd=ROOT,
        env={**PLAIN, "TERM": "xterm-256color", "COLUMNS": "100", **environment},
        stdin=there,
        stdout=there,
        stderr=there,
    )
    os.close(there)
    said = b""
    while True:
        try:
            data = os.read(here, 4096)
        except OSError:  # the terminal is closed with its last user
            break
        if not data:
            break
        said += data
    os.close(here)
    process.wait()
    return said.decode()


COLOUR = re.compile(r"\x1b\[[\d;]*3[0-7]m|\x1b\[38;")


def test_colours_only_where_they_are_wanted(tmp_path: Path) -> None:
    words = ["verify", str(tmp_path / "none")]
    assert COLOUR.search(on_a_terminal(words))
    assert not COLOUR.search(on_a_terminal(words, NO_COLOR="1"))
    piped = subprocess.run(
        [sys.executable, "-m", "mnc", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "\x1b" not in piped.stderr and piped.stderr.startswith("mnc: error: ")


def test_a_terminal_sees_what_takes_long(tiny_artifact: Artifact) -> None:
    words = ["bench", str(tiny_artifact.folder), "--seconds", "0.3"]
    assert "timing tiny for 0.3 s each" in on_a_terminal(words)
    assert "timing tiny" not in on_a_terminal(["--quiet", *words])


def test_the_time_left_is_learnt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNC_CACHE", str(tmp_path))
    shown = []
    for _ in range(2):
        out = io.StringIO()
        with working("building a house", Console(file=out, force_terminal=True, width=80)):
            time.sleep(0.8)
        shown.append(out.getvalue())
    assert "building a house" in shown[0] and "left" not in shown[0]
    assert re.search(r"about \d+ s left", shown[1])  # 1 s where nothing else runs
    assert time_left(3.2, 10.0) == ", about 7 s left"
    assert time_left(12.0, 10.0) == ", 12 s so far"
    out = io.StringIO()
    with working("building a house", Console(file=out)):
        pass
    assert out.getvalue() == ""


@pytest.mark.slow
def test_build_gives_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["build", "mobilenet_v1_28", "--out", str(tmp_path / "out"), "--logs", str(tmp_path)]
    assert cli.run([*words, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert Path(made["artifact"]).is_dir() and made["tuned"] == 0 and len(made["default"]) >= 12
    assert all(row["ok"] for row in made["parity"])
    assert [row["runtime"] for row in made["latency"]] == ["mnc", "PyTorch"]
