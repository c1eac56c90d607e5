# SPDX-License-Identifier: Apache-2.0
"""Does an artifact compute what PyTorch computes? Runs it on inputs whose outputs are known.

Takes an `Artifact`, and a PyTorch function where the model can be rebuilt; gives a `VerifyReport`.

The relative error of an example is its largest absolute difference divided by the largest absolute
value of PyTorch's output for it: errors are judged by the scale of the logits, not by the smallest one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnc.compile.artifact.manifest import Manifest
from mnc.compile.artifact.store import Artifact
from mnc.compile.runtime.agreement import Agreement
from mnc.compile.runtime.local_session import open_local
from mnc.compile.runtime.session import Array, Session
from mnc.model import torch_run
from mnc.model.reference import Example, Reference, answered
from mnc.support.errors import UserError

TOLERANCE = 1e-4
EXACT = 0.0  # of integers: they are the same on every CPU
HALF = 0.03  # of half precision: noise, of which networks are least sure, comes to 0.013 (docs/fp16.md)
STORED = 5e-3  # of weights alone that were stored in half precision
ROUNDED = 0.05  # of integers with float32 between: a number may be rounded to the next level
FLOATS = "the network in float32"
RANDOM_EXAMPLES = 4


@dataclass(frozen=True)
class Check:
    """How the outputs of `examples` inputs compare. Errors are the largest of all examples and outputs.

    `top1` and `top5` count the predictions (one for each image of a batch) with the same likeliest
    class and the same five likeliest classes in the same order, out of `predictions`. `margin` is the
    smallest lead, relative as the errors are, that PyTorch gave a class which the artifact did not
    choose; None when all agree. Infinite errors stand for outputs that are not numbers.
    """

    against: str
    examples: int
    predictions: int
    max_absolute: float
    max_relative: float
    top1: int
    top5: int
    margin: float | None = None
    tolerance: float = TOLERANCE

    @property
    def ok(self) -> bool:
        """Whether every example is within the tolerance. Ranks may still differ between near-equal
        logits; no difference larger than the tolerance can hide in that.
        """
        return self.max_relative <= self.tolerance


@dataclass(frozen=True)
class VerifyReport:
    """All that was compared. `note` says why PyTorch was left out, where it was. `agreement` is of a network
    in half precision or 8-bit integers with float32, on more images than the checks.
    """

    checks: tuple[Check, ...]
    note: str = ""
    agreement: Agreement | None = None

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return all(check.ok for check in self.checks)


def tolerance_of(manifest: Manifest) -> float:
    """What outputs may differ by, relative as errors are: nothing where the network is in integers."""
    if manifest.dtype == "int8":
        return ROUNDED if manifest.rounds else EXACT
    if manifest.dtype == "fp16":
        return HALF
    return TOLERANCE if manifest.weight_storage == "float32" else STORED


def verify(
    artifact: Artifact,
    *,
    session: Session | None = None,
    reference: Reference | None = None,
    tolerance: float | None = None,
) -> VerifyReport:
    """Compare the artifact with its golden outputs, and with PyTorch run now on those inputs and on
    random ones: by `reference` when given, else by the zoo's model of the manifest's name, if torch is
    there and its weights are the ones the artifact was built from.

    A network in 8-bit integers must equal its golden outputs and its reference; how far it agrees with the
    one in float32 that it was made from is said beside it.
    """
    is_integer = artifact.manifest.dtype == "int8"
    if tolerance is None:
        tolerance = tolerance_of(artifact.manifest)
    session = session or open_local(artifact)
    golden = artifact.golden()
    runs = [tuple(array[i] for array in golden.inputs) for i in range(golden.count)]
    wanted = [tuple(array[i] for array in golden.outputs) for i in range(golden.count)]
    outputs = [session.run(*inputs) for inputs in runs]
    checks = [compare("golden outputs", wanted, outputs, tolerance=tolerance)]
    note = ""
    if is_integer:
        floats, note = rebuild(artifact.manifest)
        if floats is not None:
            truth = [floats(*inputs) for inputs in runs]
            checks.append(compare(FLOATS, truth, outputs, tolerance=np.inf))
    elif reference is None:
        reference, note = rebuild(artifact.manifest)
    if reference is not None:
        truth = [reference(*inputs) for inputs in runs]
        for inputs, right in _random_examples(artifact.manifest, reference):
            truth.append(right)
            outputs.append(session.run(*inputs))
        checks.append(compare(reference.name, truth, outputs, tolerance=tolerance))
    return VerifyReport(tuple(checks), note)


def check_golden(artifact: Artifact, session: Session) -> None:
    """UserError unless the session gives what PyTorch gave when the artifact was built."""
    compared = golden_check(artifact, session.run)
    if not compared.ok:
        raise UserError(f"its outputs are off by {compared.max_relative:.1e} of the largest logit")


def golden_check(
    artifact: Artifact, run: Callable[..., tuple[Array, ...]], *, tolerance: float | None = None
) -> Check:
    """What `run` gives for the golden inputs, beside what PyTorch gave when the artifact was built; within
    `tolerance` (None: the artifact's).
    """
    golden = artifact.golden()
    wanted = [tuple(array[i] for array in golden.outputs) for i in range(golden.count)]
    found = [run(*(array[i] for array in golden.inputs)) for i in range(golden.count)]
    allowed = tolerance_of(artifact.manifest) if tolerance is None else tolerance
    return compare("golden outputs", wanted, found, tolerance=allowed)


def compare(
    against: str,
    wanted: Sequence[tuple[Array, ...]],
    outputs: Sequence[tuple[Array, ...]],
    *,
    tolerance: float = TOLERANCE,
) -> Check:
    """A Check of `outputs` against `wanted`: for each example a tuple of arrays, the first of them
    logits with the classes on the last axis. UserError when shapes differ.
    """
    absolute, relative = [0.0], [0.0]
    for one, other in zip(wanted, outputs, strict=True):
        for truth, found in zip(one, other, strict=True):
            difference, share = _errors(truth, found)
            absolute.append(difference)
            relative.append(share)
    truth, found = (_rows([example[0] for example in side]) for side in (wanted, outputs))
    ranks, found_ranks = _likeliest(truth), _likeliest(found)
    return Check(
        against=against,
        examples=len(wanted),
        predictions=len(truth),
        max_absolute=max(absolute),
        max_relative=max(relative),
        top1=int((ranks[:, 0] == found_ranks[:, 0]).sum()),
        top5=int((ranks == found_ranks).all(axis=1).sum()),
        margin=_margin(truth, found_ranks[:, 0]),
        tolerance=tolerance,
    )


def rebuild(manifest: Manifest) -> tuple[Reference | None, str]:
    """PyTorch's function for a manifest's network, or None and why there is none."""
    module, note = rebuild_module(manifest)
    return (None if module is None else torch_run.torch_reference(module)), note


def rebuild_module(manifest: Manifest) -> tuple[Any, str]:
    """The `nn.Module` of a manifest's network, or None and why there is none.

    Only the zoo's own names are rebuilt: any other spec is code to import or load, which a manifest
    must not make happen.
    """
    try:
        from mnc.model import foreign, network_files, zoo
    except ImportError:
        return None, "PyTorch is not installed, so only the golden outputs were compared"
    network = manifest.network
    if foreign.is_foreign(network.spec) or network_files.is_file(network.spec):
        return (
            None,
            f"{network.spec} is not in the zoo: name it with --model to compare with it as well",
        )
    shape = manifest.inputs[0].shape
    try:
        model = zoo.load(network.spec, input_shape=shape, batch=shape[0])
    except UserError as error:
        return None, f"{network.spec} cannot be rebuilt here ({error})"
    if model.weights_hash != network.weights_hash:
        return None, f"the weights of {network.spec} are not the zoo's: {network.weights}"
    return model.module, ""


def _errors(truth: Array, found: Array) -> tuple[float, float]:
    if truth.shape != found.shape:
        raise UserError(f"outputs are {list(found.shape)} where {list(truth.shape)} was wanted")
    difference = np.abs(truth.astype(np.float64) - found.astype(np.float64))
    if not np.isfinite(difference).all():
        return np.inf, np.inf
    worst = float(difference.max(initial=0.0))
    largest = float(np.abs(truth).max(initial=0.0))
    return worst, worst / largest if largest else (np.inf if worst else 0.0)


def _rows(arrays: Sequence[Array]) -> Array:
    """One row of logits a prediction."""
    return np.concatenate([array.reshape(-1, array.shape[-1]) for array in arrays])


def _likeliest(rows: Array) -> Array:
    """The five likeliest classes of each row, of equals the first. Sorting all of a map took a second."""
    left, found = rows.astype(np.float64), []
    for _ in range(min(5, rows.shape[1])):
        found.append(left.argmax(axis=1))
        np.put_along_axis(left, found[-1][:, None], -np.inf, axis=1)
    return np.stack(found, axis=1)


def _margin(truth: Array, chosen: Array) -> float | None:
    """The smallest lead over the wrongly chosen class, or None."""
    leads = truth.max(axis=1) - np.take_along_axis(truth, chosen[:, None], axis=1)[:, 0]
    wrong = truth.argmax(axis=1) != chosen
    if not wrong.any():
        return None
    scale = np.maximum(np.abs(truth).max(axis=1), np.finfo(np.float32).tiny)
    return float((leads / scale)[wrong].min())


def _random_examples(manifest: Manifest, reference: Reference) -> list[tuple[Example, Example]]:
    """Inputs and what the reference gives of them, where that is sure itself."""
    return answered(reference, _random_inputs(manifest), precision=manifest.dtype)


def _random_inputs(manifest: Manifest) -> list[Example]:
    random = np.random.default_rng(0)
    return [
        tuple(
            random.standard_normal(tensor.shape).astype(tensor.dtype) for tensor in manifest.inputs
        )
        for _ in range(RANDOM_EXAMPLES)
    ]
