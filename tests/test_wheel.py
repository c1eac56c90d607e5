# SPDX-License-Identifier: Apache-2.0
"""The wheel, installed into an empty environment: all that the checkout does, from any folder."""

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.heavy
NETWORK = "mobilenet_v1_28"


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel in it and nothing of the checkout; commands run in `folder`."""

    python: Path
    folder: Path

    def run(self, *words: str | Path) -> str:
        """What a command of the environment prints; it must succeed."""
        clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MNC_LOGS")}
        done = subprocess.run(
            [str(self.python.with_name(str(words[0]))), *map(str, words[1:])],
            cwd=self.folder,
            env=clean,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made of a copy of what is committed or changed, so that nothing that lies about gets in."""
    copy, out = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheel")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout
    packed = subprocess.run(
        ["tar", "-c", "--null", "--ignore-failed-read", "-T", "-"],
        cwd=ROOT,
        input=names,
        capture_output=True,
        check=True,
    )
    subprocess.run(["tar", "-x"], cwd=copy, input=packed.stdout, check=True)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(out)]
    subprocess.run([*pip, str(copy)], check=True)
    (made,) = out.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("somewhere")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python")]
    # Python compiles what is imported; pip would compile all of PyTorch.
    options = ["--quiet", "--no-compile", "--constraint", str(ROOT / "constraints.txt")]
    subprocess.run([*pip, "install", *options, str(wheel)], check=True)
    work = folder / "work"
    work.mkdir()
    return Installed(environment / "bin" / "python", work)


@pytest.mark.slow
def test_one_name_is_installed(installed: Installed) -> None:
    code = (
        "import importlib.util as u; print([n for n in "
        "'mnc model targets support compile tuning_logs bench tests'.split() if u.find_spec(n)])"
    )
    assert installed.run("python", "-c", code) == "['mnc']\n"
    assert installed.run("python", "-m", "mnc", "--version") == installed.run("mnc", "--version")


@pytest.mark.slow
def test_it_tunes_builds_runs_and_exports_from_any_folder(installed: Installed) -> None:
    (installed.folder / "model.py").write_text("raise SystemExit('the wrong model')\n")
    tuned = installed.run(
        "mnc", "tune", NETWORK, "--target", "host", "--trials", "4", "--tasks", "pointwise",
        "--no-rerank",
    )  # fmt: skip
    (log,) = (installed.folder / "tuning_logs").glob(f"*/{NETWORK}.jsonl")
    assert "4 trials" in tuned and len(log.read_text().splitlines()) == 4
    built = installed.run("mnc", "build", NETWORK, "--target", "host")
    (manifest,) = (installed.folder / "build").glob(f"*/{NETWORK}/manifest.json")
    assert "golden outputs" in built and f"log {log.relative_to(installed.folder)}" in built
    assert "yes" in installed.run("mnc", "verify", manifest.parent)
    installed.run("mnc", "export", manifest.parent)
    assert list((installed.folder / "build").glob(f"*/{NETWORK}-export/*.h"))


@pytest.mark.slow
def test_committed_logs_are_inside_and_only_read(installed: Installed) -> None:
    """With none of one's own, and with one's own in another folder."""
    committed = list(installed.python.parents[1].glob("lib/*/site-packages/mnc/tuning_logs/*/*"))
    before = {path: path.read_bytes() for path in committed}
    words = ("mnc", "build", "--target", "rk3399", "--no-check", "--out", "arm")
    built = installed.run(*words)
    assert "tuned kernels: 0 of" not in built and "simulated costs" in built
    (log,) = (path for path in committed if path.match("rk3399/*.jsonl"))
    # A dense layer is a pointwise convolution of one pixel.
    known = [line for line in log.read_text().splitlines() if '"pointwise_NCHWc.mnc"' in line]
    budget = 1 + sum(line.count('cold threads=2"') for line in known)  # on all fast cores, as below
    more = (
        "--trials",
        str(budget),
        "--tasks",
        "pointwise,dense",
        "--logs",
        "mine",
        "--workers",
        "1",
    )
    tuned = installed.run("mnc", "tune", "--target", "rk3399", *more)
    assert re.search(r"^1 trials in", tuned, re.MULTILINE), tuned  # the committed ones count
    (own,) = (installed.folder / "mine" / "rk3399").glob("*.jsonl")
    assert len(own.read_text().splitlines()) == 1
    assert {path: path.read_bytes() for path in committed} == before


def test_the_wheel_holds_no_file_that_is_not_needed(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {"mnc"}
    assert "mnc/py.typed" in names and "mnc/tuning_logs/rk3399/mobilenet_v1_1.0_224.jsonl" in names
    suffixes: Callable[[str], str] = lambda name: Path(name).suffix  # noqa: E731
    known = {
        ".py",
        ".typed",
        ".toml",
        ".c",
        ".h",
        ".j2",
        ".txt",
        ".safetensors",
        ".jsonl",
        ".json",
        ".csv",
    }
    assert {suffixes(name) for name in names if ".dist-info" not in name} == known
