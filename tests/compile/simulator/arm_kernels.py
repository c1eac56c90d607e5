# SPDX-License-Identifier: Apache-2.0
"""Small real kernels of our templates for 32-bit ARM, as objects."""

from bench.core_model.host_workloads import task_of
from mnc.compile.measure import compile_worker
from mnc.compile.measure.messages import spec_of
from mnc.compile.measure.simulate_worker import kernel_of
from mnc.compile.simulator.kernel import Kernel
from mnc.targets import Target

# Floating-point operations: with every tap that falls on padding left out, and with all.
WORK = {
    "pointwise 32->32 6": (2 * 32 * 32 * 36, 2 * 32 * 32 * 36),
    "depthwise 32 6": (2 * 32 * 16 * 16, 2 * 32 * 36 * 9),
    "first 3->16 12/2": (2 * 3 * 16 * 17 * 17, 2 * 3 * 16 * 36 * 9),
}


def built(workload: str, position: int, target: Target) -> Kernel:
    """The kernel of the valid config at `position` of those of the workload."""
    task = task_of(workload, target)
    space = task.task.config_space
    valid = [i for i in range(space.range_length) if space.is_index_valid(i)]
    config = space.get(valid[position % len(valid)]).to_json_dict()
    module, arguments = compile_worker.build(spec_of(task), config)
    return kernel_of(module, arguments)
