# SPDX-License-Identifier: Apache-2.0
"""An instruction without a model is refused by name, and in the same words where asserts are left out."""

import ast
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from mnc.compile.simulator import program
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import Line
from mnc.compile.simulator.simulate import simulate
from mnc.targets import load
from tests.compile.simulator.aarch64_kernels import compiled

# Unknown names, and known ones with operands of another kind or too few.
REFUSED = (
    ("aarch64", "dc zva, x0"),
    ("aarch64", "add x0, #1, x2"),
    ("aarch64", "add x0, x1, eq"),
    ("aarch64", "movk x0, x1"),
    ("aarch64", "ubfx x0, x1, x2, #3"),
    ("aarch64", "extr x0, x1, x2"),
    ("aarch64", "csel x0, x1, x2, #1"),
    ("aarch64", "ccmp x0, x1, x2, eq"),
    ("aarch64", "tbz x0, x1, 0x1000"),
    ("aarch64", "cbz x0, x1"),
    ("aarch64", "adrp x0, x1"),
    ("aarch64", "ld1 x0, [x1]"),
    ("aarch64", "fmov #1.0, v0.4s"),
    ("arm", "mcr p15, #0, r0, c7, c10, #5"),
    ("arm", "add d0, r1, r2"),
    ("arm", "movt r0, r1"),
    ("arm", "b r0"),
    ("arm", "vdup.32 r0, r1"),
    ("arm", "smulwb r0, r1, r2"),
    ("x86_64", "cpuid"),
    ("x86_64", "jmp st(0)"),
    ("x86_64", "rol eax, cl"),
    ("x86_64", "vpextrd eax, xmm0, ecx"),
    ("x86_64", "vbroadcastss dword ptr [rax], xmm0"),
)
SAYS = """
import pickle, sys
from tests.compile.simulator.decoders.test_refusals import refusal
from mnc.compile.simulator.simulate import simulate
from mnc.targets import load
refused, kernel = pickle.load(open(sys.argv[1], "rb"))
said = [refusal(*one) for one in refused]
try:
    simulate(kernel, load("rk3399"))
except Exception as error:
    said.append(f"{type(error).__name__}: {error}")
print(repr((__debug__, said)))
"""


def refusal(arch: str, text: str) -> str:
    """Why an instruction has no model."""
    mnemonic, _, operands = text.partition(" ")
    try:
        found = program.DECODERS[arch].decode(Line(0x1000, 4, mnemonic, operands))
    except SimulationError as error:
        return str(error)
    return f"decoded as {found}"


@pytest.mark.parametrize(("arch", "text"), REFUSED)
def test_a_refusal_names_the_instruction(arch: str, text: str) -> None:
    name = {"aarch64": "AArch64", "arm": "ARM", "x86_64": "x86-64"}[arch]
    said = refusal(arch, text)
    assert said.startswith(f"no model of the {name} instruction {text!r} at 0x1000 (")


def test_without_asserts_the_same_is_refused(tmp_path: Path) -> None:
    kernel = compiled(tmp_path, '__asm__ volatile("dc zva, x0"); return 0;')
    with pytest.raises(SimulationError) as refused:
        simulate(kernel, load("rk3399"))
    stored = tmp_path / "refused"
    stored.write_bytes(pickle.dumps((REFUSED, kernel)))
    command = [sys.executable, "-O", "-c", SAYS, str(stored)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    debug, said = ast.literal_eval(done.stdout)
    assert not debug
    assert said == [*(refusal(*one) for one in REFUSED), f"SimulationError: {refused.value}"]
    assert "dc zva" in said[-1]


def test_no_assert_guards_anything() -> None:
    folder = Path(program.__file__).parent
    for path in folder.rglob("*.py"):
        found = [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)
        ]
        assert not found, f"{path}:{found[0].lineno}"
