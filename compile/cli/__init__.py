# SPDX-License-Identifier: Apache-2.0
"""The command `mnc`: parses, calls the stages, prints. One module a group of verbs.

A UserError becomes one line on stderr and exit status 1; click's own errors exit with 2, Ctrl-C with 130.
"""

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator

import click

from mnc.compile.api import progress
from mnc.compile.cli import (
    artifacts,
    building,
    devices,
    explaining,
    interrupts,
    listing,
    quantizing,
    reporting,
    reranking,
    timing,
    tracing,
    tuning,
)
from mnc.compile.cli.common import Console, console
from mnc.compile.cli.library_messages import library_messages
from mnc.support.errors import UserError

FAILED, INTERRUPTED = 1, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="mnc", prog_name="mnc")
@click.option("-q", "--quiet", is_flag=True, help="Print results and errors only.")
@click.option("-v", "--verbose", is_flag=True, help="Also show what TVM logs.")
@click.pass_context
def cli(context: click.Context, quiet: bool, verbose: bool) -> None:
    """MobileNet compiler: a PyTorch MobileNet, tuned for one exact CPU, as a shared library.

    \b
    mnc tune  mobilenet_v1_1.0_224                    search the best kernels for this machine
    mnc build mobilenet_v1_1.0_224                    compile, compare with PyTorch, time
    mnc run   build/host/mobilenet_v1_1.0_224 --image photo.jpg
    """
    context.with_resource(console.quietly(quiet))
    context.with_resource(_others_logged_from(logging.DEBUG if verbose else logging.ERROR))
    context.with_resource(library_messages())
    context.with_resource(progress.shown_by(console.working))
    if not verbose:
        warnings.simplefilter("ignore")


@contextlib.contextmanager
def _others_logged_from(level: int) -> Iterator[None]:
    """Show what TVM logs from `level` on, for one command."""
    loggers = [logging.getLogger(name) for name in (None, "autotvm", "te_compiler", "strategy")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, old in zip(loggers, before, strict=True):
            logger.setLevel(old)


GROUPS = (
    listing,
    quantizing,
    tuning,
    reranking,
    explaining,
    building,
    artifacts,
    timing,
    tracing,
    devices,
    reporting,
)
for group in GROUPS:
    for verb in group.VERBS:
        cli.add_command(verb)


def main() -> None:
    """Entry point of the console command."""
    interrupts.watch()
    status = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`| head`) has gone; nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def run(words: list[str]) -> int:
    """Carry out a command line; returns the exit status."""
    try:
        return int(cli.main(args=words, prog_name="mnc", standalone_mode=False) or 0)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        Console.fail("interrupted; what was finished is kept")
        return INTERRUPTED
    except (UserError, OSError) as error:
        if not isinstance(error, BrokenPipeError):
            Console.fail(_text(error))
        return FAILED


def _text(error: UserError | OSError) -> str:
    """An OSError that no stage turned into a UserError, such as a full disk, says file and reason."""
    if isinstance(error, UserError):
        return str(error)
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"
