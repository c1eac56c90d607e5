# SPDX-License-Identifier: Apache-2.0
"""A runtime in a process of its own: started, asked, frozen while others run, ended.

Takes a `Peer`, the folder of its model and the processors to stay on; gives answers as dictionaries.
"""

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from bench import environments
from bench.hiding import libraries
from bench.peer import PROJECT, Peer
from mnc.support import child_process, error_text
from mnc.support.errors import UserError
from mnc.support.files import cache_dir

WORKERS = Path(__file__).parent / "workers"
LOAD_LIMIT, ANSWER_LIMIT = 900.0, 300.0  # seconds; Inductor compiles while it loads
# What a person's shell may set and what would change how a runtime uses threads.
DROPPED = ("OMP_", "KMP_", "GOMP_", "MKL_", "OPENBLAS_", "TVM_", "ORT_", "OV_", "ONEDNN_", "DNNL_")


class Worker:
    """`facts` is what it said when it had loaded. UserError with its own words when anything fails."""

    def __init__(self, peer: Peer, folder: Path, *, threads: int, cpus: Sequence[int]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        command = [str(_python(peer)), str(WORKERS / "serve.py")]
        self._process = subprocess.Popen(
            [*command, peer.worker, str(folder), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=folder,
            env=_variables(peer, threads, cpus),
        )
        self._buffer = b""
        try:
            self.facts = self._answer(LOAD_LIMIT)
        except BaseException:
            self.close()
            raise

    def ask(self, what: str, **details: Any) -> dict[str, Any]:
        """Send a request, give the answer."""
        line = json.dumps({"do": what, **details}) + "\n"
        requests = child_process.pipe(self._process.stdin)
        try:
            requests.write(line.encode())
            requests.flush()
        except BrokenPipeError:
            raise UserError(self._last_words()) from None
        return self._answer(ANSWER_LIMIT if what == "run" else LOAD_LIMIT)

    def freeze(self) -> None:
        """Stop all of its threads where they are: none spins while another runtime is timed."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, limit: float) -> dict[str, Any]:
        answers = child_process.pipe(self._process.stdout)
        end = time.monotonic() + limit
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([answers], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise UserError(f"no answer in {limit:.0f} s")
            more = os.read(answers.fileno(), 1 << 20)
            if not more:
                raise UserError(self._last_words())
            self._buffer += more
        line, self._buffer = self._buffer.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise UserError(" ".join(answer["error"].split())[:300])
        return answer

    def _last_words(self) -> str:
        """How it ended, with the last line it wrote to standard error."""
        code = self._process.wait()
        self._errors.seek(0)
        said = error_text.last_words(self._errors.read().decode(errors="replace"))
        return f"{error_text.exit_name(code)}: {said or 'no message'}"


def _python(peer: Peer) -> Path:
    hidden = peer.hidden and peer.environment != PROJECT
    return libraries.python(peer.environment) if hidden else environments.python(peer.environment)


def _variables(peer: Peer, threads: int, cpus: Sequence[int]) -> dict[str, str]:
    kept = {key: text for key, text in os.environ.items() if not key.startswith(DROPPED)}
    hiding = {"LD_PRELOAD": str(libraries.preloaded())} if peer.hidden else {}
    return (
        kept
        | hiding
        | {
            "VARIANT": peer.variant,
            "CPUS": ",".join(str(cpu) for cpu in cpus),
            "OMP_NUM_THREADS": str(threads),
            "PYTHONPATH": environments.SOURCES,
            "TORCHINDUCTOR_CACHE_DIR": str(cache_dir("peers", "inductor")),
        }
    )
