# SPDX-License-Identifier: Apache-2.0
"""Programs that ask the CPU what it has are told of no AVX-512."""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.hiding import libraries
from mnc.support.errors import UserError

PROGRAM = """
#include <stdio.h>
int main(void) {
  __builtin_cpu_init();
  printf("%d %d", !!__builtin_cpu_supports("avx2"), !!__builtin_cpu_supports("avx512f"));
  return 0;
}
"""


def _made(folder: Path, source: str) -> Path:
    program = folder / "program"
    code = folder / "program.c"
    code.write_text(source)
    subprocess.run(["gcc", "-o", str(program), str(code)], check=True)
    return program


@pytest.fixture
def here() -> None:
    if platform.machine() != "x86_64" or not all(map(shutil.which, ("gcc", "objdump", "readelf"))):
        pytest.skip("needs an x86-64 machine with gcc and binutils")


@pytest.mark.usefixtures("here")
def test_a_patched_program_sees_avx2_and_no_avx512(tmp_path: Path) -> None:
    program = _made(tmp_path, PROGRAM)
    before = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    assert libraries.patch(program) > 0
    asked = subprocess.run(
        [program],
        capture_output=True,
        text=True,
        check=True,
        env={"LD_PRELOAD": str(libraries.preloaded())},
    )
    assert asked.stdout == f"{before.split()[0]} 0"


@pytest.mark.usefixtures("here")
def test_a_trap_of_its_own_still_ends_a_program(tmp_path: Path) -> None:
    program = _made(tmp_path, "int main(void) { __builtin_trap(); }")
    done = subprocess.run(
        [program], check=False, env={"LD_PRELOAD": str(libraries.preloaded())}, cwd=tmp_path
    )
    assert done.returncode < 0


def test_what_is_no_library_is_named(tmp_path: Path) -> None:
    if shutil.which("objdump") is None:
        pytest.skip("needs binutils")
    (tmp_path / "libtext.so").write_text("no library")
    with pytest.raises(UserError, match=r"objdump cannot read .*libtext\.so"):
        libraries.patch(tmp_path / "libtext.so")
