# SPDX-License-Identifier: Apache-2.0
"""What the library logs while a command runs, as notes and warnings of the command line."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from mnc.compile.cli.common import console


class _ToConsole(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        show = console.warn if record.levelno >= logging.WARNING else console.note
        show(record.getMessage())


@contextmanager
def library_messages() -> Iterator[None]:
    """Show on stderr what `mnc` logs; TVM's loggers and the root's are not touched."""
    logger, handler = logging.getLogger("mnc"), _ToConsole()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # a root handler, which a library may have set up, would show it again
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
