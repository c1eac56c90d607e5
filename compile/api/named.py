# SPDX-License-Identifier: Apache-2.0
"""What people name, as values: a model, a target, and where logs and artifacts go unless they say."""

from pathlib import Path
from typing import TYPE_CHECKING

from mnc.compile.records.paths import own_logs
from mnc.targets import Target
from mnc.targets import load as load_target

if TYPE_CHECKING:
    from mnc.model.zoo import Model

LOGS = own_logs()
OUT = Path("build")


def as_model(model: "str | Model") -> "Model":
    """The model of that name, or the one given."""
    from mnc.model import zoo

    return zoo.load(model) if isinstance(model, str) else model


def as_target(target: str | Path | Target) -> Target:
    """The target of that name or file, or the one given."""
    return target if isinstance(target, Target) else load_target(target)
