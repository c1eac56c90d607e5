# SPDX-License-Identifier: Apache-2.0
"""A strict type checker sees the types of the installed package in a user's script."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
from mnc import build, load, tune

summary = tune("mobilenet_v1_28", "host", trials=8)
session = load(build("mobilenet_v1_28", "host").folder)
reveal_type(summary.trials)
reveal_type(session.run)
tune(28)
"""


@pytest.mark.slow
def test_a_users_script_is_checked_against_the_api(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir=cache", "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    first, second, mistake, _ = done.stdout.splitlines()
    assert 'Revealed type is "int"' in first.replace("builtins.", "")
    assert 'Revealed type is "def (' in second and "numpy.ndarray" in second
    assert mistake.startswith('script.py:8: error: Argument 1 to "tune"'), done.stdout
