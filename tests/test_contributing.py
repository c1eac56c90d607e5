# SPDX-License-Identifier: Apache-2.0
"""Follows the pages of docs/contributing word by word: files are written, commands run, in a new folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "contributing"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def follow(page: Path, folder: Path) -> list[str]:
    """Do what the page says; returns what its commands printed. Python blocks begin with a file's name."""
    said = []
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            name = text.splitlines()[0].removeprefix("# ")
            assert re.fullmatch(r"\w+\.py", name), f"{page}: a file's name goes on top of its code"
            (folder / name).write_text(text, encoding="utf-8")
            continue
        assert language == "sh"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=folder,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{page.name}:\n{text}\n{done.stdout}\n{done.stderr}"
        said.append(done.stdout)
    return said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["device", "model", "template"])
def test_the_page_works_as_it_is_written(name: str, tmp_path: Path) -> None:
    said = follow(PAGES / f"{name}.md", tmp_path)
    assert said and said[-1].strip()


def test_every_page_is_followed_and_linked() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == {"device", "model", "template"}
    index = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\((docs/[^)]+)\)", index)
    assert len(links) == 3 and all((ROOT / link).is_file() for link in links)
