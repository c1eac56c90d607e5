# SPDX-License-Identifier: Apache-2.0
"""The running process's work: check one compiled kernel against the reference, then time it.

Takes a RunJob; gives Timed (seconds a repeat) or Failed. Each repeat finds the caches as the
network would leave them: weights pushed out of L1 and L2, the input just written.
"""

import functools
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import tvm

from mnc.compile.measure.messages import Argument, Failed, Job, Reply, RunJob, Timed, failed
from mnc.compile.runtime.buffers import memory_of

PREPARE = "mnc.prepare_caches"
# Of the largest magnitude expected: sums in any order stay far below. Halves of 1,024 channels come to 3e-3.
TOLERANCES = {"float32": 1e-4, "float16": 1e-2}
MOST, STEP = 60, 5  # repeats
SETTLED = 0.005  # standard error of the median, relative, at which a timing is good enough
# Where a candidate falls behind the best known by this factor, so many repeats are enough.
ENOUGH = ((1.5, 5), (1.15, 10))

Array = np.ndarray[Any, Any]


def perform(job: Job) -> Reply:
    """Check and time one kernel; an exception becomes an answer."""
    if not isinstance(job, RunJob):
        return Failed(error="run", message=f"not a runner's job: {type(job).__name__}")
    try:
        return _run(job)
    except Exception as error:
        return failed("run", error)


def _run(job: RunJob) -> Reply:
    module = tvm.runtime.load_module(job.library)
    buffers, expected = _buffers(job.reference, job.arguments)
    output = next(i for i, arg in enumerate(job.arguments) if arg.is_output)
    buffers[output].copyfrom(unwritten(job.arguments[output]))
    started = time.perf_counter()
    module.entry_func(*buffers)
    first = time.perf_counter() - started
    if expected is not None:
        wrong = difference(buffers[output].numpy(), expected)
        if wrong:
            return Failed(error="wrong", message=wrong)
    data = next(i for i, arg in enumerate(job.arguments) if arg.role == "data")
    _Caches.prepare(buffers[data], buffers[output], job.evict_bytes)
    return Timed(costs=_time(module, buffers, job, first))


def unwritten(output: Argument) -> Array:
    """What a kernel's output holds before it has run: numbers that no right one would leave."""
    if output.dtype in TOLERANCES:
        return np.full(output.shape, np.nan, output.dtype)
    return np.full(output.shape, np.iinfo(output.dtype).min, output.dtype)


def difference(got: Array, expected: Array) -> str:
    """Empty when `got`, the kernel's whole output, is right, else one line: floats to TOLERANCES, integers
    to the last bit.
    """
    if not np.issubdtype(expected.dtype, np.floating):
        differ = int((got != expected).sum())
        return f"{differ} of {got.size} integers differ" if differ else ""
    scale = float(np.abs(expected).max()) or 1.0
    off = np.abs(got - expected)
    if np.isnan(got).any():
        return f"{int(np.isnan(got).sum())} of {got.size} outputs are NaN or never written"
    worst = float(off.max()) / scale
    tolerance = TOLERANCES[got.dtype.name]
    if worst <= tolerance:
        return ""
    bad = int((off > tolerance * scale).sum())
    return f"{bad} of {got.size} outputs differ, by up to {worst:.3g} of the largest"


@functools.lru_cache(maxsize=2)
def _buffers(reference: str | None, arguments: tuple[Argument, ...]) -> tuple[list[Any], Any]:
    """The kernel's arguments in its calling order, and the right output (None: not known)."""
    arrays, expected = arrays_of(reference, arguments)
    return [tvm.nd.array(array) for array in arrays], expected


def arrays_of(
    reference: str | None, arguments: tuple[Argument, ...]
) -> tuple[list[Array], Array | None]:
    """Arrays for the kernel's arguments, in its calling order, and the right output: noise and None where
    there is no `reference`.
    """
    if reference is None:
        noise = np.random.default_rng(0)
        return [(noise.random(arg.shape, np.float32)).astype(arg.dtype) for arg in arguments], None
    with np.load(reference, allow_pickle=False) as stored:
        known = dict(stored)
    return match(known, arguments), known["output"]


def match(known: Mapping[str, Array], arguments: tuple[Argument, ...]) -> list[Array]:
    """Reference arrays in the kernel's order and types, each by its role: two of them may have one shape.
    The right output is more exact than a kernel's of halves.
    """
    for arg in arguments:
        found = known[arg.role].shape if arg.role in known else None
        if found != arg.shape:
            raise ValueError(f"the kernel wants {arg.role} {arg.shape}, the reference has {found}")
    return [known[arg.role].astype(arg.dtype, copy=False) for arg in arguments]


class _Caches:
    """The state that the callback of the timer needs; TVM finds the callback by name only."""

    stream = np.zeros(0, np.int64)
    written: Array = np.zeros(0, np.float32)
    target: Any = None
    output: Any = None

    @classmethod
    def prepare(cls, data: Any, output: Any, evict_bytes: int) -> None:
        """Note the map that is read, the output, and how much to stream."""
        cls.output, cls.target = memory_of(output), memory_of(data)
        if (cls.written.shape, cls.written.dtype) != (cls.target.shape, cls.target.dtype):
            cls.written = cls.target.copy()
        else:
            np.copyto(cls.written, cls.target)
        if cls.stream.nbytes != evict_bytes:
            cls.stream = np.ones(evict_bytes // 8, np.int64)

    @classmethod
    def before_repeat(cls) -> None:
        """Other layers' traffic, the output's old contents, then the layer before writes ours."""
        cls.stream.max()
        cls.output.max()
        np.copyto(cls.target, cls.written)


@tvm.register_func(PREPARE)  # type: ignore[untyped-decorator]
def _prepare_caches(*_: Any) -> None:
    _Caches.before_repeat()


def _time(module: Any, buffers: list[Any], job: RunJob, first: float) -> tuple[float, ...]:
    """Repeat until the figure is as good as it needs to be or the budget is spent.

    Only the middle half of the repeats is kept.
    """
    limit = time.perf_counter() + job.budget
    costs: list[float] = []
    evaluate = _evaluator(module, 1 if first > job.budget / 4 else STEP)
    while not costs or (len(costs) < MOST and time.perf_counter() < limit):
        costs += evaluate(*buffers).results
        if enough(costs, job.best):
            break
    return middle(costs)


def enough(costs: list[float], best: float | None) -> bool:
    """Whether more repeats would tell nothing of use: far from `best`, or settled."""
    low, median, high = (float(value) for value in np.percentile(costs, (25, 50, 75)))
    if best is not None and any(median > far * best and len(costs) >= n for far, n in ENOUGH):
        return True
    # Of a normal distribution the quartiles are 1.35 deviations apart; its median errs by 1.25/sqrt(n).
    error = 1.25 * (high - low) / 1.35 / float(np.sqrt(len(costs)))
    return len(costs) >= 2 * STEP and error < SETTLED * median


def _evaluator(module: Any, repeat: int) -> Any:
    device = tvm.cpu(0)
    return module.time_evaluator(
        module.entry_name, device, number=1, repeat=repeat, f_preproc=PREPARE
    )


def middle(costs: list[float]) -> tuple[float, ...]:
    """The sorted middle half: the median is that of all, and a mean over it is robust as well."""
    ordered = sorted(costs)
    cut = len(ordered) // 4
    return tuple(ordered[cut : len(ordered) - cut])
