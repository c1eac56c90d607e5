# SPDX-License-Identifier: Apache-2.0
"""From a program and the log's best records to a compiled network.

Takes a `Model`, a `Target` and Trials; gives a `Built` with the kernels in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mnc.compile.codegen import relay_build
from mnc.compile.codegen.dispatch_context import BestRecords
from mnc.compile.frontend import family_layout, importer, tasks
from mnc.compile.frontend.importer import Program
from mnc.compile.frontend.tasks import TunableTask
from mnc.compile.records.family_choice import BLOCKED
from mnc.compile.records.trial import Trial
from mnc.compile.toolchain import graph
from mnc.model.zoo import Model
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
class Selected:
    """A network whose kernels are chosen: in `program` pairs that pay are fused, `tasks` are all of it, and
    `used` the records to build it with, by task key.
    """

    program: Program
    target: Target
    family: str
    tasks: tuple[TunableTask, ...]
    used: dict[str, Trial]


@dataclass(frozen=True)
class Built:
    """A compiled network. `factory` is TVM's graph executor factory, None where another process has it;
    `tasks` are all of the program's, `used` the records it was built with, by task key; `workspace_bytes`
    what one run allocates at most besides weights, inputs and outputs.
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


def select(prepared: Prepared, trials: Sequence[Trial] = ()) -> Selected:
    """The best verified trial of each task; pairs are fused where those say that it pays."""
    target = prepared.target
    records = BestRecords(
        trials,
        family_layout.tvm_target(target, prepared.family),
        tasks=[task.task for task in prepared.tasks],
    )
    mod = relay_build.fused(prepared.program.mod, records)
    program = replace(prepared.program, mod=mod)
    found = tasks.extract(program, target)
    best = {task.key: records.best(task.key) for task in found}
    used = {key: trial for key, trial in best.items() if trial is not None}
    return Selected(program, target, prepared.family, found, used)


def compile_prepared(prepared: Prepared, trials: Sequence[Trial] = ()) -> Built:
    """As `build`, of what was imported before."""
    chosen = select(prepared, trials)
    wanted = family_layout.tvm_target(chosen.target, chosen.family)
    records = BestRecords(chosen.used.values(), wanted)
    factory = relay_build.compiled(chosen.program.mod, wanted, records, family=chosen.family)
    return built(chosen, factory, factory.get_graph_json())


def built(chosen: Selected, factory: Any, graph_json: str | bytes) -> Built:
    """The network that `factory` is, None where another process compiled it, with its executor's graph."""
    workspace = _workspace_bytes(graph_json)
    return Built(chosen.program, factory, chosen.tasks, chosen.used, workspace)


def with_default_kernels(program: Program, target: Target, *, family: str = BLOCKED) -> Any:
    """TVM's executor factory of a program, whatever it was laid out for, compiled for `target`."""
    wanted = family_layout.tvm_target(target, family)
    return relay_build.compiled(program.mod, wanted, BestRecords((), wanted), family=family)


def _workspace_bytes(graph_json: str | bytes) -> int:
    """Bytes of the storage that TVM's memory plan shares among the tensors between kernels."""
    network = graph.read(graph_json, where="the compiled network")
    given = {network.tensors[entry].storage for entry in network.inputs.values()}
    sizes: dict[int, int] = {}
    for tensor in network.tensors:
        if tensor.storage not in given:
            sizes[tensor.storage] = max(sizes.get(tensor.storage, 0), tensor.size)
    return sum(sizes.values())
