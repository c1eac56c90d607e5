# SPDX-License-Identifier: Apache-2.0
"""Runs where candidates are simulated: our device server, with two functions more.

`mnc.simulate` takes a SimulateJob and a time limit and gives an Outcome, both as JSON;
`mnc.simulator_identity` says which core model this machine has. Run as
`python -m mnc.compile.measure.fleet.server` with the options of `mnc.compile.rpc.server`.
"""

import sys

import msgspec
import tvm

from mnc.compile.measure.messages import SimulateJob
from mnc.compile.measure.scratch import scratch_folder
from mnc.compile.measure.worker_pool import WorkerPool
from mnc.compile.rpc import server
from mnc.compile.rpc.server_names import SIMULATE, SIMULATOR_IDENTITY
from mnc.compile.simulator.identity import full_identity
from mnc.targets import Target


class Session:
    """A session's one process, made at its first job. Sessions are forks: each has its own."""

    pool: WorkerPool | None = None


def simulate(job: str, timeout: float) -> str:
    """Do the job in a process of its own, which may crash or hang without harm to the session."""
    wanted = msgspec.json.decode(str(job), type=SimulateJob)
    if Session.pool is None:
        scratch = scratch_folder()
        env = {"TVM_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TVM_USE_RUNTIME_LIB": ""}
        env["MNC_SCRATCH"] = str(scratch)
        Session.pool = WorkerPool("simulate", 1, scratch=scratch, env=env)
    ((_, outcome),) = Session.pool.run([wanted], timeout=float(timeout))
    return msgspec.json.encode(outcome).decode()


def identity_of(target: str) -> str:
    """The name of the core model that would answer for the target, given as JSON."""
    return full_identity(msgspec.json.decode(str(target), type=Target))


if __name__ == "__main__":
    server.register()
    tvm.register_func(SIMULATE, simulate)
    tvm.register_func(SIMULATOR_IDENTITY, identity_of)
    sys.exit(server.main())
