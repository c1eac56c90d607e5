# SPDX-License-Identifier: Apache-2.0
"""Small real kernels of our templates for x86-64 vectors of any width, linked as the measurer links them."""

from pathlib import Path

import msgspec

from bench.core_model.host_workloads import task_of
from mnc.compile.measure import compile_worker
from mnc.compile.measure.messages import Compiled, CompileJob, spec_of
from mnc.compile.simulator.kernel import Kernel
from mnc.targets import Target, load

WORKLOADS = ("pointwise 32->32 4", "depthwise 32 6", "first 3->16 12/2")


def target_for(cpu: str, bits: int) -> Target:
    """The host's target as if its core were another."""
    host = load("host")
    registers = 32 if bits == 512 else 16
    core = msgspec.structs.replace(host.fast, cpu=cpu, vector_bits=bits, vector_registers=registers)
    return msgspec.structs.replace(host, mcpu=cpu, model=f"x86-{cpu}", cores=(core,))


def built(workload: str, position: int, target: Target, library: Path) -> Kernel:
    """The kernel of the valid config at `position` of those of the workload, at `library`."""
    task = task_of(workload, target)
    space = task.task.config_space
    valid = [i for i in range(space.range_length) if space.is_index_valid(i)]
    config = space.get(valid[position % len(valid)]).to_json_dict()
    answer = compile_worker.perform(
        CompileJob(task=spec_of(task), config=config, library=str(library))
    )
    assert isinstance(answer, Compiled), answer
    arguments = tuple((one.shape, one.dtype, one.is_output) for one in answer.arguments)
    return Kernel(library.read_bytes(), arguments)
