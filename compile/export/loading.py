# SPDX-License-Identifier: Apache-2.0
"""A freestanding library called from Python, as an app would call it; nothing of TVM takes part.

Takes the path of a `libPREFIX.so`; gives numpy arrays. Loading it runs its native code.
"""

import ctypes
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np

from mnc.compile.artifact.manifest import Grid, Tensor
from mnc.compile.artifact.store import Artifact
from mnc.compile.export import numbers as numbering
from mnc.compile.export.numbers import FLOATS, Numbers
from mnc.compile.runtime import session
from mnc.compile.runtime import verify as parity
from mnc.compile.runtime.inputs import check_inputs
from mnc.compile.runtime.session import Array
from mnc.support.closing import Closing
from mnc.support.errors import UserError

ALIGNMENT = 64  # bytes: of an input that the library reads where it is


class Freestanding(Closing):
    """One instance of an exported network with `threads` threads (0: the library's choice). `inputs` and
    `outputs` are what it takes and gives, with the grids of 8-bit numbers.

    UserError when it cannot be loaded or made, with the library's own words.
    """

    def __init__(self, library: Path, *, prefix: str = "mnc", threads: int = 0) -> None:
        try:
            self._library = ctypes.CDLL(str(library.resolve()))
        except OSError as error:
            raise UserError(f"cannot load {library}: {error}; export it for this machine") from None
        self._prefix = prefix
        self._declare()
        self._instance = self._call("create", threads)
        if not self._instance:
            raise UserError(f"{library}: {self.last_error()}")
        self._run = getattr(self._library, f"{prefix}_run")
        self.inputs, self.outputs = self._ports("input"), self._ports("output")
        self.numbers = Numbers(self.inputs[0].dtype, self.outputs[0].dtype)  # type: ignore[arg-type]
        ends = list(itertools.accumulate(math.prod(port.shape) for port in self.outputs))
        self._outputs = list(
            zip([0, *ends], ends, [port.shape for port in self.outputs], strict=False)
        )

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """The outputs for `inputs`, arrays of exactly the library's shapes and types. UserError for any
        others; RuntimeError when the run fails.

        A single contiguous input that is `aligned` is read where it is.
        """
        check_inputs(inputs, self.inputs, name="the library")
        flat = np.ascontiguousarray(inputs[0])
        if len(inputs) > 1:
            flat = np.concatenate([array.ravel() for array in inputs])
        out = np.empty(self._outputs[-1][1], self.numbers.outputs)
        if self._run(self._instance, flat.ctypes.data, out.ctypes.data) != 0:
            raise RuntimeError(self.last_error())
        return tuple(out[first:end].reshape(shape) for first, end, shape in self._outputs)

    @property
    def threads(self) -> int:
        """Threads of the instance."""
        return int(self._call("threads", self._instance))

    @property
    def memory(self) -> int:
        """Bytes the instance has taken."""
        return int(self._call("memory", self._instance))

    def last_error(self) -> str:
        """Why the last `mnc_create` or `mnc_run` on this thread failed; "" when it did not."""
        return str(self._call("last_error").decode(errors="replace"))

    def label(self, index: int) -> str | None:
        """A class's name."""
        text = self._call("label", index)
        return None if text is None else str(text.decode())

    def close(self) -> None:
        """Free the instance."""
        if self._instance:
            self._call("destroy", self._instance)
            self._instance = None

    def _call(self, name: str, *values: Any) -> Any:
        return getattr(self._library, f"{self._prefix}_{name}")(*values)

    def _declare(self) -> None:
        """The prototypes of the header."""
        handle, text, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
        shape = ctypes.POINTER(ctypes.c_int64)
        prototypes: dict[str, tuple[Any, list[Any]]] = {
            "create": (handle, [ctypes.c_int]),
            "run": (ctypes.c_int, [handle, ctypes.c_void_p, ctypes.c_void_p]),
            "destroy": (None, [handle]),
            "threads": (ctypes.c_int, [handle]),
            "memory": (size, [handle]),
            "last_error": (text, []),
            "label": (text, [ctypes.c_int]),
        }
        for kind in ("input", "output"):
            prototypes[f"{kind}_count"] = (ctypes.c_int, [])
            prototypes[f"{kind}_name"] = (text, [ctypes.c_int])
            prototypes[f"{kind}_shape"] = (shape, [ctypes.c_int, ctypes.POINTER(ctypes.c_int)])
            prototypes[f"{kind}_type"] = (text, [ctypes.c_int])
            prototypes[f"{kind}_scale"] = (ctypes.c_float, [ctypes.c_int])
            prototypes[f"{kind}_zero_point"] = (ctypes.c_int, [ctypes.c_int])
        for name, (result, arguments) in prototypes.items():
            try:
                function = getattr(self._library, f"{self._prefix}_{name}")
            except AttributeError:
                raise UserError(
                    f"the library has no {self._prefix}_{name}; check the prefix"
                ) from None
            function.restype, function.argtypes = result, arguments

    def _ports(self, kind: str) -> tuple[Tensor, ...]:
        ports = []
        for index in range(self._call(f"{kind}_count")):
            rank = ctypes.c_int()
            extents = self._call(f"{kind}_shape", index, ctypes.byref(rank))
            shape = tuple(extents[axis] for axis in range(rank.value))
            name = self._call(f"{kind}_name", index).decode(errors="replace")
            dtype = self._call(f"{kind}_type", index).decode()
            scale, zero = (
                self._call(f"{kind}_scale", index),
                self._call(f"{kind}_zero_point", index),
            )
            grid = Grid(scale=scale, zero_point=zero) if dtype == "int8" else None
            ports.append(Tensor(name=name, shape=shape, dtype=dtype, layout="", grid=grid))
        return tuple(ports)


def aligned(array: Array) -> Array:
    """A float32 copy of `array` that `Freestanding.run` reads where it is, as it can an app's own buffer."""
    room = np.empty(array.size + ALIGNMENT // 4, np.float32)
    first = -room.ctypes.data % ALIGNMENT // 4
    place = room[first : first + array.size].reshape(array.shape)
    np.copyto(place, array)
    return place


def verify(artifact: Artifact, library: Freestanding) -> parity.Check:
    """Compare the library with what PyTorch gave for the artifact's golden inputs; where it takes or gives
    8-bit numbers, with what the artifact itself gives for what they stand for.
    """
    golden = artifact.golden()
    rows = [tuple(array[i] for array in golden.inputs) for i in range(golden.count)]
    tolerance = parity.tolerance_of(artifact.manifest)
    if library.numbers == FLOATS:
        wanted = [tuple(array[i] for array in golden.outputs) for i in range(golden.count)]
        found = [library.run(*one) for one in rows]
        return parity.compare("golden outputs", wanted, found, tolerance=tolerance)
    manifest, numbers = artifact.manifest, library.numbers
    given = [numbering.given(one, manifest, numbers) for one in rows]
    hosted = session.Session(artifact)
    outputs = [hosted.run(*numbering.meant(one, manifest, numbers)) for one in given]
    return parity.compare(
        "the artifact",
        [numbering.returned(one, manifest, numbers) for one in outputs],
        [library.run(*one) for one in given],
        tolerance=tolerance,
    )


def verify_here(
    artifact: Artifact, shared: Path, *, prefix: str
) -> tuple[parity.Check | None, str]:
    """`verify` of the library in `shared`, or None and why it cannot run on this machine."""
    try:
        session.check_cpu(artifact.manifest.target)
    except UserError as error:
        return None, f"not run here: {error}"
    with Freestanding(shared, prefix=prefix) as library:
        return verify(artifact, library), ""
