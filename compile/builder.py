# SPDX-License-Identifier: Apache-2.0
"""From a program and the log's best records to a compiled network, and from that to an artifact.

Takes a `Model`, a `Target` and Trials; gives a `Built` with the kernels in memory, and writes the artifact
folder: library, manifest, golden inputs and outputs, labels.
"""

import contextlib
import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import tvm
from tvm import relay

from compile import artifact, cpu_features, fusion, importer, parity, provenance, tasks, tvm_setup
from compile import family as families
from compile.artifact import Artifact, Golden
from compile.dispatch import BestRecords
from compile.export import kernels
from compile.family import Choice
from compile.fusion import Pair
from compile.importer import Program
from compile.journal import Trial, dispatch_context
from compile.linking import link_library
from compile.manifest import Kernel, Manifest, Network, Platform, Tensor
from compile.tasks import TunableTask
from compile.templates import strategy
from compile.trial import task_key
from compile.workload import convolutions
from model.examples import examples
from model.zoo import Model
from targets import Target
from targets.llvm import check_cpu


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
    def fell_back(self) -> tuple[TunableTask, ...]:
        """Tasks built with their template's default config."""
        return tuple(task for task in self.tasks if task.key not in self.used)


def build(
    model: Model,
    target: Target,
    trials: Sequence[Trial] = (),
    *,
    family: str = families.BLOCKED,
) -> Built:
    """Compile `model` for `target` with the best verified trial of each task made for its `-model`.

    Only the family of our own templates has tasks; TVM's are built with their defaults.
    """
    check_cpu(target)
    wanted = families.tvm_target(target, family)
    apart = importer.import_model(model, target, family=family)
    every = [task.task for task in tasks.extract_all(apart, target)]
    records = dispatch_context(trials, wanted, tasks=every)
    program = replace(apart, mod=fusion.fuse(apart.mod, lambda pair: _pays(pair, records)))
    found = tasks.extract(program, target)
    own = contextlib.nullcontext() if family == families.BLOCKED else strategy.stock()
    with records, own, tvm_setup.pass_context():
        factory = relay.build(program.mod, target=tvm.target.Target(wanted))
    keys = {task.key for task in found}
    used = {key: trial for key, trial in records.used.items() if key in keys}
    return Built(program, factory, found, used, _workspace_bytes(factory))


def _pays(pair: Pair, records: BestRecords) -> bool:
    """Whether to fuse: where the pair was measured to be faster, or nothing was, for untuned kernels gain by
    it too. What was tuned of the parts alone is not thrown away for an untuned pair.
    """
    together = records.best(task_key(*pair.workload))
    apart = [records.best(task_key(*part.workload)) for part in convolutions(*pair.workload)]
    if together is None:
        return not any(apart)
    # No device's cost compares with a model's, nor one within the network with one alone: a pair, or a part,
    # that was left out of the better kind of timing was far behind (`compile.contenders`).
    kinds = [(trial.simulated, not trial.in_network) for trial in (together, *apart) if trial]
    if len(set(kinds)) > 1:
        return kinds[0] == min(kinds)
    return together.cost <= sum(math.inf if trial is None else trial.cost for trial in apart)


def save(
    built: Built,
    model: Model,
    target: Target,
    folder: Path,
    *,
    spec: str,
    log: Path | None = None,
    cc: str | None = None,
    choice: Choice | None = None,
) -> Artifact:
    """Write `built` as an artifact at `folder`. `spec` is how the model was named, `log` where its records
    came from, `cc` the C compiler to link with (None: the target's default), `choice` why its family.
    """
    golden, origin = _golden(model)

    def write(path: Path) -> None:
        link_library(built.factory, path, target, cc=cc)
        kernels.write(built.factory, path.parent)

    described = _manifest(built, model, target, spec=spec, log=log, outputs=golden.outputs)
    choice = choice or Choice(family=families.BLOCKED, why=families.UNMEASURED)
    described = msgspec.structs.replace(
        described, golden=origin, family=choice.family, family_reason=choice.why
    )
    return artifact.save(folder, described, library=write, golden=golden, labels=model.labels)


def _golden(model: Model) -> tuple[Golden, str]:
    """What PyTorch gives for real examples."""
    inputs, origin = examples(model.input_shape, model.preprocess)
    reference = parity.torch_reference(model.module)
    outputs = zip(*(reference(example) for example in inputs), strict=True)
    return Golden((inputs,), tuple(np.stack(one) for one in outputs)), origin


def _manifest(
    built: Built, model: Model, target: Target, *, spec: str, log: Path | None, outputs: Any
) -> Manifest:
    arch: Any = target.arch
    return Manifest(
        network=Network(
            name=model.name,
            spec=spec,
            weights=model.weights,
            weights_hash=model.weights_hash,
        ),
        target=Platform(
            name=target.name,
            description=target.description,
            tvm_target=target.tvm_target(),
            arch=arch,
            features=cpu_features.required(target.tvm_target(), target.arch),
        ),
        versions=provenance.versions(),
        inputs=(Tensor(name=built.program.input_name, shape=model.input_shape, layout="NCHW"),),
        outputs=tuple(
            Tensor(name=f"output{i}", shape=array.shape[1:], layout="NCHW"[: array.ndim - 1])
            for i, array in enumerate(outputs)
        ),
        preprocess=model.preprocess,
        kernels=tuple(_kernel(task, built.used.get(task.key), log) for task in built.tasks),
        fell_back=tuple(task.key for task in built.fell_back),
        workspace_bytes=built.workspace_bytes,
        source=provenance.source(),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def _kernel(task: TunableTask, trial: Trial | None, log: Path | None) -> Kernel:
    described = Kernel(
        key=task.key,
        kind=task.kind,
        shape=task.shape,
        macs=task.macs,
        calls=task.calls,
        tuned=trial is not None,
    )
    if trial is None:
        return described
    return msgspec.structs.replace(
        described,
        config={
            "index": trial.config.index,
            "knobs": {name: value for name, _, value in trial.config.knobs()},
        },
        cost=trial.cost,
        measurer=trial.measurer,
        log=str(log) if log else None,
    )


def _workspace_bytes(factory: Any) -> int:
    """Bytes of the storage that TVM's memory plan shares among the tensors between kernels."""
    graph = msgspec.json.decode(factory.get_graph_json())
    shapes, storage = graph["attrs"]["shape"][1], graph["attrs"]["storage_id"][1]
    given = {storage[graph["node_row_ptr"][node]] for node in graph["arg_nodes"]}
    sizes: dict[int, int] = {}
    for shape, identity in zip(shapes, storage, strict=True):
        if identity not in given:
            sizes[identity] = max(sizes.get(identity, 0), 4 * int(np.prod(shape)))
    return sum(sizes.values())
