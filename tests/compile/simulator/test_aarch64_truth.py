# SPDX-License-Identifier: Apache-2.0
"""The interpreter in lockstep with qemu: the same instructions in the same order, the same bytes accessed."""

import ctypes
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from mnc.compile.simulator import machine, program
from mnc.compile.simulator.core import native
from mnc.compile.simulator.loader import image as images
from mnc.compile.simulator.simulate import Kernel, simulate
from mnc.targets import load
from tests.compile.simulator import aarch64_kernels, emulated
from tests.compile.simulator.emulated import Step

HERE = Path(__file__).parent
WORD = (1 << 64) - 1
BYTES = {"b": 1, "h": 2, "s": 4, "w": 4, "x": 8, "d": 8, "q": 16}


class Access(NamedTuple):
    """Bytes [address, address + size) read or written."""

    address: int
    size: int
    is_store: bool


class Record(ctypes.Structure):
    _fields_ = (
        ("instruction", ctypes.c_uint64),
        ("address", ctypes.c_uint64),
        ("bytes", ctypes.c_uint32),
        ("is_store", ctypes.c_uint32),
    )


def interpreted(
    kernel: Kernel, threads: int, patch: pytest.MonkeyPatch
) -> list[tuple[int, list[Access]]]:
    """Every instruction the interpreter executed, with its accesses."""
    recorder = native.library(HERE / "recorder.c")
    patch.setattr(native, "library", lambda: recorder)
    result: list[tuple[int, list[Access]]] = []
    recorder.core_destroy.restype, destroy = None, recorder.core_destroy

    def keep(core: int) -> None:
        count = ctypes.c_uint64()
        recorder.records.restype = ctypes.POINTER(Record)
        records = recorder.records(ctypes.byref(count))
        for one in records[: count.value]:
            if one.bytes == 0:
                result.append((one.instruction, []))
            else:
                result[-1][1].append(Access(one.address, one.bytes, bool(one.is_store)))
        destroy(core)

    patch.setattr(recorder, "core_destroy", keep)
    # A call to count would leave the heap as qemu, which runs the kernel once, never has it.
    patch.setattr(machine.Machine, "count", lambda _: None)
    simulate(kernel, load("rk3399"), threads=threads, state="cold")
    return result


def expected(step: Step, text: str) -> list[Access]:
    """The accesses of an instruction, worked out from its text and qemu's registers; none of the simulator's
    own decoding takes part.
    """
    match = re.match(r"(ld|st)(\w+) (.*?)(\[[xs][^\]]*\])", text)
    if match is None or text.startswith("prfm"):
        return []
    # v0.4s, v0.s or q0, w0: number, lanes, kind of the first form, then kind and number of the second.
    registers = re.findall(r"\b(?:v(\d+)\.(\d*)([bhsd])|([bhsdqwx])(\d+|zr))", match[3])
    size = _size(match[2], registers[0])
    lane = re.search(r"\}\[", match[3]) is not None
    if registers[0][2]:
        one_element = lane or match[2].endswith("r")
        size = BYTES[registers[0][2]] * (1 if one_element else int(registers[0][1] or 1))
    start = _address(step, match[4], pre=text.endswith("!"))
    is_store = match[1] == "st"
    return [Access((start + size * i) & WORD, size, is_store) for i in range(len(registers))]


def _size(suffix: str, register: tuple[str, ...]) -> int:
    narrow = re.fullmatch(r"u?rs?([bhw])", suffix)
    return BYTES[narrow[1]] if narrow else BYTES.get(register[3], 0)


def _address(step: Step, operand: str, *, pre: bool) -> int:
    base, *rest = (part.strip() for part in operand[1:-1].split(","))
    start = step.registers[31 if base == "sp" else int(base[1:])]
    if not rest:
        return start
    if rest[0].startswith("#"):
        return start + int(rest[0][1:], 0)
    index = 0 if rest[0].endswith("zr") else step.registers[int(rest[0][1:])]
    how, _, by = (rest[1] if len(rest) > 1 else "lsl #0").partition(" #")
    if how == "uxtw":
        index &= 0xFFFFFFFF
    if how == "sxtw":
        index = (index & 0xFFFFFFFF) - ((index & 0x80000000) << 1)
    return start + (index << int(by or 0))


@pytest.mark.slow
@pytest.mark.parametrize("name", aarch64_kernels.workloads())
def test_lockstep_with_qemu(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(3):
        workload = aarch64_kernels.workloads()[name]
        kernel = aarch64_kernels.build(workload, load("rk3399"), seed, tmp_path)
        with monkeypatch.context() as patch:
            ours = interpreted(kernel, 2, patch)
        image = images.build(kernel.code, kernel.arguments)
        texts = {line.address: line.text for line in program.decode(image).lines}
        count = 0
        for (address, accesses), step in zip(
            ours, emulated.steps(kernel, tmp_path, threads=2), strict=True
        ):
            assert address == step.address, f"{texts.get(address)} against {texts[step.address]}"
            assert accesses == expected(step, texts[address]), texts[address]
            count += len(accesses)
        assert count > 100
