# SPDX-License-Identifier: Apache-2.0
"""What this machine's cores can do at most, measured: multiply-adds and reading speed of each level.

Takes a Target that is this machine; gives GFLOP/s and GB/s for a number of threads, from small
kernels compiled through TVM itself. Figures are cached: a machine is measured once.
"""

import functools
import hashlib
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from mnc.support import child_process, error_text
from mnc.support.errors import UserError
from mnc.support.files import cache_dir, write_atomic
from mnc.targets import Target
from mnc.targets.target import INFERENCE_BYTES

VERSION = 2  # of the kernels; older figures are measured again
LONG = 0.01  # seconds a timed run should last
REPEATS = 15
HUGE = 256 << 20  # bytes that no cache of a share of a server holds


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What `threads` cores do together: float32 `gflops` (a multiply-add counts two), and read
    `bandwidths` in GB/s by level ("L1", "L2", "L3" where there is one, "DRAM"). `again` is the speed at
    which as much as an inference reads comes when it is read again, from wherever it then is.
    """

    version: int
    threads: int
    gflops: float
    bandwidths: dict[str, float]
    again: float


def peak(target: Target, threads: int = 1) -> float:
    """Measured peak in GFLOP/s (float32) of `threads` of the machine's cores."""
    return figures(target, threads).gflops


def figures(target: Target, threads: int = 1, *, fresh: bool = False) -> Figures:
    """The machine's Figures, from the cache unless `fresh`. UserError when it is not this machine.

    The cache keeps the best ever measured of each: other work on the machine can only make them lower.
    """
    path = cache_dir("machine") / f"{_slug(target)}-{threads}.json"
    known = _read(path)
    if known is not None and not fresh:
        return known
    measured = _best(_measure_apart(target, threads), known)
    write_atomic(path, msgspec.json.encode(measured))
    return measured


def _best(measured: Figures, known: Figures | None) -> Figures:
    if known is None:
        return measured
    levels = {
        level: max(speed, known.bandwidths.get(level, 0.0))
        for level, speed in measured.bandwidths.items()
    }
    gflops, again = max(measured.gflops, known.gflops), max(measured.again, known.again)
    return msgspec.structs.replace(measured, gflops=gflops, bandwidths=levels, again=again)


def measure(target: Target, threads: int) -> Figures:
    """Measure in this process, whose TVM must have been started with that many threads."""
    return Figures(
        version=VERSION,
        threads=threads,
        gflops=_peak_gflops(target, threads),
        bandwidths={
            level: _bandwidth(target, threads, size) for level, size in levels(target).items()
        },
        again=_bandwidth(target, threads, INFERENCE_BYTES),
    )


