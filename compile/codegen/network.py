# SPDX-License-Identifier: Apache-2.0
"""From a program and the log's best records to a compiled network.

Takes a `Model`, a `Target` and Trials; gives a `Built` with the kernels in memory.
"""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import tvm
from tvm import relay

from mnc.compile.codegen.dispatch_context import BestRecords
from mnc.compile.frontend import family_layout, fusion, importer, tasks
from mnc.compile.frontend.fusion import Pair
from mnc.compile.frontend.importer import Program
from mnc.compile.frontend.tasks import TunableTask
from mnc.compile.records.family_choice import BLOCKED
from mnc.compile.records.trial import Trial, task_key
from mnc.compile.templates import op_strategy
from mnc.compile.templates.workload import convolutions
from mnc.compile.toolchain import graph, pass_context
from mnc.model.zoo import Model
from mnc.support import error_text
from mnc.support.errors import UserError
from mnc.support.progress import working
from mnc.targets import Target
from mnc.targets.llvm import check_cpu


@dataclass(frozen=True)
class Prepared:
    """A network before its kernels are chosen: all that builds of it from different records share.

    In `program` no convolutions are fused yet; `tasks` are all there is to search in it.
    """

    program: Program
    target: Target
    family: str
    tasks: tuple[TunableTask, ...]


@dataclass(frozen=True)
class Built:
    """A compiled network. `factory` is TVM's graph executor factory; `tasks` are all of the program's,
    `used` the records it was built with, by task key; `workspace_bytes` what one run allocates at most
    besides weights, inputs and outputs.
    """

    program: Program
    factory: Any
    tasks: tuple[TunableTask, ...]
    used: dict[str, Trial]
    workspace_bytes: int

    @property
    def keys(self) -> tuple[str, ...]:
        """Of the tasks."""
        return tuple(task.key for task in self.tasks)

    @property
    def fell_back(self) -> tuple[TunableTask, ...]:
        """Tasks built with their template's default config."""
        return tuple(task for task in self.tasks if task.key not in self.used)


def build(
    model: Model,
    target: Target,
    trials: Sequence[Trial] = (),
    *,
    family: str = BLOCKED,
) -> Built:
    """Compile `model` for `target` with the best verified trial of each task made for its `-model`.

    Only the family of our own templates has tasks; TVM's are built with their defaults.
    """
    return compile_prepared(prepare(model, target, family=family), trials)


def prepare(model: Model, target: Target, *, family: str = BLOCKED) -> Prepared:
    """Import `model` and find its tasks."""
    check_cpu(target)
    with working(f"importing {model.name}"):
        program = importer.import_model(model, target, family=family)
        return Prepared(program, target, family, tasks.extract_all(program, target))


def compile_prepared(prepared: Prepared, trials: Sequence[Trial] = ()) -> Built:
    """As `build`, of what was imported before."""
    apart, target, family = prepared.program, prepared.target, prepared.family
    wanted = family_layout.tvm_target(target, family)
    records = BestRecords(trials, wanted, tasks=[task.task for task in prepared.tasks])
    program = replace(apart, mod=fusion.fuse(apart.mod, lambda pair: _pays(pair, records)))
    found = tasks.extract(program, target)
    factory = _compiled(program, wanted, records, family)
    keys = {task.key for task in found}
    used = {key: trial for key, trial in records.used.items() if key in keys}
    return Built(program, factory, found, used, _workspace_bytes(factory))


def with_default_kernels(program: Program, target: Target, *, family: str = BLOCKED) -> Any:
    """TVM's executor factory of a program, whatever it was laid out for, compiled for `target`."""
    wanted = family_layout.tvm_target(target, family)
    return _compiled(program, wanted, BestRecords((), wanted), family)


def _compiled(program: Program, wanted: str, records: BestRecords, family: str) -> Any:
    own = contextlib.nullcontext() if family == BLOCKED else op_strategy.stock()
    try:
        with records, own, pass_context.pass_context():
            return relay.build(program.mod, target=tvm.target.Target(wanted))
    except tvm.TVMError as error:
        raise UserError(
            f"TVM cannot compile the network: {error_text.of_exception(error)}; leave out or write otherwise "
            "what this names"
        ) from error


def _pays(pair: Pair, records: BestRecords) -> bool:
    """Whether to fuse: where the pair was measured to be faster, or nothing was, for untuned kernels gain by
    it too. What was tuned of the parts alone is not thrown away for an untuned pair.
    """
    together = records.best(task_key(*pair.workload))
    apart = [records.best(task_key(*part.workload)) for part in convolutions(*pair.workload)]
    if together is None:
        return not any(apart)
    # No device's cost compares with a model's, nor one within the network with one alone: a pair, or a part,
    # that was left out of the better kind of timing was far behind (`mnc.compile.tuning.rerank_candidates`).
    kinds = [(trial.simulated, not trial.in_network) for trial in (together, *apart) if trial]
    if len(set(kinds)) > 1:
        return kinds[0] == min(kinds)
    return together.cost <= sum(math.inf if trial is None else trial.cost for trial in apart)


def _workspace_bytes(factory: Any) -> int:
    """Bytes of the storage that TVM's memory plan shares among the tensors between kernels."""
    network = graph.read(factory.get_graph_json(), where="the compiled network")
    given = {network.tensors[entry].storage for entry in network.inputs.values()}
    sizes: dict[int, int] = {}
    for tensor in network.tensors:
        if tensor.storage not in given:
            sizes[tensor.storage] = max(sizes.get(tensor.storage, 0), tensor.size)
    return sum(sizes.values())
