# SPDX-License-Identifier: Apache-2.0
"""The one line that tells a person what went wrong, out of the many that something else wrote.

Takes an exception of TVM's or torch's, the output of a compiler or linker, or a dead process's log; gives at
most `LONGEST` characters.
"""

import contextlib
import re
import signal

LONGEST = 300
NAMED = re.compile(r"\w*(Error|Exception)\b.*: \S|Check failed")
TOOL_ERROR = re.compile(r"\berror:|\b(cannot|undefined)\b", re.IGNORECASE)
# Indented lines of a traceback quote code; C++ indents what an exception says that nobody caught.
LOG_ERROR = re.compile(
    r"(?=\S).*(error|err!|fatal|cannot|no free|check failed)|\s+what\(\):", re.IGNORECASE
)
CHATTER = "exec only"  # how TVM says that it has loaded its runtime library


def of_exception(error: BaseException) -> str:
    """TVM puts a C++ stack before its line, torch one behind it; over RPC come the stacks of both sides."""
    lines = _lines(str(error))
    named = [line for line in lines if NAMED.match(line)]
    if named:
        return named[-1][:LONGEST]
    if not lines:
        return type(error).__name__
    return lines[-1 if lines[0].startswith("Traceback") else 0][:LONGEST]


def of_tool(said: str, status: int) -> str:
    """A compiler's, linker's or archiver's first error: the others follow from it. Else its first line."""
    lines = _lines(said)
    errors = [line for line in lines if TOOL_ERROR.search(line)]
    return (errors or lines or [exit_name(status)])[0][:LONGEST]


def last_words(said: str) -> str:
    """The last error in the log of a process that has died, else its last line; "" when it said nothing."""
    lines = [line for line in said.splitlines() if line.strip() and CHATTER not in line]
    errors = [line for line in lines if LOG_ERROR.match(line)]
    return (errors or lines or [""])[-1].strip()[:LONGEST]


def exit_name(status: int) -> str:
    """How a process ended: "SIGSEGV" or "exit status 3", from its exit status (negative: by a signal)."""
    with contextlib.suppress(ValueError):
        return signal.Signals(-status).name
    return f"exit status {status}"


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
