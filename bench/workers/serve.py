# SPDX-License-Identifier: Apache-2.0
"""A runtime under test as a process: loads one network, then runs it when asked.

Usage: python serve.py WORKER FOLDER THREADS, with WORKER a module beside this file. One JSON object a
line on standard input ({"do": "check" | "run" | "memory"}), one answer a line on standard output.
Needs nothing but the standard library and numpy, whatever environment it runs in.
"""

import ctypes
import gc
import importlib
import json
import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    """Load, say so, answer until the input ends."""
    answers = _private_stdout()
    _settle()
    try:
        network, facts = _load(*sys.argv[1:4])
        _answer(answers, facts)
        _serve(network, answers)
        os._exit(0)  # some runtimes crash when Python takes them down in its own order
    except Exception as error:  # whatever a runtime raises is the answer
        _answer(answers, {"error": f"{type(error).__name__}: {error}"})
        raise


def _private_stdout() -> Any:
    """The answers' channel; what runtimes print goes to standard error."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return channel


def _settle() -> None:
    """Stay on the processors that CPUS lists, and die with the driver, even while frozen."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.environ.get("CPUS"):
        os.sched_setaffinity(0, {int(cpu) for cpu in os.environ["CPUS"].split(",")})


def _answer(channel: Any, value: dict[str, Any]) -> None:
    channel.write(json.dumps(value) + "\n")
    channel.flush()


def _load(worker: str, folder: str, threads: str) -> tuple[Any, dict[str, Any]]:
    """(the network, how long and how much memory it took, import included in the time only)."""
    module = importlib.import_module(worker)
    before = _status("VmRSS")
    _reset_peak()
    started = time.perf_counter()
    network = module.load(Path(folder), int(threads))
    return network, {
        "version": network.version,
        "load_seconds": time.perf_counter() - started,
        "rss_before": before,
        "workspace_bytes": network.workspace_bytes,
    }


def _serve(network: Any, answers: Any) -> None:
    ready: Any = None
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "check":
            outputs = [_once(network, one) for one in _examples(Path(request["inputs"]))]
            np.save(request["outputs"], np.stack(outputs))
            ready = network.prepare(next(_examples(Path(request["inputs"]))))
            _answer(answers, {"checked": len(outputs)})
        elif request["do"] == "run":
            seconds = _timed(network.call, ready, request["untimed"], request["calls"])
            _answer(answers, {"seconds": seconds})
        elif request["do"] == "memory":
            memory = {"rss": _status("VmRSS"), "peak": _status("VmHWM")}
            _answer(answers, memory | {"libraries": _libraries(request["packages"])})


def _examples(path: Path) -> Iterator[Any]:
    """The rows of an array of float32, one in memory at a time: they are not the runtime's."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        for _ in range(shape[0]):
            yield np.fromfile(file, dtype, math.prod(shape[1:])).reshape(shape[1:])


def _once(network: Any, image: Any) -> Any:
    """A copy of the output: runtimes may use its memory again."""
    return np.array(network.finish(network.call(network.prepare(image))), np.float32)


def _timed(call: Any, ready: Any, untimed: int, calls: int) -> list[float]:
    """Seconds of each of `calls` calls, after `untimed` ones that warm caches and wake threads."""
    for _ in range(untimed):
        call(ready)
    gc.collect()
    gc.disable()
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        call(ready)
        seconds.append(time.perf_counter() - start)
    gc.enable()
    return seconds


def _status(name: str) -> int:
    """Bytes of one line of /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0


def _reset_peak() -> None:
    """Let the kernel's peak start from here; without the right to, the peak counts the import too."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        print("peak memory counts the import too", file=sys.stderr)


def _libraries(packages: list[str]) -> int:
    """Bytes of the mapped shared libraries of these packages: what an application would ship."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    paths = {line.split(maxsplit=5)[5] for line in lines if ".so" in line}
    own = [p for p in paths if any(f"/site-packages/{name}" in p for name in packages)]
    return sum(Path(path).stat().st_size for path in own if Path(path).exists())


if __name__ == "__main__":
    main()
