# SPDX-License-Identifier: Apache-2.0
"""A freestanding library called from Python, as an app would call it; nothing of TVM takes part.

Takes the path of a `libPREFIX.so`; gives numpy arrays. Loading it runs its native code.
"""

import ctypes
import itertools
import math
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from mnc.compile.artifact.manifest import Grid, Tensor
from mnc.compile.export.numbers import Numbers
from mnc.compile.runtime.inputs import check_inputs
from mnc.support.closing import Closing
from mnc.support.errors import UserError

Array = np.ndarray[Any, np.dtype[Any]]

ALIGNMENT = 64  # bytes: of an input that the library reads where it is
_loaded: dict[Path, list[int]] = {}  # the inodes that were loaded from a path, in order


class Freestanding(Closing):
    """One instance of an exported network with `threads` threads (0: the library's choice). `inputs` and
    `outputs` are what it takes and gives, with the grids of 8-bit numbers.

    `name` is what errors call it. UserError when it cannot be loaded or made, with the library's own words.
    """

    def __init__(
        self,
        library: Path,
        *,
        prefix: str = "mnc",
        threads: int = 0,
        name: str = "the library",
    ) -> None:
        self.name = name
        try:
            self._library = ctypes.CDLL(_loader_name(library.resolve()))
        except OSError as error:
            raise UserError(f"cannot load {library}: {error}; export it for this machine") from None
        self._prefix = prefix
        self._declare()
        self._instance = self._call("create", threads)
        if not self._instance:
            raise UserError(f"{library}: {self.last_error()}")
        destroy = getattr(self._library, f"{prefix}_destroy")
        self._end = weakref.finalize(self, destroy, self._instance)
        self._run = getattr(self._library, f"{prefix}_run")
        self.inputs, self.outputs = self._ports("input"), self._ports("output")
        self.numbers = Numbers(self.inputs[0].dtype, self.outputs[0].dtype)  # type: ignore[arg-type]
        ends = list(itertools.accumulate(math.prod(port.shape) for port in self.outputs))
        shapes = [port.shape for port in self.outputs]
        self._parts = list(zip([0, *ends], ends, shapes, strict=False))

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """The outputs for `inputs`, arrays of exactly the library's shapes and types. UserError for any
        others; RuntimeError when the run fails.

        A single contiguous input that is `aligned` is read where it is.
        """
        check_inputs(inputs, self.inputs, name=self.name)
        flat = np.ascontiguousarray(inputs[0])
        if len(inputs) > 1:
            flat = np.concatenate([array.ravel() for array in inputs])
        out = np.empty(self._parts[-1][1], self.numbers.outputs)
        if self._run(self._instance, flat.ctypes.data, out.ctypes.data) != 0:
            raise RuntimeError(self.last_error())
        return tuple(out[first:end].reshape(shape) for first, end, shape in self._parts)

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
        """Free the instance, which else ends with this object."""
        self._end()
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


def _loader_name(library: Path) -> str:
    """What the dynamic loader is given. It takes a library of a name that it knows for the one it has, so a
    file that has replaced a loaded one, as a build does, gets the next spelling of its path.
    """
    inodes = _loaded.setdefault(library, [])
    inode = library.stat().st_ino
    if inode not in inodes:
        inodes.append(inode)
    return f"{library.parent}/{'./' * inodes.index(inode)}{library.name}"
