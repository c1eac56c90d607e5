# SPDX-License-Identifier: Apache-2.0
"""Writes a compiled network as an artifact: library, manifest, golden inputs and outputs, labels."""

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from mnc.compile.artifact import provenance, store
from mnc.compile.artifact.manifest import Grid, KernelEntry, Manifest, Network, Platform, Tensor
from mnc.compile.artifact.store import Array, Artifact, Golden
from mnc.compile.codegen import network_files
from mnc.compile.codegen.network import Built
from mnc.compile.codegen.own_outputs import own_reference
from mnc.compile.frontend.tasks import TunableTask
from mnc.compile.records.family_choice import BLOCKED, UNMEASURED, Choice
from mnc.compile.records.trial import Trial
from mnc.compile.toolchain import cpu_features
from mnc.compile.toolchain.stored_weights import WeightStorage
from mnc.model.examples import examples, noise
from mnc.model.extras import MissingPackageError
from mnc.model.quantization import ends, ranges
from mnc.model.quantization.reference import is_exact
from mnc.model.reference import answered
from mnc.model.zoo import Model
from mnc.targets import Target

QUANTIZATION = "quantization.json"  # what quantizing did
HALF_PRECISION = "half_precision.json"  # what half precision does


@dataclass(frozen=True)
class Expected:
    """Golden inputs and outputs, and where the inputs are from."""

    golden: Golden
    origin: str


def save(
    built: Built,
    model: Model,
    target: Target,
    folder: Path,
    *,
    log: Path | None = None,
    cc: str | None = None,
    choice: Choice | None = None,
    expected: Expected | None = None,
    compiled: Path | None = None,
    weight_storage: WeightStorage = "float32",
) -> Artifact:
    """Write `built` as an artifact at `folder`. `log` is where its records came from,
    `cc` the C compiler to link with (None: the target's default), `choice` why its family, `expected` what
    PyTorch gives where that is known already. `compiled` is the library where another process has left it
    and the files beside it; they are moved. `weight_storage` is how the library has the weights.
    """
    choice = choice or Choice(family=BLOCKED, why=UNMEASURED)
    expected = expected or expected_of(model, built, choice.family)

    def write(path: Path) -> None:
        if compiled is not None:
            network_files.move(compiled, path)
        else:
            network_files.write(
                built.factory, path, target, keys=built.keys, cc=cc, weight_storage=weight_storage
            )
        for name, report in ((QUANTIZATION, model.quantization), (HALF_PRECISION, model.half)):
            if report is not None:
                text = msgspec.json.format(msgspec.json.encode(report), indent=2)
                (path.parent / name).write_bytes(text)

    described = _manifest(built, model, target, log=log, outputs=expected.golden.outputs)
    described = msgspec.structs.replace(
        described,
        golden=expected.origin,
        family=choice.family,
        family_reason=choice.why,
        weight_storage=weight_storage,
    )
    return store.save(folder, described, library=write, golden=expected.golden, labels=model.labels)


def expected_of(model: Model, built: Built, family: str) -> Expected:
    """What the network gives where it comes from for real examples; of inputs after the first, for noise.
    Where its runtime is not installed, what the program itself gives here. Examples of which the runtime is
    not sure itself are left out.
    """
    first, origin = examples(model.input_shape, model.preprocess)
    more = enumerate(model.more_inputs, start=1)
    inputs = (first, *(noise(one.shape, len(first), seed=number) for number, one in more))
    try:
        reference = model.reference()
    except MissingPackageError:
        reference = own_reference(built, family=family)
        origin += ", outputs of the compiled program itself"
    rows = list(zip(*inputs, strict=True))
    given, wanted = zip(*answered(reference, rows, precision=model.precision), strict=True)
    return Expected(Golden(_stacked(given), _stacked(wanted)), origin)


def _stacked(examples: Iterable[tuple[Array, ...]]) -> tuple[Array, ...]:
    return tuple(np.stack(one) for one in zip(*examples, strict=True))


def _manifest(
    built: Built, model: Model, target: Target, *, log: Path | None, outputs: Any
) -> Manifest:
    arch: Any = target.arch
    grids = _grids(model, outputs)
    return Manifest(
        network=Network(
            name=model.name,
            spec=model.spec or model.name,
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
        dtype=model.precision,
        rounds=_rounds(model),
        inputs=tuple(
            Tensor(name=one.name, shape=one.shape, layout=model.layout[: len(one.shape)], grid=grid)
            for one, grid in zip(built.program.inputs, grids[0], strict=True)
        ),
        outputs=tuple(
            Tensor(
                name=f"output{i}",
                shape=array.shape[1:],
                layout=model.layout[: array.ndim - 1],
                grid=grid,
            )
            for i, (array, grid) in enumerate(zip(outputs, grids[1], strict=True))
        ),
        preprocess=model.preprocess,
        kernels=tuple(_kernel(task, built.used.get(task.key), log) for task in built.tasks),
        fell_back=tuple(task.key for task in built.fell_back),
        workspace_bytes=built.workspace_bytes,
        source=provenance.source(),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def _grids(model: Model, outputs: Sequence[Array]) -> tuple[list[Grid | None], list[Grid | None]]:
    """Of inputs and outputs; none of a network in float32."""
    if model.precision != "int8":
        return [None] * len(model.inputs), [None] * len(outputs)
    inputs = ends.input_grids(model.module, len(model.inputs))
    return [_grid(one) for one in inputs], [_grid(ends.output_grid(one)) for one in outputs]


def _grid(found: ranges.Grid | None) -> Grid | None:
    return None if found is None else Grid(scale=found.scale, zero_point=found.zero_point)


def _rounds(model: Model) -> bool:
    if model.precision != "int8":
        return False
    return not is_exact(model.module, [one.shape for one in model.inputs])


def _kernel(task: TunableTask, trial: Trial | None, log: Path | None) -> KernelEntry:
    described = KernelEntry(
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
