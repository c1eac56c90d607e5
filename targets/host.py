# SPDX-License-Identifier: Apache-2.0
"""What this Linux machine is, as a `Target`: x86-64 or 64-bit ARM, physical or virtual.

Reads /proc, /sys and the process's CPU limits. What the machine cannot tell comes from a `HostFile`; of a
board that has a file, all but the cores that may be used comes from that.
"""

import platform
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from mnc.targets import arm_host, x86_host
from mnc.targets.arm_cpus import cpu_of
from mnc.targets.core_classes import usable_classes
from mnc.targets.device_name import device_tree
from mnc.targets.host_file import HostFile, OtherArchitectureError
from mnc.targets.kernel_files import ROOT
from mnc.targets.target import Target


def host_target(file: HostFile, *, machine: str | None = None, root: Path = ROOT) -> Target:
    """This machine, named and completed by `file`, whose architecture must match `machine`'s.

    `machine` and `root` describe another one (its `uname -m`, and copies of its /proc and /sys).
    Raises OtherArchitectureError (a UserError) on a mismatch.
    """
    machine = machine or platform.machine()
    wanted = file.triple.split("-")[0]
    if wanted != machine:
        raise OtherArchitectureError(
            f"target {file.name} is the {wanted} CPU of the machine it is built on, and this one "
            f"is {machine}; use target host here"
        )
    if machine == "x86_64":
        return x86_host.describe(file, root)
    if machine == "aarch64":
        return arm_host.describe(file, root)
    raise OtherArchitectureError(f"cannot describe a {machine} machine; write a target file for it")


def board_target(boards: Iterable[Target], *, root: Path = ROOT) -> Target | None:
    """That of `boards` which this 64-bit ARM machine is, with the cores that this process may use.

    None where it is none of them, or the process is kept to other cores than the board's fast ones.
    """
    said = (*device_tree("compatible", root), *device_tree("model", root))
    classes = usable_classes(root)
    fast, usable = cpu_of(classes[0].part).name, Counter[str]()
    for one in classes:
        usable[cpu_of(one.part).name] += one.cores
    for board in boards:
        if board.arch == "aarch64" and board.fast.cpu == fast and _is_one_of(said, board.boards):
            cores = tuple(
                msgspec.structs.replace(core, count=min(core.count, usable[core.cpu]))
                for core in board.cores
                if core.cpu in usable
            )
            return msgspec.structs.replace(board, cores=cores)
    return None


def _is_one_of(said: Iterable[str], boards: tuple[str, ...]) -> bool:
    """Names with a comma are the device tree's `compatible` strings, others begin its `model`."""
    return any(
        name == word if "," in name else word.startswith(name) for name in boards for word in said
    )
