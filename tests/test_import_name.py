# SPDX-License-Identifier: Apache-2.0
"""One import name: files of a person's own, whatever they are called, are in nobody's way."""

import subprocess
import sys
from pathlib import Path

import pytest

NET = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 8, 1))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With modules that are called like folders of ours, and a script beside them."""
    for name in ("targets", "support", "compile", "tuning_logs"):
        (tmp_path / f"{name}.py").write_text("WHOSE = 'theirs'\n")
    (tmp_path / "model.py").write_text("WHOSE = 'theirs'\n" + NET)
    return tmp_path


def run(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_finds_ours_and_theirs(folder: Path) -> None:
    code = (
        "import mnc.model.zoo, mnc.targets, mnc.compile.records.tuning_log as log; import model, compile;"
        "print(model.WHOSE, compile.WHOSE, log.TuningLog.__name__)"
    )
    assert run(folder, "-c", code) == "theirs theirs TuningLog\n"


def test_a_network_in_model_py_is_found_by_its_name(folder: Path) -> None:
    """The README's `package.module:function`."""
    words = ("-m", "mnc", "tasks", "model:net", "--target", "rpi4", "--input-shape", "1,3,16,16")
    assert "16->8 16x16" in run(folder, *words)


def test_nothing_of_ours_has_another_name() -> None:
    """As a script elsewhere sees it. The folder that we are in, which tests may import from, is left out."""
    code = (
        "import importlib.util as u; names = 'model targets support compile tuning_logs bench'.split();"
        "print([n for n in names if u.find_spec(n)])"
    )
    assert run(Path("/"), "-P", "-c", code) == "[]\n"


@pytest.mark.slow
def test_a_script_beside_them_tunes_and_builds(folder: Path) -> None:
    """Its processes start in that folder too, and import what it imports."""
    (folder / "script.py").write_text(
        "from pathlib import Path\n"
        "from mnc import build, tune\n"
        "from mnc.model import zoo\n"
        "import model\n"
        "if __name__ == '__main__':\n"
        "    mine = zoo.load('model:net', input_shape=(1, 3, 16, 16))\n"
        "    summary = tune(mine, trials=2, tasks=['pointwise'], reranking=False, logs=Path('logs'))\n"
        "    print(summary.trials, 'trials', summary.failures)\n"
        "    print(build(mine, logs=Path('logs')).manifest.network.name)\n"
    )
    assert run(folder, "script.py") == "2 trials {}\nmodel_net\n"
