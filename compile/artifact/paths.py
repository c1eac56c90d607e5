# SPDX-License-Identifier: Apache-2.0
"""Where artifacts lie."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnc.model.zoo import Model


def artifact_folder(out: Path, target_name: str, model: "Model") -> Path:
    """Where the artifact of a model goes; another batch size than 1 is in its name."""
    batch = model.input_shape[0]
    return out / target_name / (model.name if batch == 1 else f"{model.name}_b{batch}")
