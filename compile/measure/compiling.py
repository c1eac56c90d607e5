# SPDX-License-Identifier: Apache-2.0
"""The compiling process's work: a configuration becomes a shared library, a task its reference.

Takes jobs of `compile.measure.messages`; gives Compiled, Stored or Failed. Jobs name files in a
folder of the parent's; nothing else is written.
"""

import functools
import importlib
import pkgutil
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from compile import templates, tvm_setup
from compile.measure.messages import (
    Argument,
    Compiled,
    CompileJob,
    Failed,
    Job,
    ReferenceJob,
    Reply,
    Stored,
    TaskSpec,
)
from compile.measure.worker import failed

import tvm  # isort: skip
from tvm import autotvm, te  # isort: skip

# Templates lay out arguments as the network will have them only when told that this is tuning.
autotvm.GLOBAL_SCOPE.in_tuning = True


def perform(job: Job) -> Reply:
    """Do one job; an exception becomes an answer, for the process must live on."""
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
    except Exception as error:
        return failed("compile", error)
    return Failed(error="compile", message=f"not a compiler's job: {type(job).__name__}")


@functools.lru_cache(maxsize=32)
def _task(key: str, name: str, args: Any, target: str) -> Any:
    # Importing a template is what makes AutoTVM know it.
    for module in pkgutil.iter_modules(templates.__path__):
        importlib.import_module(f"{templates.__name__}.{module.name}")
    return autotvm.task.create(name, args, tvm.target.Target(target))


def task_of(spec: TaskSpec) -> Any:
    """The AutoTVM task of a spec; made once and kept."""
    return _task(spec.key, spec.name, tuples(spec.args), spec.target)


def tuples(value: Any) -> Any:
    """JSON's lists as the tuples that AutoTVM's arguments are made of."""
    return tuple(tuples(item) for item in value) if isinstance(value, list | tuple) else value


def _compile(job: CompileJob) -> Reply:
    task = task_of(job.task)
    config = autotvm.task.space.ConfigEntity.from_json_dict(job.config)
    with task.target:
        schedule, arguments = task.instantiate(config)
    if not config.valid():
        return Failed(error="compile", message="; ".join(map(str, config.errors))[:300])
    with tvm_setup.pass_context():
        module = tvm.build(schedule, arguments, target=task.target)
    link(module, Path(job.library))
    return Compiled(arguments=tuple(_argument(tensor) for tensor in arguments))


def link(module: Any, library: Path) -> None:
    """Write a built module as a shared library: one object, straight through the linker.

    The compiler driver would take ten times as long; one object with no imports needs none of it.
    """
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


def _argument(tensor: Any) -> Argument:
    shape = tuple(int(size) for size in tensor.shape)
    is_output = not isinstance(tensor.op, te.PlaceholderOp)
    return Argument(shape=shape, dtype=str(tensor.dtype), is_output=is_output)


def _reference(job: ReferenceJob) -> Reply:
    from compile import reference, tasks

    spec = job.task
    task = tasks.TunableTask(
        task=task_of(spec),
        kind=spec.kind,
        shape=spec.shape,
        macs=spec.macs,
        calls=spec.calls,
        key=spec.key,
    )
    inputs = reference.check_inputs(task)
    arrays = {f"input{i}": array for i, array in enumerate(inputs[:-1])}
    np.savez(job.path, expected=reference.expected(task, inputs), **arrays)
    return Stored()
