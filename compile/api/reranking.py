# SPDX-License-Identifier: Apache-2.0
"""The best configs of each task, tried in the real network: the last step of a tuning, and again at will."""

from pathlib import Path
from typing import TYPE_CHECKING

from mnc.compile.api.named import LOGS, as_model, as_target
from mnc.compile.device.device import Device
from mnc.compile.device.opening import open_device
from mnc.compile.device.options import DeviceOptions
from mnc.compile.records.family_choice import BLOCKED, chosen
from mnc.compile.records.paths import log_path
from mnc.compile.records.tuning_log import TuningLog
from mnc.compile.tuning.options import RerankOptions
from mnc.compile.tuning.rerank_summary import RerankSummary
from mnc.support.errors import UserError

if TYPE_CHECKING:
    from mnc.compile.api.named import AnyModel, AnyTarget
    from mnc.compile.codegen.network import Prepared
    from mnc.model.zoo import Model


def rerank(
    model: "AnyModel",
    target: "AnyTarget" = "host",
    *,
    device: str | None = None,
    threads: int | None = None,
    keep: int = 4,
    logs: Path = LOGS,
) -> RerankSummary:
    """Time the `keep` best configs of each task inside the real network, here or on `device`, on `threads`
    threads (None: 1); the log then has trials that builds prefer to those of kernels timed alone.
    """
    opened = open_device(as_target(target), DeviceOptions(address=device, threads=threads))
    return rerank_on(opened, as_model(model, opened.target), RerankOptions(keep=keep), logs)


def rerank_on(
    device: Device,
    network: "Model",
    options: RerankOptions,
    logs: Path,
    prepared: "Prepared | None" = None,
) -> RerankSummary:
    """As `rerank`, of a network that may be imported (`prepared`) already. UserError when there is nothing to
    try, or the device cannot time layers.
    """
    from mnc.compile.codegen.network import prepare
    from mnc.compile.tuning import rerank as stage

    target = device.target
    log = log_path(logs, target.name, network.name)
    if (family := chosen(log).family) != BLOCKED:
        raise UserError(f"builds of {network.name} use family {family}, which has no tuned configs")
    timer = device.layer_timer()
    prepared = prepared or prepare(network, target)
    with TuningLog.open(log, exclusive=True, target=target.tvm_target()) as tuning_log:
        return stage.rerank(network, prepared, tuning_log, timer, options=options)
