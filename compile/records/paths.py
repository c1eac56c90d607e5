# SPDX-License-Identifier: Apache-2.0
"""Where logs lie: a person's own, and those that come with this code."""

import os
from pathlib import Path

from mnc.support import checkout

VARIABLE = "MNC_LOGS"


def own_logs() -> Path:
    """The folder that new trials go to: $MNC_LOGS, a checkout's `tuning_logs`, else the one where we work."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    return Path("tuning_logs") if checkout.root() is None else checkout.committed_logs()


def log_path(logs: Path, target_name: str, model_name: str) -> Path:
    """Where the trials of a model on a target are kept."""
    return logs / target_name / f"{model_name}.jsonl"


def committed(path: Path) -> Path | None:
    """The file of an installed copy that knows of the same target and network as the one at `path`. It is
    only ever read. None in a checkout: there the committed logs are logs like any other.
    """
    if checkout.root() is not None:
        return None
    return checkout.committed_logs() / path.parent.name / path.name