def levels(target: Target) -> dict[str, int]:
    """Bytes a core reads over and over so that they come from each level."""
    core = target.fast
    sizes = {"L1": core.l1d.size_bytes // 2}
    if core.l2 is not None:
        sizes["L2"] = (core.l1d.size_bytes + core.l2.size_bytes // core.l2.shared_by) // 2
    last = max((cache.size_bytes // cache.shared_by for cache in target.caches), default=0)
    if last > 2 * sizes.get("L2", sizes["L1"]):
        sizes["L3"] = last // 2 + sizes.get("L2", 0)
    return {**sizes, "DRAM": max(HUGE, 4 * last)}


def as_measured(target: Target, found: Figures) -> Target:
    """`target`, which is this machine, with the memory that one thread was measured to have.

    A virtual machine's share of the last cache is a guess: where its neighbours leave it more, so that what
    an inference reads comes as fast as from that cache, the share is twice what an inference reads.
    """
    speeds, caches = found.bandwidths, target.caches
    dram = speeds["DRAM"]
    if caches and 2 * found.again > speeds.get("L3", dram) + dram:
        last = caches[-1]
        kept = max(last.size_kib, 2 * INFERENCE_BYTES // 1024)
        caches = (*caches[:-1], msgspec.structs.replace(last, size_kib=kept))
    memory = msgspec.structs.replace(
        target.memory,
        core_bandwidth_gb_s=dram,
        bandwidth_gb_s=max(dram, target.memory.bandwidth_gb_s),
    )
    return msgspec.structs.replace(target, caches=caches, memory=memory)


def _slug(target: Target) -> str:
    host = hashlib.sha256(platform.node().encode()).hexdigest()[:12]
    return f"{target.model}-{host}"


def _read(path: Path) -> Figures | None:
    try:
        known = msgspec.json.decode(path.read_bytes(), type=Figures)
    except (OSError, msgspec.MsgspecError):
        return None
    return known if known.version == VERSION else None


def _measure_apart(target: Target, threads: int) -> Figures:
    """TVM settles its number of threads once a process: each measurement has its own."""
    done = subprocess.run(
        child_process.python("mnc.compile.machine.peaks", str(threads)),
        input=msgspec.json.encode(target),
        capture_output=True,
        # The compiler is needed, whatever our caller needs.
        env=child_process.environment(TVM_NUM_THREADS=str(threads), TVM_USE_RUNTIME_LIB=""),
        check=False,
    )
    if done.returncode != 0:
        said = error_text.last_words(done.stderr.decode("utf-8", "replace"))
        raise UserError(
            f"cannot measure {target.name} here: {said or error_text.exit_name(done.returncode)}; "
            "only the machine that this runs on can be measured"
        )
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Figures)


def _peak_gflops(target: Target, threads: int) -> float:
    """The best over how many sums are kept: too few wait for the unit, too many spill."""
    from mnc.compile.machine import peak_kernels

    best = 0.0
    for sums in _sums(target.vector_registers):
        kernel = functools.partial(peak_kernels.multiply_add, target.lanes, sums, threads)
        width = threads * sums * target.lanes
        seconds, loops = _time(target, kernel, [width, 2 * target.lanes])
        best = max(best, 2 * width * loops / seconds / 1e9)
    return best


def _sums(registers: int) -> list[int]:
    """Numbers of sums worth trying: three registers are for the factor, the addend and one more."""
    return [count for count in (8, 10, 12, 16, 20, 24) if count <= registers - 3] or [4]


def _bandwidth(target: Target, threads: int, size_bytes: int) -> float:
    from mnc.compile.machine import peak_kernels

    step = peak_kernels.STREAMS * target.lanes
    floats = max(step, size_bytes // 4 // step * step)
    kernel = functools.partial(peak_kernels.read, target.lanes, floats, threads)
    seconds, loops = _time(target, kernel, [threads * step, threads * floats])
    return 4 * floats * threads * loops / seconds / 1e9


def _time(target: Target, kernel_of: Callable[[int], Any], sizes: list[int]) -> tuple[float, int]:
    """(least seconds of a run, its loops): loops grow until a run is long enough for the clock.

    `kernel_of(loops)` makes the kernel, `sizes` are the floats of its buffers.
    """
    import numpy as np
    import tvm

    from mnc.compile.toolchain import pass_context

    buffers = [tvm.nd.array(np.full(size, 0.5, np.float32)) for size in sizes]
    loops = 1
    while True:
        with pass_context.pass_context():
            module = tvm.build(kernel_of(loops), target=target.tvm_target())
        timer = module.time_evaluator(module.entry_name, tvm.cpu(0), number=1, repeat=REPEATS)
        seconds = min(timer(*buffers).results)
        if seconds > LONG / 2 or loops > 1 << 30:
            return seconds, loops
        loops = max(2 * loops, int(loops * LONG / max(seconds, 1e-7)))


def main() -> None:
    """The measuring process: a Target on standard input, Figures on standard output."""
    target = msgspec.json.decode(sys.stdin.buffer.read(), type=Target)
    found = measure(target, int(sys.argv[1]))
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")


if __name__ == "__main__":
    main()
