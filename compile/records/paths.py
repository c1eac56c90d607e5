# SPDX-License-Identifier: Apache-2.0
"""Where logs lie."""

from pathlib import Path


def log_path(logs: Path, target_name: str, model_name: str) -> Path:
    """Where the trials of a model on a target are kept."""
    return logs / target_name / f"{model_name}.jsonl"
