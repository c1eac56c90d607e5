# SPDX-License-Identifier: Apache-2.0
"""The compiling process's other work: a whole network, so that several can be compiled at once.

Takes a NetworkJob; leaves the network's files where it says.
"""

import functools
import importlib
from pathlib import Path
from typing import Any

import tvm

from mnc.compile.codegen import network_files, relay_build
from mnc.compile.codegen.dispatch_context import BestRecords
from mnc.compile.measure.messages import NetworkJob, Reply, Stored

# What of the frontend registers some.
OPERATORS = ("fusion", "integer_fusion", "markers", "rounding", "strassen")


def compile_network(job: NetworkJob) -> Reply:
    """Compile and link it. UserError as `relay_build.compiled` and `network_files.write`."""
    wanted = job.target.tvm_target()
    records = BestRecords(job.trials, wanted)
    mod = relay_build.fused(_program(job.program), records)
    factory = relay_build.compiled(mod, wanted, records)
    network_files.write(factory, Path(job.library), job.target, keys=job.keys)
    return Stored()


@functools.lru_cache(maxsize=1)
def _program(path: str) -> Any:
    """A Relay module; reading it, TVM must know the operators that are ours."""
    for module in OPERATORS:
        importlib.import_module(f"mnc.compile.frontend.{module}")
    return tvm.ir.load_json(Path(path).read_text("utf-8"))
