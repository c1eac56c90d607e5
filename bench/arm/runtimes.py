# SPDX-License-Identifier: Apache-2.0
"""Runtimes whose AArch64 wheels are run under the emulator, and one call of a network in one of them, priced.

Takes a runtime, a model's folder of files (recipes.py) and a `Target`; gives milliseconds by the core
model. Outputs are compared with PyTorch's before a time counts.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.arm import executorch_library
from bench.environments import REQUIREMENTS
from bench.judging import likeness
from bench.peer import PROJECT
from mnc.compile.rpc import rootfs
from mnc.compile.tracing.emulator import PYTHON, Command
from mnc.compile.tracing.tracing import Trace, trace
from mnc.model.names import Precision
from mnc.support.errors import UserError
from mnc.support.files import cache_dir
from mnc.support.registry import pip_files
from mnc.targets import Target

WORKERS = Path(__file__).parents[1] / "workers"


@dataclass(frozen=True)
class Runtime:
    """`wheels` are those of list `environment` in requirements/ that it needs beside numpy; `tolerance` is
    of the largest logit.
    """

    key: str
    title: str
    recipe: str
    module: str
    environment: str
    wheels: tuple[str, ...]
    tolerance: float = 1e-3
    precision: Precision = "float32"


@dataclass(frozen=True)
class Priced:
    """One call: milliseconds on the target's cores, and by how much the outputs differ from PyTorch's."""

    milliseconds: float
    error: float
    trace: Trace


HALF = 5e-2  # of the largest logit: what is wrong is further off
EIGHT_BITS = 0.5  # how far logits may be off that 8-bit maps lead to: what is wrong is further off
LITERT = ("ai-edge-litert", "backports.strenum", "flatbuffers", "protobuf", "tqdm")
ONNX = ("onnxruntime", "flatbuffers", "packaging", "protobuf")
EXECUTORCH_MODULE = "run_executorch_cpp"
OURS = ""  # the recipe of a library that is exported for the target
RUNTIMES = (
    Runtime("mnc", "mnc", OURS, "run_exported", PROJECT, ()),
    Runtime("mnc-fp16", "mnc, fp16", OURS, "run_exported", PROJECT, (), HALF, "fp16"),
    Runtime("mnc-int8", "mnc, int8", OURS, "run_exported", PROJECT, (), EIGHT_BITS, "int8"),
    Runtime("ncnn", "ncnn", "ncnn_file", "run_ncnn", "ncnn", ("ncnn",)),
    # Half-precision arithmetic where the core has it, as ncnn does unless told not to.
    Runtime("ncnn-fp16", "ncnn, fp16", "ncnn_file", "run_ncnn_fp16", "ncnn", ("ncnn",), HALF),
    Runtime(
        "ncnn-int8", "ncnn, int8", "ncnn_int8", "run_ncnn", "ncnn", ("ncnn",), EIGHT_BITS, "int8"
    ),
    Runtime("litert", "LiteRT (XNNPACK)", "litert_file", "run_litert", "litert", LITERT),
    Runtime(
        "litert-fp16",
        "LiteRT (XNNPACK), fp16",
        "litert_fp16",
        "run_litert",
        "litert",
        LITERT,
        HALF,
        "fp16",
    ),
    Runtime(
        "litert-int8",
        "LiteRT (XNNPACK), int8",
        "litert_int8",
        "run_litert",
        "litert",
        LITERT,
        EIGHT_BITS,
        "int8",
    ),
    Runtime("mnn", "MNN", "mnn_file", "run_mnn", "mnn", ("mnn",)),
    Runtime("onnxruntime", "ONNX Runtime", "onnx_file", "run_onnxruntime", "onnxruntime", ONNX),
    Runtime(
        "executorch",
        "ExecuTorch (XNNPACK)",
        "executorch_file",
        EXECUTORCH_MODULE,
        "executorch",
        ("executorch",),
    ),
    Runtime(
        "executorch-int8",
        "ExecuTorch (XNNPACK), int8",
        "executorch_int8",
        EXECUTORCH_MODULE,
        "executorch",
        ("executorch",),
        EIGHT_BITS,
        "int8",
    ),
)
# Who races in a precision.
RACERS: dict[Precision, str] = {
    "float32": "mnc,ncnn,litert,mnn,onnxruntime,executorch",
    "fp16": "mnc-fp16,ncnn-fp16,litert-fp16",
    "int8": "mnc-int8,ncnn-int8,litert-int8,executorch-int8",
}


def find(key: str) -> Runtime:
    """The runtime of that key; UserError names them all."""
    for one in RUNTIMES:
        if one.key == key:
            return one
    known = ", ".join(one.key for one in RUNTIMES)
    raise UserError(f"no runtime {key!r} is traced; one of {known}")


def price(runtime: Runtime, folder: Path, target: Target, *, threads: int) -> Priced:
    """The second call after loading. UserError where the runtime fails, or its answer is wrong."""
    # Not a name drawn anew: programs keep their arguments, and other bytes take other ways.
    outputs = cache_dir("peers", "arm") / f"{runtime.key}-{target.name}-{threads}.npy"
    outputs.unlink(missing_ok=True)
    words = (PYTHON, "-S", str(WORKERS / "traced.py"), runtime.module, str(folder), str(threads))
    command = Command((*words, str(outputs)), _environment(runtime, threads))
    found = trace(command, target, threads=threads)
    if not outputs.is_file():
        raise UserError(f"{runtime.title} failed under the emulator; its output is above")
    given = np.load(outputs)
    truth = np.load(folder / "expected.npy")[0]
    error = likeness(truth, given.reshape(truth.shape)).error
    if not error <= runtime.tolerance:
        raise UserError(f"{runtime.title} is wrong: {error:.1e} of the largest logit")
    return Priced(found.simulation.seconds * 1e3, error, found)


def _environment(runtime: Runtime, threads: int) -> dict[str, str]:
    root = rootfs.root("aarch64")
    pins = [
        pip_files(pin, platform="aarch64", python=root.release.python) for pin in _pins(runtime)
    ]
    places = [WORKERS, *pins]
    compiled = {}
    if runtime.module == EXECUTORCH_MODULE:
        compiled = {"EXECUTORCH_NETWORK": str(executorch_library.library(pins[0]))}
    # Threads that spin while they wait would be priced for it.
    return compiled | {
        "PYTHONPATH": ":".join([*map(str, places), root.python_path]),
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "passive",
    }


def _pins(runtime: Runtime) -> list[str]:
    """The wheels with their versions, as x86's race has them."""
    if not runtime.wheels:
        return []
    lines = (REQUIREMENTS / f"{runtime.environment}.txt").read_text().splitlines()
    return [line for line in lines if line.partition("==")[0] in runtime.wheels]
