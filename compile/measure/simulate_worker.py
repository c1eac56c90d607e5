# SPDX-License-Identifier: Apache-2.0
"""The simulating process's work: a configuration becomes machine code, and that code a cost by a core model.

Takes SimulateJobs, and gives Priced or Failed. Nothing is run and nothing outlives a job, so that any machine
with the same version of this source gives the same answer.
"""

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mnc.compile.measure import compile_worker
from mnc.compile.measure.messages import Argument, Failed, Job, Priced, Reply, SimulateJob, failed
from mnc.compile.simulator.simulate import CacheState, Kernel, simulate

STATE: CacheState = "cold"  # as the network finds the caches
MEMORY = Path("/dev/shm")


def perform(job: Job) -> Reply:
    """Do one job; an exception becomes an answer, for the process must live on."""
    if not isinstance(job, SimulateJob):
        return Failed(error="compile", message=f"not a simulator's job: {type(job).__name__}")
    started = time.perf_counter()
    try:
        with compile_worker.tuning():
            compile_worker.task_of(job.task)
    except Exception as error:
        return failed("setup", error)
    try:
        module, arguments = compile_worker.build(job.task, job.config)
    except Exception as error:
        return failed("compile", error)
    try:
        found = simulate(kernel_of(module, arguments), job.device, threads=job.threads, state=STATE)
    except Exception as error:
        return failed("run", error)
    return Priced(cost=found.seconds, seconds=time.perf_counter() - started)


def kernel_of(module: Any, arguments: tuple[Argument, ...]) -> Kernel:
    """A built module as the simulator takes it."""
    with TemporaryDirectory(dir=_scratch(), prefix="mnc-simulate-") as folder:
        path = Path(folder) / "kernel.o"
        module.save(str(path))
        code = path.read_bytes()
    return Kernel(code, tuple((one.shape, one.dtype, one.is_output) for one in arguments))


def _scratch() -> str | None:
    """The pool's own folder, which it removes; else memory, where there is some."""
    named = os.environ.get("MNC_SCRATCH")
    return named or (str(MEMORY) if os.access(MEMORY, os.W_OK) else None)
