# SPDX-License-Identifier: Apache-2.0
"""What C libraries print on standard error, held back: some say only there what is wrong with their input."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def held() -> Iterator[Callable[[], str]]:
    """Meanwhile descriptor 2 leads to a file; the value, called, gives what was written there so far.

    It holds for all threads of the process, so keep it short.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        before = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield lambda: os.pread(file.fileno(), 1 << 16, 0).decode("utf-8", "replace")
        finally:
            os.dup2(before, 2)
            os.close(before)
