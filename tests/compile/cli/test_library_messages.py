# SPDX-License-Identifier: Apache-2.0
"""What the library logs: a note or a warning of the command line, nothing in a program of one's own."""

import logging
import subprocess
import sys

import pytest

from mnc.compile.cli import run
from mnc.compile.cli.common import console
from mnc.compile.cli.library_messages import library_messages

library = logging.getLogger("mnc.compile.somewhere")


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    with library_messages():
        library.debug("no matter")
        library.info("[a] note of %d words", 4)
        library.warning("a warning")
    library.info("after the command")
    captured = capsys.readouterr()
    assert not captured.out
    return captured.err


def test_it_is_shown_as_the_command_line_s_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys) == "[a] note of 4 words\nwarning: a warning\n"


def test_under_quiet_only_warnings_are(capsys: pytest.CaptureFixture[str]) -> None:
    with console.quietly(True):
        assert shown(capsys) == "warning: a warning\n"


def test_quiet_is_of_one_command() -> None:
    assert run(["--quiet", "targets"]) == 0
    assert not console.quiet


def test_a_handler_of_the_root_does_not_show_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    handler = logging.StreamHandler()
    logging.getLogger().addHandler(handler)
    try:
        with library_messages():
            library.warning("once")
    finally:
        logging.getLogger().removeHandler(handler)
    assert capsys.readouterr().err == "warning: once\n"


PROGRAM = """
import logging
{set_up}
import mnc.compile.rpc.address
logging.getLogger("mnc.compile.rpc").warning("open to others")
"""


@pytest.mark.parametrize(
    ("set_up", "seen"),
    [("", ""), ("logging.basicConfig(format='%(message)s')", "open to others\n")],
)
def test_a_program_sees_it_when_it_configures_logging(set_up: str, seen: str) -> None:
    program = PROGRAM.format(set_up=set_up)
    done = subprocess.run([sys.executable, "-c", program], stderr=-1, text=True, check=True)
    assert done.stderr == seen
