# SPDX-License-Identifier: Apache-2.0
"""Instructions of whole programs: accesses, what they wait for, what they leave to be waited for."""

import pytest

from mnc.compile.simulator.isa.instructions import FIRST_VECTOR as V0
from mnc.compile.simulator.isa.instructions import Class, Instruction, Line
from mnc.compile.tracing import whole_programs


def decode(text: str) -> tuple[Instruction, ...]:
    mnemonic, _, operands = text.partition(" ")
    return whole_programs.decode(Line(0, 4, mnemonic, operands))


@pytest.mark.parametrize(
    ("text", "read", "written"),
    [
        ("ldadda w1, w2, [x3]", (1, 3), (2,)),
        ("ldaddal x1, x2, [sp]", (1, 31), (2,)),
        ("swpb w4, w5, [x6]", (4, 6), (5,)),
        ("casal x1, x2, [x3]", (1, 3), (1,)),
        ("staddl w1, [x3]", (1, 3), ()),
        ("ldset wzr, w2, [x3]", (3,), (2,)),
    ],
)
def test_atomics_read_and_write(text: str, read: tuple[int, ...], written: tuple[int, ...]) -> None:
    load, store = decode(text)
    assert (load.cls, load.loads, load.dst) == (Class.LOAD_INT, 1, written)
    assert (store.cls, store.stores, store.src) == (Class.STORE_INT, 1, read)


def test_exclusives_and_zeroed_lines() -> None:
    (load,) = decode("ldaxr w1, [x2]")
    assert (load.loads, load.dst, load.src) == (1, (1,), (2,))
    (store,) = decode("stlxr w0, x1, [x2]")
    assert (store.stores, store.dst, store.src) == (1, (0,), (1, 2))
    (zero,) = decode("dc zva, x3")
    assert (zero.cls, zero.stores, zero.width, zero.src) == (Class.STORE_VEC, 4, 16, (3,))
    assert [one.cls for one in decode("dc cvac, x3")] == [Class.NOP]


@pytest.mark.parametrize(
    ("text", "kind", "read", "written"),
    [
        ("crc32cx w0, w1, x2", Class.MUL, (1, 2), (0,)),
        ("rev32 x0, x1", Class.INT, (1,), (0,)),
        ("aese v0.16b, v1.16b", Class.VEC_INT, (V0, V0 + 1), (V0,)),
        ("aesmc v0.16b, v1.16b", Class.VEC_INT, (V0 + 1,), (V0,)),
        ("sha256h q0, q1, v2.4s", Class.VEC_MUL, (V0, V0 + 1, V0 + 2), (V0,)),
        ("eor3 v0.16b, v1.16b, v2.16b, v3.16b", Class.VEC_INT, (V0 + 1, V0 + 2, V0 + 3), (V0,)),
    ],
)
def test_checksums_and_ciphers_wait_for_what_they_read(
    text: str, kind: Class, read: tuple[int, ...], written: tuple[int, ...]
) -> None:
    (found,) = decode(text)
    assert (found.cls, found.src, found.dst) == (kind, read, written)


def test_others_are_left_to_the_core_models_own_decoder_or_unknown() -> None:
    for text in ("add x0, x1, x2", "ldr x0, [x1]", "frobnicate x0", "stxvw4x x1"):
        assert decode(text) == ()
