# SPDX-License-Identifier: Apache-2.0
"""Compiles a record's config again, as its board ran it: TVM's stock template, in tuning mode.

Takes `BoardRecord`s; gives `BuiltKernel`s, kept in the cache under their content, so that nothing is compiled
twice. Importing this is cheap; only a kernel that is not in the cache imports tvm.
"""

import hashlib
import importlib.util
import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bench.core_model.boards import MeasuredBoard
from bench.core_model.records import BoardRecord
from mnc.support import error_text
from mnc.support.errors import UserError
from mnc.support.files import cache_dir, write_atomic

if TYPE_CHECKING:
    from tvm.te import Tensor

RECIPE = 3  # raise it when the same record would be compiled differently
NAME = "kernel"  # of the packed function
# The weights of a spatial pack in tuning mode: AutoTVM left out their packing, and read what it had.
UNWRITTEN = "kernel_autotvm"
# How TVM's LLVM 22 is kept to what that of 2018 did.
# fp-contract: on 32-bit ARM without VFPv4, TVM asks for every fusion that is fast, upon which LLVM since
# 12 chains no multiply-adds at all (vmul and vadd in the place of vmla). Kept to the code's own, it does.
OPTIONS = ("-O3", "-relocation-model=pic", "-fp-contract=on")
# For a record that names no -mcpu, LLVM of 2018 had no model of a core, by which 22 now reorders: it
# schedules a generic AArch64 as an in-order Cortex-A510, upon which its register allocator shifts a tile's
# accumulators round (24 moves beside 28 multiply-adds). So: no reordering, and no splitting to that end.
# Chosen by the records of rk3399 (the first by those of bcm2837) and held for every board.
GENERIC = (
    "-pre-RA-sched=source",
    "-enable-misched=false",
    "-grow-region-complexity-budget=1",
)

LLVM_OPTION = re.compile(r"-cl-opt=(-[\w-]+)(?::\w+)?=(\w+)")


class KernelBuffer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One argument, float32. `unwritten`: nothing ever wrote to it before the kernel was timed."""

    shape: tuple[int, ...]
    is_output: bool
    unwritten: bool


class BuiltKernel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The path of an object file with one packed function, and its arguments in calling order."""

    code: str
    arguments: tuple[KernelBuffer, ...]


def build(record: BoardRecord, board: MeasuredBoard) -> BuiltKernel:
    """The kernel of `record`, from the cache or compiled now. Raises UserError when it does not compile."""
    folder = cache_dir("validation")
    key = _key(record, board)
    described, code = folder / f"{key}.json", folder / f"{key}.o"
    if described.exists() and code.exists():
        return msgspec.json.decode(described.read_bytes(), type=BuiltKernel)
    try:
        kernel = _compile(record, board, code)
    except UserError:
        raise
    except Exception as error:  # TVM raises anything
        reason = error_text.of_exception(error)
        raise UserError(f"{record.source}: does not compile here: {reason}") from error
    write_atomic(described, msgspec.json.encode(kernel))
    return kernel


def _key(record: BoardRecord, board: MeasuredBoard) -> str:
    what = [RECIPE, record.template, msgspec.to_builtins(record.convolution), record.knobs]
    text = json.dumps([*what, board.tvm_target, _options(board)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _compile(record: BoardRecord, board: MeasuredBoard, code: Path) -> BuiltKernel:
    import tvm
    import tvm.topi.arm_cpu
    from tvm import autotvm

    from mnc.compile.toolchain import pass_context

    autotvm.GLOBAL_SCOPE.in_tuning = True
    target = tvm.target.Target(board.tvm_target)
    task = autotvm.task.create(record.template, _arguments(record), target)
    entity = {"index": 0, "code_hash": None, "entity": json.loads(record.knobs)}
    with target:
        schedule, tensors = task.instantiate(autotvm.task.space.ConfigEntity.from_json_dict(entity))
    with pass_context.pass_context():
        module = tvm.build(schedule, tensors, target=target, name=NAME)
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "kernel.o"
        _object(module, board, made)
        write_atomic(code, made.read_bytes())
    return BuiltKernel(str(code), tuple(_buffer(tensor) for tensor in tensors))


def _arguments(record: BoardRecord) -> tuple[Any, ...]:
    """The template's arguments in the order of TVM 0.19."""
    one = record.convolution
    data = ("TENSOR", (one.batch, one.inputs, one.height, one.width), "float32")
    depth = 1 if one.depthwise else one.inputs
    weights = ("TENSOR", (one.outputs, depth, *one.kernel), "float32")
    return (data, weights, one.stride, one.padding, one.dilation, "float32")


def _buffer(tensor: "Tensor") -> KernelBuffer:
    from tvm import te

    return KernelBuffer(
        shape=tuple(int(size) for size in tensor.shape),
        is_output=not isinstance(tensor.op, te.PlaceholderOp),
        unwritten=str(tensor.op.name) == UNWRITTEN,
    )


def _object(module: Any, board: MeasuredBoard, path: Path) -> None:
    """The module's code as an object file, by LLVM's own compiler."""
    command = [str(_llc()), *_options(board), "-filetype=obj", "-o", str(path)]
    code = module.get_source("ll")
    done = subprocess.run(command, input=code, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = error_text.of_tool(done.stderr, done.returncode)
        raise UserError(f"LLVM's llc failed: {said}; run `make setup`")


def _options(board: MeasuredBoard) -> list[str]:
    options = list(OPTIONS)
    if board.target.triple.endswith("eabihf"):
        options.append("-float-abi=hard")
    if "-mcpu=" not in board.tvm_target:
        options += GENERIC
    # What the target string tells TVM's LLVM, as llc takes it.
    return options + [f"{name}={value}" for name, value in LLVM_OPTION.findall(board.tvm_target)]


def _llc() -> Path:
    found = importlib.util.find_spec("llvm")
    places = found.submodule_search_locations if found is not None else None
    tool = Path(next(iter(places))) / "bin" / "llc" if places else None
    if tool is None or not tool.exists():
        raise UserError("LLVM's llc is missing; run `make setup`")
    return tool
