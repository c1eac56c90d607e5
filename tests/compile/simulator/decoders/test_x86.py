# SPDX-License-Identifier: Apache-2.0
"""The x86-64 decoder: instructions one by one, and real kernels stepped through on this core."""

import platform
from pathlib import Path

import pytest

from mnc.compile.simulator.decoders.x86.decode import decode
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import (
    FIRST_VECTOR,
    FLAGS,
    NONE,
    Class,
    Flag,
    Instruction,
    Line,
)
from mnc.compile.simulator.isa.micro_ops import Op
from mnc.compile.simulator.loader import image
from mnc.compile.simulator.loader.builder import PAGE
from mnc.compile.simulator.simulate import simulate
from mnc.targets import load
from tests.compile.simulator import single_step, x86_kernels

V = FIRST_VECTOR


def one(text: str, *, address: int = 0x1000, size: int = 4) -> Instruction:
    mnemonic, _, operands = text.partition(" ")
    (part,) = decode(Line(address, size, mnemonic, operands))
    return part


def test_a_multiply_add_from_memory_is_one_instruction() -> None:
    found = one("vfmadd231ps zmm3, zmm8, dword ptr [rcx + 4*rdx - 396]{1to16}")
    assert (found.cls, found.width, found.loads, found.flops) == (Class.FMA, 64, 1, 32)
    assert found.dst == (V + 3,)
    assert found.src == (V + 3, V + 8, 1, 2)
    assert (found.accumulator, found.first_address) == (0, 2)
    touch = found.micro_ops[0]
    assert (touch.op, touch.size, touch.a, touch.b) == (Op.TOUCH_LOAD, 4, 1, 2)
    assert (touch.shift, touch.imm) == (2, -396)


@pytest.mark.parametrize(
    ("text", "cls", "width", "loads", "stores"),
    [
        ("vmovaps zmm1, zmmword ptr [rax]", Class.LOAD_VEC, 64, 1, 0),
        ("vmovups ymmword ptr [rax + 32], ymm9", Class.STORE_VEC, 32, 0, 1),
        ("movaps xmm1, xmm2", Class.VEC_MOVE, 16, 0, 0),
        ("vbroadcastss ymm1, dword ptr [rax]", Class.LOAD_BROADCAST, 32, 1, 0),
        ("vbroadcastss ymm1, xmm0", Class.VEC_PERMUTE, 32, 0, 0),
        ("movss xmm1, dword ptr [rax]", Class.LOAD_VEC, 4, 1, 0),
        ("vmaxps zmm1, zmm1, zmm2", Class.FP_CMP, 64, 0, 0),
        ("addps xmm1, xmmword ptr [rax]", Class.FP_ADD, 16, 1, 0),
        ("vdivss xmm1, xmm2, xmm3", Class.FP_DIV_SQRT, 4, 0, 0),
        ("vpaddd ymm1, ymm2, ymm3", Class.VEC_INT, 32, 0, 0),
        ("vextracti128 xmm1, ymm2, 1", Class.VEC_PERMUTE, 32, 0, 0),
        ("vmovd eax, xmm0", Class.VEC_TO_INT, 4, 0, 0),
        ("prefetcht0 byte ptr [rax]", Class.PREFETCH, 0, 1, 0),
        ("add dword ptr [rax], 3", Class.INT, 0, 1, 1),
        ("push rbx", Class.STORE_INT, 0, 0, 1),
    ],
)
def test_classes(text: str, cls: Class, width: int, loads: int, stores: int) -> None:
    found = one(text)
    assert (found.cls, found.loads, found.stores) == (cls, loads, stores)
    assert found.width == width


def test_zeroing_depends_on_nothing() -> None:
    for text in ("vxorps xmm1, xmm1, xmm1", "xor eax, eax", "pxor xmm3, xmm3"):
        assert one(text).src == ()
    assert one("xorps xmm1, xmm2").src == (V + 1, V + 2)


def test_masks_are_read_and_merging_keeps_the_target() -> None:
    assert one("vmovdqu64 zmm0 {k1} {z}, zmmword ptr [r9]").src == (V + 57, 9)
    assert V in one("vaddps zmm0 {k2}, zmm1, zmm2").src


def test_flags_are_written_read_and_conditions_kept() -> None:
    assert FLAGS in one("cmp rax, 7").dst
    jump = one("jb 0x2000")
    assert jump.src == (FLAGS,)
    assert jump.flags & Flag.ENDS_BLOCK
    assert one("cmovge eax, ecx").src == (FLAGS, 0, 1)


def test_addresses_relative_to_the_instruction() -> None:
    found = one("mov rax, qword ptr [rip + 16]", address=0x1000, size=7)
    assert found.micro_ops[0].imm == 0x1017
    assert found.first_address == NONE


def test_the_stack_pointer_is_known_early() -> None:
    found = one("pop r14")
    assert found.dst[found.base_update] == 4
    assert found.flags & Flag.STACK


@pytest.mark.parametrize("text", ["vgatherdps zmm0 {k1}, zmmword ptr [rax + 4*zmm1]", "cpuid"])
def test_the_unknown_is_refused_by_name(text: str) -> None:
    with pytest.raises(SimulationError, match=text.split(maxsplit=1)[0]):
        one(text)


CORES = [("sapphirerapids", 512), ("skylake", 256), ("x86-64", 128)]


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="steps through x86-64 code")
@pytest.mark.parametrize("workload", x86_kernels.WORKLOADS)
@pytest.mark.parametrize(("cpu", "bits"), CORES)
def test_every_instruction_runs_as_often_as_on_this_core(
    workload: str, cpu: str, bits: int, tmp_path: Path
) -> None:
    if bits > load("host").fast.vector_bits:
        pytest.skip(f"this core has no vectors of {bits} bits")
    library = tmp_path / "kernel.so"
    target = x86_kernels.target_for(cpu, bits)
    kernel = x86_kernels.built(workload, 3, target, library)
    truth = single_step.count(library, tuple(shape for shape, _, _ in kernel.arguments))
    start = image.build(kernel.code, kernel.arguments).base + PAGE
    found = simulate(kernel, load("host"), exact=True)
    assert found.instructions == sum(truth.values())
    assert {one.line.address - start: one.count for one in found.listing} == dict(truth)
