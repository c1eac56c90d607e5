# SPDX-License-Identifier: Apache-2.0
"""Which family of kernels builds of a network use: the one whose network is the fastest as a whole."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from mnc.compile.api.named import LOGS, as_model, as_target, read_log
from mnc.compile.device.device import Device
from mnc.compile.device.opening import open_device
from mnc.compile.device.options import DeviceOptions
from mnc.compile.records.family_choice import Choice
from mnc.support.errors import UserError

if TYPE_CHECKING:
    from mnc.compile.api.named import AnyModel, AnyTarget
    from mnc.model.zoo import Model

logger = logging.getLogger(__name__)
SECONDS = 3.0  # for each family


def choose_family(
    model: "AnyModel",
    target: "AnyTarget" = "host",
    *,
    device: str | None = None,
    simulate: bool = False,
    threads: int | None = None,
    seconds: float = SECONDS,
    logs: Path = LOGS,
) -> Choice:
    """Time the whole network in every family of kernels, here, on `device` or by the core model, for
    `seconds` each, and keep the fastest beside its log, where builds find it.
    """
    options = DeviceOptions(address=device, simulate=simulate, threads=threads)
    opened = open_device(as_target(target), options)
    if opened.note is not None:
        logger.info("%s", opened.note)
    return choose_on(opened, as_model(model, opened.target), logs, seconds=seconds)


def choose_on(device: Device, network: "Model", logs: Path, *, seconds: float = SECONDS) -> Choice:
    """As `choose_family`. UserError when the device does not answer, or there is nothing to choose from."""
    from mnc.compile.tuning import families

    if network.precision != "float32":
        raise UserError(
            f"{network.name} is in 8-bit integers, for which only mnc's own kernels are"
        )
    target = device.target
    timer = device.network_timer(seconds=seconds, precision=network.precision)
    log = read_log(network, target, logs)
    return families.choose(network, target, log.trials, timer, log=log.path)
