# SPDX-License-Identifier: Apache-2.0
"""Where this code lies: in a checkout that someone works in, or in an installed copy."""

from pathlib import Path

HOME = (
    Path(__file__).resolve().parents[1]
)  # resolved: `src/mnc` holds links to the checkout's folders


def root() -> Path | None:
    """The checkout's top folder; None for an installed copy."""
    return HOME if (HOME / "src" / "mnc").is_dir() else None


def committed_logs() -> Path:
    """The tuning logs that come with this code."""
    return HOME / "tuning_logs"
