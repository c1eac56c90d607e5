# SPDX-License-Identifier: Apache-2.0
"""Which device is meant: this machine, one over RPC, or the core model of one that is not at hand.

Takes a target and what was asked for; gives the `Device`, or a UserError that says what the choices are,
before anything is begun. Nothing is connected to, and no process started, until the device is asked for it.
"""

from mnc.compile.device.device import Device
from mnc.compile.device.local import LocalDevice
from mnc.compile.device.options import DeviceOptions
from mnc.compile.device.rpc import RpcDevice
from mnc.compile.rpc.address import parse
from mnc.support.errors import UserError
from mnc.targets import Target, is_this_machine


def open_device(target: Target, options: DeviceOptions) -> Device:
    """The device that puts costs on kernels for `target`: one that is named, this machine where that is the
    target, else the core model. UserError when nothing can, or the wishes conflict.
    """
    simulating = options.simulate or options.workers is not None or options.tracker is not None
    if options.address is not None:
        if simulating:
            raise UserError(
                "a device measures for itself: give --device, or --simulate, --workers and --tracker"
            )
        return RpcDevice(target, parse(options.address, key=target.name), options)
    if not simulating and is_this_machine(target):
        return LocalDevice(target, options)
    from mnc.compile.device.simulated import SimulatedDevice

    return SimulatedDevice(target, options)


def open_runner(target_name: str, options: DeviceOptions) -> Device:
    """The device that an artifact for the target of that name is to run on: one that is named, else this
    machine, whatever it is: whether it can is seen when the artifact is loaded.
    """
    if options.address is not None:
        return RpcDevice(target_name, parse(options.address, key=target_name), options)
    if options.cores != "big":
        raise UserError(f"--cores {options.cores} chooses on a device: name one with --device")
    return LocalDevice("host", options)
