# SPDX-License-Identifier: Apache-2.0
"""The line of an error that tells, out of what TVM, torch, compilers and dying processes really write."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import tvm
from torch import nn
from tvm import rpc, te

from mnc.compile.toolchain.zig import zig
from mnc.support import error_text


def said(function: Callable[[], object]) -> str:
    """What is told of the exception that the call ends in; it has more lines than that."""
    with pytest.raises(Exception) as raised:
        function()
    told = error_text.of_exception(raised.value)
    assert "\n" not in told and len(told) <= error_text.LONGEST
    return told


@pytest.fixture
def kernel() -> tvm.runtime.Module:
    given = te.placeholder((8,), name="given")
    made = te.compute((8,), lambda i: given[i] + 1, name="made")
    return tvm.build(te.create_schedule(made.op), [given, made], "llvm")


def array(size: int, device: Any = None) -> tvm.nd.NDArray:
    return tvm.nd.array(np.zeros(size, "float32"), device or tvm.cpu())


def test_tvm_on_a_library_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "lib.so"
    path.write_bytes(b"junk")
    told = said(lambda: tvm.runtime.load_module(str(path)))
    assert told.startswith("InternalError: Check failed: (lib_handle_ != nullptr)")
    assert told.endswith(f"{path}: file too short")


def test_tvm_on_arguments_that_do_not_fit(kernel: tvm.runtime.Module) -> None:
    told = said(lambda: kernel(array(7), array(8)))
    assert told.startswith("TVMError: Assert fail:") and "unsatisfied constraint: 8 ==" in told


def test_tvm_on_the_other_side_of_a_connection(kernel: tvm.runtime.Module, tmp_path: Path) -> None:
    path = tmp_path / "lib.so"
    kernel.export_library(str(path))
    session = rpc.LocalSession()
    session.upload(str(path))
    there, device = session.load_module("lib.so"), session.cpu()
    told = said(lambda: there(array(7, device), array(8, device)))
    assert "unsatisfied constraint: 8 ==" in told


def test_python_called_by_tvm() -> None:
    def refuse() -> None:
        raise ValueError("eight were wanted\nand more of it")

    assert said(tvm.runtime.convert(refuse)) == "eight were wanted"


def test_torch_on_a_shape_that_does_not_fit() -> None:
    told = said(lambda: nn.Conv2d(3, 4, 3)(torch.zeros(1, 4, 8, 8)))
    assert told.startswith("Given groups=1, weight of size [4, 3, 3, 3]")


def test_torchscript_on_a_shape_that_does_not_fit() -> None:
    module = torch.jit.script(nn.Linear(3, 4))
    told = said(lambda: module(torch.zeros(1, 5)))
    assert told == "RuntimeError: mat1 and mat2 shapes cannot be multiplied (1x5 and 3x4)"


def test_torch_on_a_checkpoint_of_another_network() -> None:
    other = nn.Linear(4, 5).state_dict()
    told = said(lambda: nn.Linear(2, 3).load_state_dict(other))
    assert told == "Error(s) in loading state_dict for Linear:"


def test_an_exception_without_words() -> None:
    assert error_text.of_exception(KeyError()) == "KeyError"


def test_a_trace_without_a_name() -> None:
    text = "Traceback (most recent call last):\n  0: tvm::runtime::Load\nthe file is gone\n"
    assert error_text.of_exception(RuntimeError(text)) == "the file is gone"


def output_of(command: tuple[str, ...], *arguments: str) -> tuple[str, int]:
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode
    return done.stderr + done.stdout, done.returncode


def test_a_compiler_s_first_error(tmp_path: Path) -> None:
    source = tmp_path / "code.c"
    source.write_text("int f(int x) { if (x = 1) return one; return two; }\n")
    output = output_of(zig("cc"), "-c", str(source), "-o", "/dev/null")
    assert "warning: using the result of an assignment" in output[0]
    assert error_text.of_tool(*output).endswith("error: use of undeclared identifier 'one'")


def test_a_linker_s_first_error(tmp_path: Path) -> None:
    (tmp_path / "junk.o").write_bytes(b"junk, which no linker reads")
    told = error_text.of_tool(*output_of(zig("ld.lld"), "-o", "/dev/null", f"{tmp_path}/junk.o"))
    assert "error:" in told and "junk.o" in told


def test_a_tool_that_names_no_error() -> None:
    assert error_text.of_tool("usage: tool FILE\nmore of it\n", 2) == "usage: tool FILE"
    assert error_text.of_tool("\n", 2) == "exit status 2"
    assert error_text.of_tool("", -9) == "SIGKILL"


def words_of(program: str) -> tuple[str, str]:
    """The last words of a Python program that fails, and how it ended."""
    done = subprocess.run([sys.executable, "-c", program], stderr=-1, text=True, check=False)
    return error_text.last_words(done.stderr), error_text.exit_name(done.returncode)


def test_a_program_that_raises() -> None:
    program = (
        "def error():\n  raise StopIteration\ntry:\n  1 / 0\nexcept ZeroDivisionError:\n  error()"
    )
    assert words_of("raise OSError('the disk is gone')") == (
        "OSError: the disk is gone",
        "exit status 1",
    )
    assert words_of(f"import sys\n{program}")[0].startswith("ZeroDivisionError")


def test_a_program_that_a_signal_ends() -> None:
    program = "import os, sys; print('so far', file=sys.stderr, flush=True); os.abort()"
    assert words_of(program) == ("so far", "SIGABRT")


def test_what_nobody_caught_in_cpp(tmp_path: Path) -> None:
    source, program = tmp_path / "code.cc", tmp_path / "program"
    source.write_text(
        '#include <stdexcept>\nint main() { throw std::runtime_error("no room for it"); }\n'
    )
    subprocess.run([*zig("c++"), str(source), "-o", str(program)], check=True)
    done = subprocess.run([program], stderr=-1, text=True, check=False)
    assert "no room for it" in error_text.last_words(done.stderr)
    assert error_text.exit_name(done.returncode) == "SIGABRT"


def test_what_tvm_says_at_its_start_is_nothing() -> None:
    assert (
        error_text.last_words("Loading runtime library /x/libtvm_runtime.so... exec only\n") == ""
    )
