# SPDX-License-Identifier: Apache-2.0
"""An artifact at work."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnc.compile.runtime.session import Session


def load(folder: Path | str, *, threads: int | None = None, device: str | None = None) -> "Session":
    """Check an artifact's files by hash, load its native code, and give a Session to run it with.

    `session.run(array)` gives the outputs, `session.top(logits)` the likeliest labels. `threads` is all
    cores by default; with `device` it runs there. Only load artifacts from people you trust.
    """
    from mnc.compile.artifact import store

    checked = store.load(Path(folder))
    if device is not None:
        from mnc.compile.runtime.remote_session import RemoteSession

        remote: Any = RemoteSession(checked, device, threads=threads)
        return remote  # type: ignore[no-any-return]
    from mnc.compile.runtime.session import Session

    return Session(checked, threads=threads)
