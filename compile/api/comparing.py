# SPDX-License-Identifier: Apache-2.0
"""An artifact beside PyTorch: the same answers, and how long both take."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mnc.compile.api.named import ModelSpec, as_model
from mnc.compile.runtime import benchmark
from mnc.compile.runtime import verify as stage
from mnc.compile.runtime.session import Session, default_input
from mnc.compile.runtime.verify import VerifyReport
from mnc.model.torch_run import torch_call, torch_reference
from mnc.support.latency import Latency
from mnc.support.progress import working

if TYPE_CHECKING:
    from mnc.compile.api.named import AnyModel


@dataclass(frozen=True)
class BenchReport:
    """Times of one inference by runtime, "mnc" first. `note` says why PyTorch was left out, where it was."""

    latencies: Mapping[str, Latency]
    note: str = ""


def verify(session: Session, *, model: "AnyModel | None" = None) -> VerifyReport:
    """Compare the artifact of `session` with its golden outputs and with PyTorch, here or on its device.

    PyTorch runs `model`; None: the zoo's model that the artifact was built from, where torch is installed and
    the weights are the same.
    """
    module = None if model is None else _module(model, session)
    with working(f"comparing {session.manifest.network.name} with PyTorch"):
        reference = None if module is None else torch_reference(module)
        return stage.verify(session.artifact, session=session, reference=reference)


def bench(
    session: Session, *, model: "AnyModel | None" = None, seconds: float = 3.0
) -> BenchReport:
    """Time one inference on this machine for `seconds`, in turns with PyTorch's, which has as long.

    PyTorch runs `model`, as with `verify`.
    """
    name, inputs, note = session.manifest.network.name, default_input(session), ""
    if model is not None:
        module = _module(model, session)
    else:
        with working(f"loading {name} into PyTorch"):
            module, note = stage.rebuild_module(session.manifest)
    rivals = {}
    if module is not None:
        rivals["PyTorch"] = torch_call(module, inputs, session.threads)
    with working(f"timing {name} for {seconds:g} s each"):
        latencies = benchmark.bench(session, *inputs, seconds=seconds, rivals=rivals)
    return BenchReport(latencies, note)


def _module(model: "AnyModel", session: Session) -> Any:
    """The PyTorch module of `model`; a mere name takes inputs of the artifact's shape."""
    shape = session.manifest.inputs[0].shape
    named = ModelSpec(model, input_shape=shape, batch=shape[0]) if isinstance(model, str) else model
    return as_model(named).module
