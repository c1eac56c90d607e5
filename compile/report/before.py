# SPDX-License-Identifier: Apache-2.0
"""What the network took before: the same model built by TVM as it comes, and by us with no log.

Takes an artifact's manifest; gives libraries, built apart once and cached, and callables that run them.
TVM as it comes needs a process of its own, one that our templates were never registered in.
"""

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mnc.compile.artifact import provenance
from mnc.compile.artifact.manifest import Manifest
from mnc.support import child_process, error_text
from mnc.support.errors import UserError
from mnc.support.files import cache_dir

STOCK, UNTUNED = "TVM as it comes", "mnc untuned"
KINDS = (STOCK, UNTUNED)


def rivals(manifest: Manifest, inputs: tuple[Any, ...], threads: int) -> dict[str, Any]:
    """A callable for each way of building that gives one inference on `threads` threads."""
    kinds = KINDS if any(kernel.tuned for kernel in manifest.kernels) else (STOCK,)
    return {kind: _caller(library(manifest, kind), manifest, inputs, threads) for kind in kinds}


def library(manifest: Manifest, kind: str) -> Path:
    """The library, from the cache or built now (half a minute). UserError when it cannot be."""
    network, versions = manifest.network, manifest.versions
    shape = "x".join(map(str, manifest.inputs[0].shape))
    identity = (kind, network.spec, network.weights_hash, shape, manifest.target.tvm_target)
    commit = provenance.source().commit if kind == UNTUNED else ""
    digest = hashlib.sha256(repr((*identity, versions.tvm, versions.llvm, commit)).encode())
    path = cache_dir("before") / f"{digest.hexdigest()[:32]}.so"
    if not path.is_file():
        command = child_process.python(__name__, kind, network.spec, shape, str(path))
        done = subprocess.run(
            command, env=child_process.environment(), capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            said = error_text.last_words(done.stderr) or error_text.exit_name(done.returncode)
            raise UserError(f"{kind} cannot be built: {said}")
    return path


def _caller(
    path: Path, manifest: Manifest, inputs: tuple[Any, ...], threads: int
) -> Callable[[], object]:
    import tvm

    from mnc.compile.runtime.session import use_threads

    graph = tvm.runtime.load_module(str(path))["default"](tvm.cpu(0))
    buffers = [graph["get_input"](tensor.name) for tensor in manifest.inputs]
    run, output = graph["run"], graph["get_output"]

    def call() -> object:  # all that Session.run does as well
        use_threads(threads)
        for buffer, array in zip(buffers, inputs, strict=True):
            buffer.copyfrom(array)
        run()
        return output(0).numpy()

    return call


def factory(kind: str, spec: str, shape: tuple[int, ...]) -> Any:
    """The executor factory of a zoo model, built for this machine."""
    import tvm
    from tvm import relay

    from mnc.compile.toolchain import pass_context
    from mnc.model import prepare, zoo
    from mnc.targets import load

    model = zoo.load(spec, input_shape=shape, batch=shape[0])
    target = load("host")
    if kind == UNTUNED:
        from mnc.compile.codegen import network as builder

        return builder.build(model, target).factory
    mod, params = relay.frontend.from_pytorch(prepare.trace(model), [("input", shape)])
    with pass_context.pass_context():
        return relay.build(mod, target=tvm.target.Target(target.tvm_target()), params=params)


def main() -> None:
    """The building process: kind, spec, shape and the library's path as arguments."""
    from mnc.compile.toolchain.linker import link_library
    from mnc.targets import load

    kind, spec, shape, path = sys.argv[1:]
    built = factory(kind, spec, tuple(int(part) for part in shape.split("x")))
    with tempfile.TemporaryDirectory(dir=Path(path).parent) as scratch:
        made = Path(scratch) / "library.so"
        link_library(built, made, load("host"))
        made.replace(path)


if __name__ == "__main__":
    main()
