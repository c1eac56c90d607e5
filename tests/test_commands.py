# SPDX-License-Identifier: Apache-2.0
"""Every command of README.md and docs/ is run as it is written, in a fresh clone, page by page.

A page is followed from top to bottom by one shell: ```sh blocks are run, ```python blocks whose first line is
`# a_file.py` are written to that file. What cannot run here is ```console, after a comment that says why.
"""

import ast
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = "README.md"
PAGES = sorted(
    str(page.relative_to(ROOT))
    for pattern in ("CONTRIBUTING.md", "docs/**/*.md")
    for page in ROOT.glob(pattern)
)
BLOCK = re.compile(
    r"^(?:<!-- (not run: [^\n]+|needs \S+) -->\n)?```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
COMMAND = re.compile(r"\s*(?:\$ )?(?:mnc|make|python|\.venv/bin/\S+|pip|git) [\w.\"-]")
FILE = re.compile(r"# ([\w.]+\.py)\n")
pytestmark = pytest.mark.heavy
HANG = 1800  # seconds after which a page's shell waits for something that does not come


@dataclass(frozen=True)
class Block:
    """A fenced part of a page; `note` is what the comment before it says."""

    note: str
    language: str
    text: str

    @property
    def file(self) -> str:
        """The file that a part in Python says it is; "" for others."""
        name = FILE.match(self.text) if self.language == "python" else None
        return name[1] if name else ""

    @property
    def runs(self) -> bool:
        """Whether it is for the shell, and what it needs is here."""
        needed = self.note.removeprefix("needs ") if self.note.startswith("needs ") else "sh"
        return self.language == "sh" and shutil.which(needed) is not None


def blocks(page: Path) -> list[Block]:
    """In the order of the page."""
    return [Block(*parts) for parts in BLOCK.findall(page.read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What somebody has who cloned the project and followed the README. Its environment lends the packages of
    ours, to which `make setup` would add nothing, but has the clone's own sources.
    """
    folder = tmp_path_factory.mktemp("fresh") / "mnc"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    venv = folder / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (packages,) = venv.glob("lib/python*/site-packages")
    lent = sysconfig.get_path("purelib")
    (packages / "fresh.pth").write_text(f"{folder / 'src'}\n{lent}\n", encoding="utf-8")
    script = f"#!{venv}/bin/python\nfrom mnc.compile.cli import main\n\nmain()\n"
    (venv / "bin" / "mnc").write_text(script, encoding="utf-8")
    (venv / "bin" / "mnc").chmod(0o755)
    (venv / ".ready").touch()
    said = follow(folder, README)
    assert "build/host/mobilenet_v1_1.0_224" in said and "Egyptian cat" in said
    yield folder
    shutil.rmtree(folder)


def follow(clone: Path, page: str) -> str:
    """Do what a page of the clone says, and return what its commands printed."""
    parts = blocks(clone / page)
    for part in parts:
        if part.file:
            (clone / part.file).write_text(part.text, encoding="utf-8")
    ours = {"PYTHONPATH", "MNC_LOGS", "VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL"}
    path = os.environ["PATH"].split(os.pathsep)
    outside = os.pathsep.join(part for part in path if part != str(Path(sys.executable).parent))
    script = "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n"
    script += "\n".join(part.text for part in parts if part.runs)
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script],
        cwd=clone,
        env={k: v for k, v in os.environ.items() if k not in ours} | {"PATH": outside},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=HANG,
    )
    assert done.returncode == 0, f"{page}:\n{done.stdout}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(part.language == "sh" for part in blocks(ROOT / page))]
)
def test_the_page_works_as_it_is_written(page: str, clone: Path) -> None:
    assert follow(clone, page).strip()


@pytest.mark.parametrize("page", [README, *PAGES])
def test_what_is_not_run_says_why(page: str) -> None:
    """Every block has a language, no command hides in one that is not for the shell, or outside of all."""
    parts = blocks(ROOT / page)
    text = (ROOT / page).read_text(encoding="utf-8")
    assert text.count("\n```") == 2 * len(parts)
    for part in parts:
        assert part.language, f"{page}: what is this?\n{part.text}"
        assert (part.language == "console") == part.note.startswith("not run: "), part.text
        assert part.language == "sh" or not part.note.startswith("needs "), part.text
    others = [part.text for part in parts if part.language not in {"sh", "console"}]
    indented = re.findall("^ {4}.*", BLOCK.sub("", text), re.MULTILINE)
    lines = [line for text in others for line in text.splitlines()] + indented
    assert not [line for line in lines if COMMAND.match(line)]


@pytest.mark.parametrize("page", [README, *PAGES])
def test_python_in_a_page_is_python_and_imports_what_is_there(page: str) -> None:
    for part in blocks(ROOT / page):
        for node in ast.walk(ast.parse(part.text if part.language == "python" else "")):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mnc"):
                assert all(is_there(node.module or "", one.name) for one in node.names), part.text


def is_there(module: str, name: str) -> bool:
    """Whether a module has it, or is a package that has a module of this name."""
    if hasattr(importlib.import_module(module), name):
        return True
    return importlib.util.find_spec(f"{module}.{name}") is not None


def test_the_pages_are_those_that_have_commands() -> None:
    followed = {page for page in PAGES if any(part.runs for part in blocks(ROOT / page))}
    contributing = {f"docs/contributing/{name}.md" for name in ("device", "model", "template")}
    assert followed >= contributing | {"docs/deploying.md", "docs/devices.md"}
    index = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\((docs/contributing/[^)]+)\)", index)
    assert set(links) == contributing
