# SPDX-License-Identifier: Apache-2.0
"""Where artifacts lie."""

from pathlib import Path
from typing import TYPE_CHECKING

from mnc.targets import Target

if TYPE_CHECKING:
    from mnc.model.zoo import Model


def artifact_folder(out: Path, target: Target, model: "Model") -> Path:
    """Where the artifact of a model goes; another batch size than 1 is in its name."""
    batch = model.input_shape[0]
    return out / target.name / (model.name if batch == 1 else f"{model.name}_b{batch}")
