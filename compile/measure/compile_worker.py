# SPDX-License-Identifier: Apache-2.0
"""The compiling process's work: a configuration becomes a shared library, a task its reference.

Takes jobs of `mnc.compile.measure.messages`; gives Compiled, Stored or Failed. Jobs name files in a
folder of the parent's; nothing else is written.
"""

import contextlib
import functools
import importlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from tvm import autotvm, te
from tvm.autotvm.task.dispatcher import ApplyConfig

from mnc.compile.measure.messages import (
    Argument,
    Compiled,
    CompileJob,
    Failed,
    Job,
    NetworkJob,
    ReferenceJob,
    Reply,
    Stored,
    TaskSpec,
    failed,
)
from mnc.compile.records.trial import as_tuples
from mnc.compile.templates.workload import TENSORS
from mnc.compile.toolchain import linker as linking
from mnc.compile.toolchain import pass_context
from mnc.compile.toolchain.cpu_features import machine_arch
from mnc.compile.toolchain.graph import Role


@contextlib.contextmanager
def tuning() -> Iterator[None]:
    """Templates lay out arguments as the network will have them only when told that this is tuning."""
    before = autotvm.GLOBAL_SCOPE.in_tuning
    autotvm.GLOBAL_SCOPE.in_tuning = True
    try:
        yield
    finally:
        autotvm.GLOBAL_SCOPE.in_tuning = before


def perform(job: Job) -> Reply:
    """Do one job; an exception becomes an answer, for the process must live on."""
    with contextlib.nullcontext() if isinstance(job, NetworkJob) else tuning():
        return _perform(job)


def _perform(job: Job) -> Reply:
    try:
        if isinstance(job, CompileJob | ReferenceJob):
            task_of(job.task)
    except Exception as error:
        return failed("setup", error)
    try:
        if isinstance(job, CompileJob):
            return _compile(job)
        if isinstance(job, ReferenceJob):
            return _reference(job)
        if isinstance(job, NetworkJob):
            from mnc.compile.measure.network_compiling import compile_network

            return compile_network(job)
    except Exception as error:
        return failed("compile", error)
    return Failed(error="compile", message=f"not a compiler's job: {type(job).__name__}")


@functools.lru_cache(maxsize=32)
def _task(name: str, args: Any, target: str, modules: tuple[str, ...]) -> Any:
    # Importing a template is what makes AutoTVM know it.
    for module in ("mnc.compile.templates", *modules):
        importlib.import_module(module)
    return autotvm.task.create(name, args, tvm.target.Target(target))


def task_of(spec: TaskSpec) -> Any:
    """The AutoTVM task of a spec; made once and kept."""
    return _task(spec.name, as_tuples(spec.args), spec.target, spec.templates)


def _compile(job: CompileJob) -> Reply:
    module, arguments = build(job.task, job.config)
    link(module, Path(job.library))
    return Compiled(arguments=arguments)


def build(spec: TaskSpec, config: dict[str, Any]) -> tuple[Any, tuple[Argument, ...]]:
    """A configuration, in AutoTVM's JSON form, as TVM's module and the buffers it takes, in order.

    ValueError for a configuration that the template refuses; TVM raises what it likes for others.
    """
    entity = autotvm.task.space.ConfigEntity.from_json_dict(config)
    with tuning():
        task = task_of(spec)
        args = [_placeholder(arg) for arg in task.args]
        with task.target, ApplyConfig(entity):
            schedule, arguments = task.func(*args)
    if not entity.valid():
        raise ValueError("; ".join(map(str, entity.errors)))
    with pass_context.pass_context():
        module = tvm.build(schedule, arguments, target=task.target)
    tensors = [arg for arg in args if isinstance(arg, te.Tensor)]
    return module, tuple(_argument(tensor, tensors) for tensor in arguments)


def link(module: Any, library: Path) -> None:
    """Write a built module as a shared library: one object, straight through the linker.

    The compiler driver would take ten times as long; one object with no imports needs none of it.
    """
    arch = linking.architecture(str(module.get_function("_get_target_string")()))
    if arch != machine_arch() and not module.imported_modules:
        unlinked = library.with_suffix(".o")
        module.save(str(unlinked))
        linking.link_object(unlinked, library, arch)
        unlinked.unlink()
        return
    linker = shutil.which("ld") or shutil.which("ld.gold")
    if linker is None or module.imported_modules:
        module.export_library(str(library))
        return
    unlinked = library.with_suffix(".o")
    module.save(str(unlinked))
    command = [linker, "-shared", "-o", str(library), str(unlinked)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    unlinked.unlink()
    if done.returncode != 0:
        raise RuntimeError(f"{linker}: {done.stderr.strip() or done.returncode}")


def _placeholder(arg: Any) -> Any:
    """What a template is called with, as AutoTVM makes it: a tensor for its description, else the same."""
    if isinstance(arg, tuple) and arg and arg[0] == "TENSOR":
        return te.placeholder(shape=arg[1], dtype=arg[2])
    return arg


def _argument(tensor: Any, tensors: Sequence[Any]) -> Argument:
    """A buffer of the kernel; its role is known by which of the task's `tensors` it is, for templates list
    them as they meet them, and several may have one shape.
    """
    role: Role = "other" if isinstance(tensor.op, te.PlaceholderOp) else "output"
    for known, one in zip(TENSORS, tensors, strict=False):
        if one.op.same_as(tensor.op):
            role = known
    shape = tuple(int(size) for size in tensor.shape)
    return Argument(shape=shape, dtype=str(tensor.dtype), role=role)


def _reference(job: ReferenceJob) -> Reply:
    from mnc.compile.frontend import tasks
    from mnc.compile.measure import reference

    spec = job.task
    target = tvm.target.Target(spec.target)
    task = tasks.from_workload(spec.name, as_tuples(spec.args), target, calls=1)
    inputs = reference.check_inputs(task)
    right = reference.expected(task, inputs)
    # The last of the inputs is the output's buffer, empty.
    stored: dict[str, Any] = dict(zip(TENSORS, inputs[:-1], strict=False))
    np.savez(job.path, allow_pickle=False, output=right, **stored)
    return Stored()
