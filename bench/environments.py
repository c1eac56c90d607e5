# SPDX-License-Identifier: Apache-2.0
"""Each runtime's own Python environment, made from its list of pinned packages and cached.

Takes the name of a file in requirements/; gives the path of a Python interpreter. An environment is made
once for each content of its list.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench.peer import PROJECT
from mnc.support import error_text
from mnc.support.errors import UserError
from mnc.support.files import cache_dir

ROOT = Path(__file__).parents[1]
SOURCES = (
    f"{ROOT}{os.pathsep}{ROOT / 'src'}"  # this tree's `bench` and `mnc`, whichever is installed
)
REQUIREMENTS = Path(__file__).parent / "requirements"
LIMIT = 1800  # seconds an installation may take


def python(name: str) -> Path:
    """The interpreter of an environment, which is made when absent; UserError with pip's reason."""
    if name == PROJECT:
        return Path(sys.executable)
    folder = cache_dir("peers", "environments") / f"{name}-{digest(name)}"
    interpreter = folder / "bin" / "python"
    with (cache_dir("locks") / f"peers-{name}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".ready").is_file():
            _make(name, folder, interpreter)
    return interpreter


def overlay(name: str) -> Path:
    """A folder of a list's packages alone, for the project's own interpreter; made when absent."""
    folder = cache_dir("peers", "overlays") / f"{name}-{digest(name)}"
    if not (folder / ".ready").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        wanted = ["--requirement", str(REQUIREMENTS / f"{name}.txt")]
        _run([*pip, "--no-deps", "--target", str(folder), *wanted], name)
        (folder / ".ready").touch()
    return folder


def digest(name: str) -> str:
    """Short digest of an environment's list; of the project's own, of its constraints."""
    file = ROOT / "constraints.txt" if name == PROJECT else REQUIREMENTS / f"{name}.txt"
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


def _make(name: str, folder: Path, interpreter: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    # Our pip installs into it: a Debian Python has none of its own to give.
    pip = [sys.executable, "-m", "pip", "--python", str(interpreter), "install", "--quiet"]
    wanted = ["--disable-pip-version-check", "--requirement", str(REQUIREMENTS / f"{name}.txt")]
    _run([sys.executable, "-m", "venv", "--without-pip", str(folder)], name)
    try:
        _run([*pip, *wanted], name)
    except UserError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    (folder / ".ready").touch()


def _run(command: list[str], name: str) -> None:
    environment = os.environ | {"PIP_NO_INPUT": "1"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"the environment {name} was not made in {LIMIT} s; try again") from None
    if done.returncode:
        reason = error_text.of_tool(done.stderr, done.returncode)
        raise UserError(f"the environment {name} cannot be made: {reason.removeprefix('ERROR: ')}")
