# SPDX-License-Identifier: Apache-2.0
"""What people name, as values: a model, a target, their log, an artifact; and where these lie by default."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mnc.compile.artifact import store
from mnc.compile.artifact.store import Artifact
from mnc.compile.records.paths import log_path, own_logs
from mnc.compile.records.tuning_log import TuningLog
from mnc.model.names import Precision
from mnc.support.errors import UserError
from mnc.support.progress import working
from mnc.targets import HOST, Target
from mnc.targets import load as load_target

if TYPE_CHECKING:
    from torch import Tensor

    from mnc.model.inputs import InputShapes
    from mnc.model.zoo import Model

logger = logging.getLogger(__name__)
LOGS = own_logs()
OUT = Path("build")


@dataclass(frozen=True)
class ModelSpec:
    """A model by name, with weights, input shapes or a batch size of one's own: as `mnc.model.zoo.load`
    takes them; in half precision or 8-bit integers, as `mnc.model.half_precision` or
    `mnc.model.quantization` makes it, where `precision` says so: with the ranges of its maps from the
    pictures in `calibration` (None: the examples'), the layers `keep_float` left in float32. Nothing is
    loaded yet.
    """

    spec: str
    weights: Path | None = None
    input_shape: "InputShapes | None" = None
    batch: int = 1
    precision: Precision = "float32"
    calibration: Path | None = None
    keep_float: tuple[str, ...] = ()


if TYPE_CHECKING:
    AnyModel = str | ModelSpec | Model
    AnyTarget = str | Path | Target
    AnyArtifact = str | Path | Artifact


def as_model(model: "AnyModel", target: Target | None = None) -> "Model":
    """The model of that name, or the one given. UserError, before it is loaded, where `target` cannot compute
    in its precision.
    """
    named = ModelSpec(model) if isinstance(model, str) else model
    if target is not None and named.precision == "fp16":
        from mnc.compile.toolchain import half_arithmetic

        half_arithmetic.check(target)
    if not isinstance(named, ModelSpec):
        return _with_its_scales(named)
    with working("loading PyTorch"):
        from mnc.model import zoo
    with working(f"loading {named.spec}"):
        model = zoo.load(
            named.spec,
            weights=named.weights,
            input_shape=named.input_shape,
            batch=named.batch,
        )
    kept = _with_its_scales(model)
    if kept is model and named.precision == "int8":
        return _quantized(model, named)
    if kept is model and named.precision == "fp16":
        return _in_half(model, named)
    if kept is not model and (named.calibration or named.keep_float):
        raise UserError(
            f"{named.spec} is quantized already and keeps its own scales: leave out --calibration and "
            "--keep-float"
        )
    return kept


def _with_its_scales(model: "Model") -> "Model":
    """The model; one that carries quantization, which is in integers whatever was asked for, in them."""
    from mnc.model.quantization import imported

    if not imported.carries_quantization(model):
        return model
    with working(f"reading the scales of {model.name}"):
        made = imported.with_its_scales(model)
    for remark in imported.remarks(made.module):
        logger.warning("%s: %s", model.name, remark)
    return made


def _quantized(model: "Model", named: ModelSpec) -> "Model":
    """The model in 8-bit integers. UserError for pictures or layers that are not there."""
    from mnc.model.quantization import post_training

    with working(f"quantizing {model.name}"):
        images = _calibration(model, named)
        return post_training.quantize(model, images, keep_float=named.keep_float).model


def _in_half(model: "Model", named: ModelSpec) -> "Model":
    """The model in half precision. UserError for pictures or layers that are not there."""
    from mnc.model.half_precision import conversion

    with working(f"looking at the maps of {model.name}"):
        images = _calibration(model, named)
        return conversion.in_half(model, images, keep_float=named.keep_float)


def _calibration(model: "Model", named: ModelSpec) -> "list[Tensor]":
    """The images that a model's maps are looked at with."""
    from mnc.model.quantization import calibration

    images, origin = calibration.images(model, named.calibration)
    if model.preprocess is None or origin.startswith(calibration.NOISE):
        logger.warning(
            "%s is calibrated with %s%s: give pictures of its own kind for ranges that fit",
            model.name,
            origin,
            "" if model.preprocess else ", as nothing says how it takes images",
        )
    return images


def as_target(target: "AnyTarget") -> Target:
    """The target of that name or file, or the one given."""
    return target if isinstance(target, Target) else load_target(target)


def folder_name(asked: "AnyTarget", target: Target) -> str:
    """What artifacts for a target are filed under: `host` where it was asked for so, on every machine."""
    return HOST if asked == HOST else target.name


def open_artifact(artifact: "AnyArtifact", *, allow_failed: bool = False) -> Artifact:
    """The artifact in that folder, each file checked by hash, no native code loaded; or the one given.

    UserError for a folder that is none, or damaged; and, unless `allow_failed`, for an artifact whose outputs
    were not PyTorch's when it was built.
    """
    opened = artifact if isinstance(artifact, Artifact) else store.load(Path(artifact))
    if not allow_failed:
        store.check_passed(opened)
    return opened


def read_log(model: "Model", target: Target, logs: Path) -> TuningLog:
    """What is known of `model` on `target`, to be read only. UserError when it cannot be."""
    path = log_path(logs, target.name, model.name)
    return TuningLog.open(path, exclusive=False, target=target.tvm_target())
