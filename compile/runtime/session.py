# SPDX-License-Identifier: Apache-2.0
"""Runs an artifact on this machine in TVM's runtime; never imports torch.

Takes an `Artifact` and numpy arrays; gives numpy arrays. `local_session` has a faster way; this one can time
layers too, and works where an artifact has no other.
"""

import os
import threading
from typing import Any, NoReturn

import numpy as np

from mnc.compile.artifact.manifest import Platform
from mnc.compile.artifact.store import Artifact
from mnc.compile.runtime.buffers import memory_of
from mnc.compile.runtime.inputs import check_inputs
from mnc.compile.runtime.widening import tvm_array, widen
from mnc.compile.toolchain import cpu_features
from mnc.support import error_text
from mnc.support.errors import UserError
from mnc.targets import topology
from mnc.targets.core_classes import fast_class

Array = np.ndarray[Any, np.dtype[Any]]

BIG_CORES = 1  # TVM's AffinityMode: the fastest class first
# TVM keeps one pool of threads for each calling thread; this is how many of them it now uses.
_configured = threading.local()


class Session:
    """A loaded artifact. `run` may be called from several threads; calls wait for one another.

    `threads` is how many CPU threads it uses, by default one for each core of the fast class. Loading runs
    the artifact's native code: UserError when it is for another CPU, has a feature this one lacks, or fails
    to load.
    """

    def __init__(self, artifact: Artifact, *, threads: int | None = None) -> None:
        check_cpu(artifact.manifest.target)
        self.threads = checked_threads(threads)
        self._open(artifact, _load_library(artifact))
        widen(self._graph, artifact, tvm_array)

    def _open(self, artifact: Artifact, factory: Any) -> None:
        self.artifact, self.factory = artifact, factory
        self.manifest, self.labels = artifact.manifest, artifact.labels
        self._lock = threading.Lock()
        self._graph = self._create_graph()
        check_signature(self._graph, artifact)
        # Found once: a run leaves little of Python and TVM in the caches, so that calls beside it are dear.
        self._run = self._graph["run"]
        inputs = [self._graph["get_input"](tensor.name) for tensor in self.manifest.inputs]
        outputs = [self._graph["get_output"](i) for i in range(len(self.manifest.outputs))]
        self._buffers = [*inputs, *outputs]  # whose memory these are
        self._inputs = [memory_of(buffer) for buffer in inputs]
        self._outputs = [memory_of(buffer) for buffer in outputs]

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """The network's outputs for `inputs`, of exactly the signature's shapes and types."""
        self.check_inputs(inputs)
        with self._lock:
            use_threads(self.threads)
            for place, array in zip(self._inputs, inputs, strict=True):
                np.copyto(place, array)
            self._run()
            return tuple([output.copy() for output in self._outputs])

    def check_inputs(self, inputs: tuple[Array, ...]) -> None:
        """UserError unless `inputs` fit the signature."""
        check_inputs(inputs, self.manifest.inputs, name=self.manifest.network.name)

    def top(self, logits: Array, count: int = 5) -> list[tuple[str, float]]:
        """(label, probability) of the `count` likeliest classes of one example's logits."""
        flat = np.asarray(logits, np.float64).reshape(-1)
        shares = np.exp(flat - flat.max())
        shares /= shares.sum()
        best = np.argsort(-flat, kind="stable")[:count]
        return [(self.labels[i] if self.labels else str(i), float(shares[i])) for i in best]

    def _create_graph(self) -> Any:
        import tvm

        try:
            return self.factory["default"](tvm.cpu(0))
        except (tvm.TVMError, AttributeError) as error:
            raise UserError(
                f"the library is no network of TVM's: {error_text.of_exception(error)}"
            ) from None


def check_signature(graph: Any, artifact: Artifact) -> None:
    """UserError unless the library's inputs and outputs are those that the manifest says."""
    manifest = artifact.manifest
    inputs = [graph["get_input"](tensor.name) for tensor in manifest.inputs]
    outputs = [graph["get_output"](i) for i in range(graph["get_num_outputs"]())]
    said = [(tensor.shape, tensor.dtype) for tensor in (*manifest.inputs, *manifest.outputs)]
    found = [(x.shape, x.dtype) if x is not None else None for x in (*inputs, *outputs)]
    if said != found or len({tensor.name for tensor in manifest.inputs}) != len(inputs):
        refuse_other_signature(artifact)


def refuse_other_signature(artifact: Artifact) -> NoReturn:
    """The UserError of a library that does not fit its manifest."""
    raise UserError(
        f"{artifact.folder}: its library has other inputs or outputs than its manifest says;"
        " build it again, or fetch it anew from where it came"
    )


def can_run(target: Platform) -> bool:
    """Whether this CPU can run what was built for `target`."""
    try:
        check_cpu(target)
    except UserError:
        return False
    return True


def check_cpu(target: Platform) -> None:
    """UserError, saying what is missing, unless this CPU can run what was built for `target`."""
    here = cpu_features.machine_arch()
    if here != target.arch:
        raise UserError(
            f"this artifact is for {target.arch} ({target.name}) and this machine is {here}; build it"
            " for this one, or run it on its device"
        )
    lacking = cpu_features.missing(target.features, target.arch)
    if lacking:
        raise UserError(
            f"this artifact is for {_mcpu(target)} and this CPU lacks {', '.join(lacking)}; build it on"
            " this machine"
        )


def size_pool() -> None:
    """Say how large TVM's pools are to be, before they are made: one thread for each CPU, none of them bound.

    A pool is made once a thread, at its first use. TVM would count half of the CPUs, taking the rest for
    hyper-threads, and would bind the calling thread to CPU 0, so that everything else in this process would
    share that one.
    """
    os.environ["TVM_NUM_THREADS"] = str(len(topology.usable_cpus()))
    os.environ.setdefault("TVM_BIND_THREADS", "0")


def use_threads(count: int) -> None:
    """Make TVM use `count` threads for calls from this thread, this one among them."""
    if getattr(_configured, "count", None) != count:
        import tvm

        tvm.get_global_func("runtime.config_threadpool")(BIG_CORES, count)
        _configured.count = count


def default_input(session: Session, *, seed: int = 0) -> tuple[Array, ...]:
    """Random inputs of the right shapes, for timing: their values do not matter to it."""
    random = np.random.default_rng(seed)
    return tuple(
        random.standard_normal(tensor.shape).astype(tensor.dtype)
        for tensor in session.manifest.inputs
    )


def checked_threads(threads: int | None) -> int:
    """The number of threads, by default one for each core of the fast class. UserError unless the machine has
    so many.
    """
    available = len(topology.usable_cpus())
    if threads is None:
        return fast_class().cores
    if not 1 <= threads <= available:
        raise UserError(f"{threads} threads were asked for; this machine has 1 to {available}")
    return threads


def _load_library(artifact: Artifact) -> Any:
    size_pool()
    import tvm

    try:
        return tvm.runtime.load_module(str(artifact.library.resolve()))
    except Exception as error:  # the dynamic loader's words, in whichever error TVM puts them
        reason = error_text.of_exception(error).rpartition(f"{artifact.library.resolve()}: ")[2]
        raise UserError(
            f"cannot load {artifact.library}: {reason}; build it again on this machine"
        ) from None


def _mcpu(target: Platform) -> str:
    """LLVM's name of the CPU that the code is for."""
    words = target.tvm_target.split()
    named = [word.removeprefix("-mcpu=") for word in words if word.startswith("-mcpu=")]
    return named[-1] if named else target.name
