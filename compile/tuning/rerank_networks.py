# SPDX-License-Identifier: Apache-2.0
"""The networks that are timed in turns, compiled in processes of their own, one on every core, before any is.

Takes a prepared model and the records of each network; gives `TimedNetwork`s, loaded where they will run.
"""

import logging
import shutil
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import tvm

from mnc.compile.artifact import writer
from mnc.compile.artifact.manifest import LIBRARY
from mnc.compile.artifact.store import Artifact
from mnc.compile.artifact.writer import Expected
from mnc.compile.codegen import network as codegen
from mnc.compile.codegen.network import Prepared, Selected
from mnc.compile.device.device import LayerTimer
from mnc.compile.measure.messages import NetworkJob, Stored, explain
from mnc.compile.measure.worker_pool import WorkerPool
from mnc.compile.records.family_choice import BLOCKED
from mnc.compile.records.trial import Trial
from mnc.compile.runtime.layers import Layer, layers_of
from mnc.compile.toolchain.graph import GRAPH
from mnc.model.zoo import Model
from mnc.support.closing import Closing
from mnc.support.errors import UserError
from mnc.support.owned_folder import owned_folder
from mnc.targets import topology

logger = logging.getLogger(__name__)

PREFIX = "mnc-rerank-"
COMPILE_SECONDS = 3600.0  # a large network on a small board
ONE_THREAD = {"TVM_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TVM_USE_RUNTIME_LIB": ""}


@dataclass(frozen=True)
class TimedNetwork:
    """A network that is loaded. `used` are the records it was built with, by task; `runs` the seconds of each
    layer, an inference each.
    """

    made: Artifact
    used: Mapping[str, Trial]
    layers: list[Layer]
    runs: list[list[float]] = field(default_factory=list)

    @property
    def medians(self) -> list[float]:
        """Seconds of each layer."""
        return [statistics.median(column) for column in zip(*self.runs, strict=True)]


class NetworkBuilder(Closing):
    """Builds networks of one model, `at_once` at most, and opens them. Use as a context manager."""

    def __init__(self, model: Model, prepared: Prepared, timer: LayerTimer, at_once: int) -> None:
        self._model, self._prepared, self._timer = model, prepared, timer
        self._folder = owned_folder(
            PREFIX
        )  # on disk: in memory there may be 64 MB, as in a container
        self._expected: Expected | None = None  # the same of all of them
        self._count = 0
        self._program = self._folder / "program.json"
        self._program.write_text(tvm.ir.save_json(prepared.program.mod), "utf-8")
        self._pool = WorkerPool(
            "compile", topology.processes(at_once), scratch=self._folder, env=ONE_THREAD
        )

    def close(self) -> None:
        """End the processes and remove the networks."""
        self._pool.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def make(self, plans: Sequence[Sequence[Trial]]) -> Iterator[TimedNetwork | UserError]:
        """A network for each of the `plans`, in their order, or why there is none; compiled all before the
        first is opened.
        """
        logger.info("compiling %d networks of %s", len(plans), self._model.name)
        chosen = [codegen.select(self._prepared, plan) for plan in plans]
        jobs = [self._job(one) for one in chosen]
        failed: dict[int, UserError] = {}
        for done, (number, outcome) in enumerate(
            self._pool.run(jobs, timeout=COMPILE_SECONDS), start=1
        ):
            logger.info("compiled network %d of %d", done, len(jobs))
            if not isinstance(outcome, Stored):
                failed[number] = UserError(explain(outcome, "compiler")[1])
        for number, (one, job) in enumerate(zip(chosen, jobs, strict=True)):
            yield failed[number] if number in failed else self._opened(one, Path(job.library))

    def _job(self, chosen: Selected) -> NetworkJob:
        self._count += 1
        folder = self._folder / f"compiled-{self._count}"
        folder.mkdir()
        return NetworkJob(
            program=str(self._program),
            target=chosen.target,
            trials=tuple(chosen.used.values()),
            keys=tuple(task.key for task in chosen.tasks),
            library=str(folder / LIBRARY),
        )

    def _opened(self, chosen: Selected, library: Path) -> TimedNetwork | UserError:
        built = codegen.built(chosen, None, library.with_name(GRAPH).read_bytes())
        try:
            self._expected = self._expected or writer.expected_of(self._model, built, BLOCKED)
            made = writer.save(
                built,
                self._model,
                chosen.target,
                library.parent.with_suffix(".artifact"),
                expected=self._expected,
                compiled=library,
            )
            self._timer.open(made)
        except UserError as error:
            return error
        return TimedNetwork(made, built.used, layers_of(made))
