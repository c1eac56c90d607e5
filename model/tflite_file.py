# SPDX-License-Identifier: Apache-2.0
"""A network in a `.tflite` file: read and checked. Takes a path; gives a `TfliteNetwork`. No code is run."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from mnc.model import extras
from mnc.model.inputs import ONLY, Input, InputShapes, Signature, resolve
from mnc.model.reference import Array, Reference
from mnc.support import error_text
from mnc.support.errors import UserError

SUFFIX = ".tflite"
IDENTIFIER = b"TFL3"  # at byte 4
QUANTIZED = ("int4", "int8", "uint8", "int16")


@dataclass(frozen=True)
class TfliteNetwork:
    """`content` is the file's, `inputs` what it is called with: images are (N, H, W, C)."""

    path: Path
    content: bytes
    inputs: tuple[Input, ...]
    runtime: ClassVar[str] = "LiteRT"
    layout: ClassVar[str] = "NHWC"

    @property
    def content_hash(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.content).hexdigest()

    def reference(self, threads: int | None = None) -> Reference:
        """LiteRT with it, on `threads` (None: one). MissingPackageError without it."""
        litert = extras.module(
            "ai_edge_litert.interpreter", extra="tflite", needed_by="comparing .tflite files"
        )
        interpreter = litert.Interpreter(model_content=self.content, num_threads=threads or 1)
        interpreter.allocate_tensors()
        into, out = interpreter.get_input_details(), interpreter.get_output_details()

        def run(*arrays: Array) -> tuple[Array, ...]:
            for one, array in zip(into, arrays, strict=True):
                interpreter.set_tensor(one["index"], array)
            interpreter.invoke()
            return tuple(interpreter.get_tensor(one["index"]) for one in out)

        return Reference(self.runtime, run)


def read(path: Path, *, input_shape: InputShapes | None, batch: int) -> TfliteNetwork:
    """The network in `path`, of the sizes that it was made for.

    UserError for a file that is none, is damaged, quantized or not of float32, or asked for other sizes.
    """
    tflite = extras.module("tflite", extra="tflite", needed_by=f"{path}")
    if not path.is_file():
        raise UserError(f"no model file at {path}; check the path")
    content = path.read_bytes()
    if content[4:8] != IDENTIFIER:
        raise UserError(f"{path} is not a TensorFlow Lite file; convert the network again")
    try:
        graph = _checked(tflite.Model.GetRootAsModel(content, 0))
        inputs = tuple(_input(tflite, path, graph, int(one)) for one in graph.InputsAsNumpy())
        _refuse_quantized(tflite, path, graph)
    except UserError:
        raise
    except Exception as error:  # a flatbuffer that points anywhere
        reason = error_text.of_exception(error)
        raise UserError(f"{path} is damaged ({reason}); convert the network again") from error
    inputs = (Input(ONLY, inputs[0].shape),) if len(inputs) == 1 else inputs
    _check_sizes(path, inputs, input_shape, batch)
    return TfliteNetwork(path, content, inputs)


def _checked(model: Any) -> Any:
    """The only graph, all of whose parts can be read."""
    if model.SubgraphsLength() != 1:
        raise ValueError(f"it has {model.SubgraphsLength()} graphs")
    graph = model.Subgraphs(0)
    buffers = [model.Buffers(i).DataAsNumpy() for i in range(model.BuffersLength())]
    for i in range(graph.TensorsLength()):
        tensor = graph.Tensors(i)
        tensor.Name(), tensor.ShapeAsNumpy(), buffers[tensor.Buffer()]
    for i in range(graph.OperatorsLength()):
        operator = graph.Operators(i)
        model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
        for one in (*operator.InputsAsNumpy(), *operator.OutputsAsNumpy()):
            if one >= graph.TensorsLength():
                raise ValueError(f"operator {i} names tensor {one}")
    if not (graph.OperatorsLength() and graph.InputsLength() and graph.OutputsLength()):
        raise ValueError("it holds no network")
    return graph


def _input(tflite: Any, path: Path, graph: Any, index: int) -> Input:
    tensor = graph.Tensors(index)
    name = tensor.Name().decode()
    if tensor.Type() != tflite.TensorType.FLOAT32:
        raise UserError(
            f"{path} takes {_type(tflite, tensor)} as its input {name}; only float32 can be compiled:"
            " convert the network without quantization"
        )
    return Input(name, tuple(int(extent) for extent in tensor.ShapeAsNumpy()))


def _refuse_quantized(tflite: Any, path: Path, graph: Any) -> None:
    for i in range(graph.TensorsLength()):
        tensor = graph.Tensors(i)
        kind = _type(tflite, tensor)
        if kind in QUANTIZED:
            raise UserError(
                f"{path} is quantized ({kind} in {tensor.Name().decode()}); only float32 networks can be"
                " compiled: convert it without quantization"
            )


def _type(tflite: Any, tensor: Any) -> str:
    names = {
        kind: str(name) for name, kind in vars(tflite.TensorType).items() if isinstance(kind, int)
    }
    return names.get(tensor.Type(), "another type").lower()


def _check_sizes(
    path: Path, inputs: tuple[Input, ...], given: InputShapes | None, batch: int
) -> None:
    """UserError for sizes other than the file's: its reshapes and resizes are written for those."""
    names = tuple(one.name for one in inputs)
    wanted = inputs if given is None else resolve(str(path), given, Signature(names, len(names)))
    for one, other in zip(inputs, wanted, strict=True):
        if one.shape != other.shape or batch not in (1, one.shape[0]):
            shown = ",".join(map(str, one.shape))
            raise UserError(
                f"{path} takes {shown} as its input {one.name} and nothing else: leave out --input-shape"
                " and --batch"
            )
