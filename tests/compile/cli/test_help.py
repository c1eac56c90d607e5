# SPDX-License-Identifier: Apache-2.0
"""`--help` of every verb, 100 columns wide, is the text last looked at."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mnc.compile.cli import cli
from tests.golden import Golden

GOLDEN = Path(__file__).parent / "golden"


def verbs(command: click.Command = cli, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command, from `mnc` itself on."""
    yield words
    if isinstance(command, click.Group):
        for name, below in sorted(command.commands.items()):
            yield from verbs(below, (*words, name))


def file_of(words: tuple[str, ...]) -> str:
    """The name of a verb's text."""
    return "-".join(("mnc", *words))


@pytest.mark.parametrize("words", verbs(), ids=file_of)
def test_help_is_the_text_last_looked_at(words: tuple[str, ...], golden: Golden) -> None:
    said = CliRunner().invoke(cli, [*words, "--help"], prog_name="mnc", terminal_width=100)
    assert said.exit_code == 0
    golden.check(file_of(words), said.output)


def test_no_text_is_of_a_verb_that_is_gone() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == {file_of(words) for words in verbs()}
