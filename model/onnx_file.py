# SPDX-License-Identifier: Apache-2.0
"""A network in an `.onnx` file: read, checked, its inputs' sizes settled, its constants worked out.

Takes a path and the shapes that a person gave; gives an `OnnxNetwork`. Nothing in the file is run as code.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from mnc.model import extras, onnx_constants, onnx_precision
from mnc.model.inputs import ONLY, Input, InputShapes, Shape, Signature, resolve
from mnc.model.reference import Array, Reference
from mnc.support import error_text
from mnc.support.errors import UserError

SUFFIX = ".onnx"
QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "QLinear", "Integer")


@dataclass(frozen=True)
class OnnxNetwork:
    """`proto` is an `onnx.ModelProto` whose inputs have fixed sizes and whose data is all within; `inputs`
    are what it is called with, `names` what it calls them itself.
    """

    path: Path
    proto: Any
    inputs: tuple[Input, ...]
    names: tuple[str, ...]
    content_hash: str
    runtime: ClassVar[str] = "ONNX Runtime"
    layout: ClassVar[str] = "NCHW"

    def reference(self, threads: int | None = None) -> Reference:
        """ONNX Runtime with it, on `threads` (None: all cores). MissingPackageError without it."""
        onnxruntime = extras.module("onnxruntime", extra="onnx", needed_by="comparing .onnx files")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads or 0
        session = onnxruntime.InferenceSession(
            self.proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

        def run(*arrays: Array) -> tuple[Array, ...]:
            return tuple(session.run(None, dict(zip(self.names, arrays, strict=True))))

        return Reference(self.runtime, run)


def read(path: Path, *, input_shape: InputShapes | None, batch: int) -> OnnxNetwork:
    """The network in `path`. `input_shape` is needed where sizes other than the batch's are left open.

    UserError for a file that is none, is damaged, quantized or takes no floats, or not of these shapes.
    """
    onnx = extras.module("onnx", extra="onnx", needed_by=f"{path}")
    proto = _parsed(onnx, path)
    _refuse_quantized(path, proto)
    content_hash = hashlib.sha256(proto.SerializeToString(deterministic=True)).hexdigest()
    onnx_precision.widen(proto)
    known = {one.name for one in proto.graph.initializer}
    values = [one for one in proto.graph.input if one.name not in known]
    inputs = _inputs(path, values, input_shape, batch)
    for value, one in zip(values, inputs, strict=True):
        _check_type(onnx, path, value)
        del value.type.tensor_type.shape.dim[:]
        value.type.tensor_type.shape.dim.extend(_dimension(onnx, extent) for extent in one.shape)
    settled = _settled(path, proto, inputs)
    return OnnxNetwork(path, settled, inputs, tuple(one.name for one in values), content_hash)


def _parsed(onnx: ModuleType, path: Path) -> Any:
    """The checked content, data of other files included."""
    if not path.is_file():
        raise UserError(f"no model file at {path}; check the path")
    try:
        proto = onnx.load(path, load_external_data=False)
        if not proto.graph.node or not proto.opset_import:
            raise ValueError("it holds no network")
    except Exception as error:  # protobuf's DecodeError, and others as the versions go
        reason = error_text.of_exception(error)
        raise UserError(f"{path} is not an ONNX file ({reason}); export it again") from error
    try:
        onnx.load_external_data_for_model(proto, str(path.parent))
        onnx.checker.check_model(proto)
    except Exception as error:
        reason = error_text.of_exception(error)
        raise UserError(
            f"{path} is damaged or not whole ({reason}); export it again, and keep the files of its"
            " weights beside it"
        ) from error
    return proto


def _refuse_quantized(path: Path, proto: Any) -> None:
    found = sorted({n.op_type for n in proto.graph.node if any(q in n.op_type for q in QUANTIZED)})
    if found:
        raise UserError(
            f"{path} is quantized ({', '.join(found)}); only float32 networks can be compiled: give"
            " the one it was made from"
        )


def _check_type(onnx: ModuleType, path: Path, value: Any) -> None:
    kind = value.type.tensor_type.elem_type
    if kind != onnx.TensorProto.FLOAT:
        name = onnx.TensorProto.DataType.Name(kind).lower()
        raise UserError(
            f"{path} takes {name} as its input {value.name}; only float32 and float16 are compiled:"
            " convert it"
        )


def _inputs(
    path: Path, values: list[Any], given: InputShapes | None, batch: int
) -> tuple[Input, ...]:
    """What it is called with, in the shapes given where it leaves them open."""
    if not values:
        raise UserError(f"{path} has no input: there is nothing to compile")
    names = tuple(one.name for one in values)
    open_shapes = tuple(_open_shape(one) for one in values)
    if given is not None:
        inputs = resolve(str(path), given, Signature(names, len(names)))
    else:
        inputs = tuple(
            Input(name, _closed(path, name, shape, batch))
            for name, shape in zip(names, open_shapes, strict=True)
        )
        inputs = (Input(ONLY, inputs[0].shape),) if len(inputs) == 1 else inputs
    if batch != 1:
        inputs = tuple(replace(one, shape=(batch, *one.shape[1:])) for one in inputs)
    for name, one, shape in zip(names, inputs, open_shapes, strict=True):
        _check_fits(path, name, one.shape, shape)
    return inputs


def _open_shape(value: Any) -> tuple[int | str, ...]:
    """Sizes, and names (or "?") of those that are open; () where even the number of axes is."""
    return tuple(
        one.dim_value if one.dim_value > 0 else one.dim_param or "?"
        for one in value.type.tensor_type.shape.dim
    )


def _closed(path: Path, name: str, shape: tuple[int | str, ...], batch: int) -> Shape:
    """The shape where only the batch is open."""
    closed = tuple(one for one in (batch, *shape[1:]) if isinstance(one, int))
    if len(shape) == 0 or len(closed) != len(shape):
        shown = ",".join(map(str, shape)) or "any number of axes"
        raise UserError(
            f"{path} leaves sizes of its input {name} open ({shown}); give them, as in --input-shape"
            " 1,3,224,224"
        )
    return closed if isinstance(shape[0], str) else (shape[0], *closed[1:])


def _check_fits(path: Path, name: str, shape: Shape, allowed: tuple[int | str, ...]) -> None:
    same_rank = len(shape) == len(allowed) or not allowed
    if not same_rank or any(
        one != other for one, other in zip(shape, allowed, strict=False) if isinstance(other, int)
    ):
        shown = ",".join(map(str, allowed))
        raise UserError(
            f"{path} takes {shown} as its input {name}, not {','.join(map(str, shape))}; check"
            " --input-shape and --batch"
        )


def _dimension(onnx: ModuleType, extent: int) -> Any:
    return onnx.TensorShapeProto.Dimension(dim_value=extent)


def _settled(path: Path, proto: Any, inputs: tuple[Input, ...]) -> Any:
    """The network for these sizes alone."""
    try:
        return onnx_constants.worked_out(proto)
    except Exception as error:  # shape inference raises what does not fit
        shown = " and ".join("x".join(map(str, one.shape)) for one in inputs)
        reason = error_text.of_exception(error)
        raise UserError(
            f"{path} does not run on an input of {shown} ({reason}); check --input-shape"
        ) from error
