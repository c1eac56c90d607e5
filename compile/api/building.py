# SPDX-License-Identifier: Apache-2.0
"""From a model and its log to an artifact."""

from pathlib import Path
from typing import TYPE_CHECKING

from mnc.compile.api.named import LOGS, OUT, as_model, as_target
from mnc.compile.artifact.paths import artifact_folder
from mnc.compile.records.paths import log_path
from mnc.targets import Target

if TYPE_CHECKING:
    from mnc.compile.artifact.store import Artifact
    from mnc.model.zoo import Model


def build(
    model: "str | Model",
    target: str | Path | Target = "host",
    *,
    out: Path = OUT,
    logs: Path = LOGS,
    cc: str | None = None,
) -> "Artifact":
    """Compile `model` for `target` with the best verified records of its log, and write the artifact.

    It goes to `out`/<target>/<model>/, whole or not at all. `cc` is the C compiler to link with.
    """
    from mnc.compile.artifact import store, writer
    from mnc.compile.codegen import network as builder
    from mnc.compile.records.family_choice import chosen
    from mnc.compile.records.tuning_log import TuningLog

    network, device_target = as_model(model), as_target(target)
    folder = artifact_folder(out, device_target, network)
    store.check_replaceable(folder)
    log = log_path(logs, device_target.name, network.name)
    trials = TuningLog.open(log, exclusive=False, target=device_target.tvm_target()).trials
    choice = chosen(log)
    built = builder.build(network, device_target, trials, family=choice.family)
    spec = model if isinstance(model, str) else network.name
    return writer.save(
        built, network, device_target, folder, spec=spec, log=log, cc=cc, choice=choice
    )
