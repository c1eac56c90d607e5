# SPDX-License-Identifier: Apache-2.0
"""Python processes of our own: how to start one so that it imports what this one would, and its pipes.

Takes a module's name and words; gives a command and an environment.
"""

import os
import sys
from typing import IO


def python(module: str, *words: str) -> list[str]:
    """The command that runs a module. -P: the folder that we are in is not searched for modules, whatever
    files a person has there.
    """
    return [sys.executable, "-P", "-m", module, *words]


def pipe(end: IO[bytes] | None) -> IO[bytes]:
    """A stream of a process that was started with a pipe there."""
    if end is None:
        raise ValueError("the process was started without this pipe")
    return end


def environment(**changes: str) -> dict[str, str]:
    """Our environment with `changes`, and with our own search path: the child finds this code and the
    person's, such as modules with templates, where we do.
    """
    path = os.pathsep.join(folder for folder in sys.path if folder)
    return {**os.environ, "PYTHONPATH": path, **changes}
