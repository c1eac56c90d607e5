# SPDX-License-Identifier: Apache-2.0
"""How near one CPU is to another, for kernels: by vectors, registers, order of execution and caches.

Takes a `Target` and the TVM target string of somebody's trials; gives a distance. What suits one CPU is worth
trying first on those nearest to it.
"""

import functools
import math
import re
from dataclasses import dataclass

from mnc.targets.arm_cpus import ARM_CPUS, GENERIC
from mnc.targets.catalog import load, names
from mnc.targets.target import Target
from mnc.targets.x86_cpus import BY_NAME

# A register tile is cut for the number and the width of registers; caches only shift which tiles lead.
WIDTH, REGISTERS, ORDER, ARITHMETIC, CACHES = 4.0, 4.0, 2.0, 1.0, 0.5
ANOTHER_CORE = 0.1  # of two that are alike in all that is known here, the same core is nearer


@dataclass(frozen=True)
class Traits:
    """What kernels are cut for. Caches in KiB, None where only the core's name is known."""

    cpu: str
    vector_bits: int
    registers: int
    fma_units: float
    in_order: bool = False
    l1_kib: int | None = None
    l2_kib: int | None = None


def distance(target: Target, other: str) -> float:
    """From `target` to the CPU of the TVM target string `other`: 0 is the same core, infinite means another
    architecture. A core that no table has is taken for an average one of its architecture.
    """
    triple = re.search(r"-mtriple=([a-z0-9_]+)", other)
    if triple is None or triple[1] != target.triple.partition("-")[0]:
        return math.inf
    return _distance(_of_target(target), _of_string(other))


def _distance(one: Traits, two: Traits) -> float:
    return (
        WIDTH * _octaves(one.vector_bits, two.vector_bits)
        + REGISTERS * _octaves(one.registers, two.registers)
        + ORDER * (one.in_order != two.in_order)
        + ARITHMETIC * _octaves(one.fma_units, two.fma_units)
        + CACHES * (_octaves(one.l1_kib, two.l1_kib) + _octaves(one.l2_kib, two.l2_kib))
        + ANOTHER_CORE * (one.cpu != two.cpu)
    )


def _octaves(one: float | None, two: float | None) -> float:
    return 0.0 if one is None or two is None else abs(math.log2(one / two))


def _of_target(target: Target) -> Traits:
    core = target.cores[0]
    return Traits(
        cpu=target.mcpu,
        vector_bits=core.vector_bits,
        registers=core.vector_registers,
        fma_units=core.fma_units,
        in_order=core.in_order,
        l1_kib=core.l1d.size_kib,
        l2_kib=core.l2.size_kib if core.l2 is not None else None,
    )


def _of_string(text: str) -> Traits:
    """Of a device that has a file here, all; of another, what its core's name tells."""
    model, cpu = (re.search(rf"-{name}=(\S+)", text) for name in ("model", "mcpu"))
    if model is not None and model[1] in _described():
        return _described()[model[1]]
    name = "" if cpu is None else cpu[1]
    if (x86 := BY_NAME.get(name)) is not None:
        return Traits(name, x86.vector_bits, x86.vector_registers, x86.fma_units)
    if "x86_64" in text:
        return Traits(name, 256, 16, 2.0)
    arm = next((one for one in ARM_CPUS.values() if one.name == name), GENERIC)
    registers = 32 if "aarch64" in text else 16
    return Traits(name, 128, registers, arm.fma_units, arm.in_order)


@functools.cache
def _described() -> dict[str, Traits]:
    """By `-model`, the devices that have files here; this machine is not one of them."""
    found = (load(name) for name in names() if name not in ("host", "x86"))
    return {target.model: _of_target(target) for target in found}
