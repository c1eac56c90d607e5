# SPDX-License-Identifier: Apache-2.0
"""An artifact beside PyTorch: the same answers, and how long both take."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from mnc.compile.api.named import ModelSpec, as_model, open_artifact
from mnc.compile.api.running import load
from mnc.compile.artifact.manifest import Manifest
from mnc.compile.device.device import BenchReport
from mnc.compile.device.opening import open_runner
from mnc.compile.device.options import DeviceOptions
from mnc.compile.rpc.address import Cores
from mnc.compile.runtime import verify as stage
from mnc.compile.runtime.agreement import agreement
from mnc.compile.runtime.session import Session, default_input
from mnc.compile.runtime.verify import VerifyReport
from mnc.model.reference import Reference
from mnc.model.torch_run import torch_call
from mnc.support.errors import UserError
from mnc.support.progress import working

if TYPE_CHECKING:
    from mnc.compile.api.named import AnyArtifact, AnyModel
    from mnc.model.zoo import Model


def verify(
    artifact: "AnyArtifact",
    *,
    threads: int | None = None,
    device: str | None = None,
    cores: Cores = "big",
    model: "AnyModel | None" = None,
) -> VerifyReport:
    """Compare with the golden outputs and with PyTorch, on this machine or on `device`.

    `threads`, `device` and `cores` are as `load` takes them. PyTorch runs `model`; None: the zoo's model that
    the artifact was built from, where torch is installed and the weights are the same.

    A network in 8-bit integers must equal its golden outputs, which the integer reference gave. Of one in
    these or in half precision `model`, in float32, is what it was made from: the report says how far they
    agree, here on many images.
    """
    checked = open_artifact(artifact, allow_failed=True)  # to see whether it still fails
    reference = None if model is None else _model(model, checked.manifest).reference()
    session = load(checked, threads=threads, device=device, cores=cores, allow_failed=True)
    with working(f"comparing {checked.manifest.network.name} with PyTorch"):
        if checked.manifest.dtype == "int8":
            report = stage.verify(checked, session=session)
        else:
            report = stage.verify(checked, session=session, reference=reference)
        if device or checked.manifest.dtype == "float32":
            return report
        return _with_agreement(report, session, reference)


def _with_agreement(
    report: VerifyReport, session: Session, floats: Reference | None
) -> VerifyReport:
    """The report of a network in fewer bits with that on more images, or why there is none."""
    note = report.note
    if floats is None:
        floats, note = stage.rebuild(session.manifest)
    try:
        found = agreement(session, floats) if floats is not None else None
    except UserError as error:
        return replace(report, note=f"agreement with float32 is not measured: {error}")
    return replace(report, note=note, agreement=found)


def bench(
    artifact: "AnyArtifact",
    *,
    threads: int | None = None,
    device: str | None = None,
    cores: Cores = "big",
    model: "AnyModel | None" = None,
    seconds: float = 3.0,
    allow_failed: bool = False,
) -> BenchReport:
    """Time one inference for `seconds`: on this machine in turns with PyTorch's, which has as long, or alone
    on `device`, by its own clock.

    `threads`, `device`, `cores` and `allow_failed` are as `load` takes them; PyTorch runs `model`, as with
    `verify`.
    """
    checked = open_artifact(artifact, allow_failed=allow_failed)
    options = DeviceOptions(address=device, threads=threads, cores=cores)
    left_out: list[str] = []

    def rivals(session: Session) -> dict[str, Callable[[], object]]:
        try:
            return _rival(model, session)
        except UserError as error:
            left_out.append(f"nothing else is timed: {error}")
            return {}

    runner = open_runner(checked.manifest.target.name, options)
    report = runner.bench(checked, seconds=seconds, rivals=rivals)
    return replace(report, note=left_out[0]) if left_out else report


def _rival(model: "AnyModel | None", session: Session) -> dict[str, Callable[[], object]]:
    """What the network comes from, as a contestant. UserError, saying why, where there is nothing."""
    inputs, threads = default_input(session), session.threads
    if model is None:
        with working(f"loading {session.manifest.network.name} into PyTorch"):
            module, why = stage.rebuild_module(session.manifest)
        if module is None:
            raise UserError(why)
        return {"PyTorch": torch_call(module, inputs, threads)}
    network = _model(model, session.manifest)
    if network.runtime == "PyTorch":
        return {network.runtime: torch_call(network.module, inputs, threads)}
    reference = network.reference(threads=threads)
    return {network.runtime: lambda: reference(*inputs)}


def _model(model: "AnyModel", manifest: Manifest) -> "Model":
    """`model`; a mere name takes inputs of the artifact's shapes."""
    shapes = tuple(tensor.shape for tensor in manifest.inputs)
    named = ModelSpec(model, input_shape=shapes) if isinstance(model, str) else model
    return as_model(named)
