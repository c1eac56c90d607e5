# SPDX-License-Identifier: Apache-2.0
"""What is checked before a commit, on a push and by hand is the same: the Makefile's targets."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CI, WORKFLOW, HOOKS = ".ci/run", ".github/workflows/ci.yml", ".pre-commit-config.yaml"
SET_UP = "support/make_venv.sh"


def read(name: str) -> str:
    """A file of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def made(name: str) -> list[str]:
    """The make targets that a script or a workflow calls, in order."""
    return re.findall(r"^(?:\s*- run: )?make (\S+)$", read(name), re.MULTILINE)


def test_ci_and_the_public_workflow_call_the_same_targets() -> None:
    assert made(CI) == made(WORKFLOW) == ["check", "test"]


def test_the_workflow_and_set_up_take_every_python_that_is_supported() -> None:
    (versions,) = re.findall(r"python: \[(.*)\]", read(WORKFLOW))
    matrix = [int(minor) for minor in re.findall(r"3\.(\d+)", versions)]
    ((first, end),) = re.findall(
        r'requires-python = ">=3\.(\d+),<3\.(\d+)"', read("pyproject.toml")
    )
    assert matrix == list(range(int(first), int(end)))
    (names,) = re.findall(r"\$\{PYTHON:-python3 (python3.*)\}", read(SET_UP))
    assert names.split() == [f"python3.{minor}" for minor in reversed(matrix)]
    ((low, high),) = re.findall(r"\(3, (\d+)\) <= .* <= \(3, (\d+)\)", read(SET_UP))
    assert (int(low), int(high)) == (matrix[0], matrix[-1])


def test_every_target_called_is_in_the_makefile() -> None:
    targets = re.findall(r"^([a-z-]+):.* ## ", read("Makefile"), re.MULTILINE)
    assert set(made(CI) + made(WORKFLOW)) <= set(targets)


def test_hooks_run_what_make_check_runs_and_fetch_nothing() -> None:
    assert re.findall(r"repo: (.*)", read(HOOKS)) == ["local"]
    hooks = re.findall(r"entry: (.*)", read(HOOKS))
    done = subprocess.run(
        ["make", "--dry-run", "check"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    commands = [line for line in done.stdout.splitlines() if line.startswith(".venv/bin/")]
    assert len(hooks) == len(commands) == 3
    for hook, command in zip(hooks, commands, strict=True):
        assert command.startswith(hook)
