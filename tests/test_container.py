# SPDX-License-Identifier: Apache-2.0
"""The container's recipe without Docker: what it copies, installs and starts works in a folder of its own."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECIPE = (ROOT / "Dockerfile").read_text().replace("\\\n", "")


def instructions(name: str) -> list[str]:
    """The arguments of each instruction of that name."""
    return re.findall(rf"^{name} +(.*)$", RECIPE, re.M)


def test_it_installs_what_the_first_command_needs_and_sets_up_with_make() -> None:
    packages, setup = instructions("RUN")
    assert {"python3", "python3-venv", "gcc", "libc6-dev", "make"} <= set(packages.split())
    said = subprocess.run(
        ["make", "--dry-run", *setup.replace("/mnc", str(ROOT)).split()[1:]],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "No rule" not in said.stderr
    makefile = (ROOT / "Makefile").read_text()
    assert ".venv/.ready: pyproject.toml constraints.txt" in makefile
    assert "build" in (ROOT / ".dockerignore").read_text().split()


def test_what_it_starts_runs_on_what_it_copies(tmp_path: Path) -> None:
    """Its files alone, and the Python environment of this one; a folder to work in beside it."""
    copied = tmp_path / "mnc"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, place = ROOT / name, copied / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.exists():
            shutil.copy2(source, place, follow_symlinks=False)
    (copied / ".venv").symlink_to(ROOT / ".venv")
    (start,) = (json.loads(words) for words in instructions("ENTRYPOINT"))
    work = tmp_path / "work"
    work.mkdir()
    said = subprocess.run(
        [start[0].replace("/mnc", str(copied), 1), "targets", "--json"],
        cwd=work,
        env=os.environ | {"PYTHONPATH": str(copied / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(said.stdout)[0]["target"] == "host"
    assert json.loads(instructions("CMD")[0]) == ["build"]
