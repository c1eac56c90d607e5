# SPDX-License-Identifier: Apache-2.0
"""Errors that a person can act on."""


class UserError(Exception):
    """What went wrong and what to do next, in one line; the command line prints it and exits non-zero.

    Raise it for anything the person at the keyboard can mend. A traceback is for our own mistakes.
    """
