# SPDX-License-Identifier: Apache-2.0
"""The Python API as examples/quickstart.py uses it, and what importing it costs."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mnc
from mnc.compile import api

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.heavy
def test_the_quickstart_runs_and_goes_on_where_it_was(tmp_path: Path) -> None:
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, str(ROOT / "examples" / "quickstart.py"), str(tmp_path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    first, second = said
    assert first.startswith("32 new trials") and second.startswith("0 new trials")
    assert re.search(r"build/\w+/mobilenet_v1_28: [1-9]\d* of \d+ tasks tuned", first)
    assert re.search(r"\d+\.\d%  \S", first) and "against PyTorch" in first
    assert (tmp_path / "build").is_dir() and (tmp_path / "logs").is_dir()


def test_the_names_are_the_api_s() -> None:
    for name in ("tune", "build", "load"):
        assert getattr(mnc, name) is getattr(api, name)
    with pytest.raises(AttributeError):
        mnc.nothing  # noqa: B018


def test_importing_is_light() -> None:
    code = "import sys; from mnc import tune, build, load; print({'torch', 'tvm'} & {*sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


def test_the_page_has_every_function_with_its_arguments() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    rows = "\n".join(line for line in page.splitlines() if line.startswith("| `"))
    functions = [name for name in api.__all__ if inspect.isfunction(getattr(api, name))]
    assert {"tune", "build", "load", "report"} <= set(functions)
    for name in functions:
        (signature,) = re.findall(rf"`{name}\(([^`]*)\)`", rows)
        shown = [re.sub("=.*", "", word) for word in signature.split(", ") if word not in {"", "*"}]
        assert shown == list(inspect.signature(getattr(api, name)).parameters), name
