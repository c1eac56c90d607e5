# SPDX-License-Identifier: Apache-2.0
"""What the documents name is there: files, modules and what is in them, commands."""

import importlib
import importlib.util
import re
from pathlib import Path

import click
import pytest

from mnc.compile.cli import cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    page for at in (".", "docs", "docs/contributing") for page in (ROOT / at).glob("*.md")
)
TOPS = "|".join(path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != ".")
FILE = re.compile(rf"(?<![\w./-])(?:{TOPS})/[\w./-]*\.(?:py|c|h|toml|md|sh|txt|rs|cpp)\b")
NAME = re.compile(r"\bmnc\.(?:compile|model|targets|support)(?:\.\w+)+")
RUN = re.compile(r"python -m ((?:bench|mnc)[\w.]*)")
VERB = re.compile(r"(?:^|`|\$ |bin/)mnc ([a-z-]+)", re.MULTILINE)
WORDS = re.compile(r"(?:^|`|\$ |bin/)mnc ((?:[a-z-]+ ?){1,3})([^`\n#|]*)", re.MULTILINE)
FLAG = re.compile(r"(?<!\S)--[a-z][a-z-]*")
TARGET = re.compile(r"(?:^|`|\$ )make ([a-z0-9-]+)", re.MULTILINE)


def ids(path: Path) -> str:
    """A page's name."""
    return str(path.relative_to(ROOT))


def is_there(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    module, _, attribute = name.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), attribute) or bool(
            importlib.util.find_spec(name)
        )
    except ImportError:
        return False


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    files = {name for name in FILE.findall(text) if not (ROOT / name).is_file()}
    names = {name for name in NAME.findall(text) if not is_there(name)}
    runs = {name for name in RUN.findall(text) if importlib.util.find_spec(name) is None}
    assert not files | names | runs


def test_every_command_in_a_page_is_one() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    verbs, targets = set(VERB.findall(text)), set(TARGET.findall(text))
    assert {"tune", "build"} <= verbs <= set(cli.commands)
    assert (
        {"test", "build"}
        <= targets
        <= set(re.findall(r"^([a-z0-9-]+):.* ## ", makefile, re.MULTILINE))
    )


def test_every_flag_of_a_command_in_a_page_is_one() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = [(words, options) for words, options in WORDS.findall(text) if "--" in options]
    assert len(named) > 20
    for words, options in named:
        known = {*cli.params}
        command: click.Command = cli
        for word in words.split():
            if isinstance(command, click.Group):
                command = command.commands[word]
                known |= {*command.params}
        flags = {name for option in known for name in (*option.opts, *option.secondary_opts)}
        assert {*FLAG.findall(options)} <= flags | {"--help"}, (words, options)


def test_names_are_found_and_missed() -> None:
    assert is_there("mnc.compile.api.build") and is_there("mnc.targets.host")
    assert not is_there("mnc.compile.api.nothing") and not is_there("mnc.nothing.at_all")
    assert any(NAME.findall(page.read_text("utf-8")) for page in PAGES)
    assert any(FILE.findall(page.read_text("utf-8")) for page in PAGES)
