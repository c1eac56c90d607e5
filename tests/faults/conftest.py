# SPDX-License-Identifier: Apache-2.0
"""The command line as people call it, an artifact to damage, and how often to try.

MNC_FAULTS=N makes N kills of each kind and 10 N fuzzed files of each kind; `make test-faults` sets it.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, settings

from mnc.compile import api, cli
from mnc.compile.artifact.store import Artifact
from mnc.model.preprocess import Preprocess
from tests.compile.conftest import Tiny, tiny

__all__ = ["KILLS", "MANY", "Said", "tiny"]

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("MNC_FAULTS", "3"))
# Every one goes through the whole command line.
MANY = settings(
    max_examples=10 * int(os.environ.get("MNC_FAULTS", "4")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
SMALL = Preprocess(size=16, resize=16, mean=(0.5,) * 3, scale=(1.0,) * 3)


@dataclass(frozen=True)
class Said:
    """What a command line came to."""

    status: int
    out: str
    err: str

    def check(self) -> "Said":
        """Clean: it worked, or it said in one line (two for a usage error) what was wrong."""
        assert self.status in {0, 1, 2}, self
        assert "Traceback" not in self.out + self.err, self.err
        errors = [line for line in self.err.splitlines() if "rror" in line.split(" ")[:2][-1]]
        if self.status == 1 and "compared with" not in self.out:
            assert self.err.count("mnc: error: ") == 1 and len(errors) <= 1, self.err
            assert len(self.err) < 2000
        return self


Mnc = Callable[..., Said]


@pytest.fixture
def mnc(capfd: pytest.CaptureFixture[str]) -> Mnc:
    """Carry out a command line in this process: what is not caught fails the test."""

    def call(*words: str | Path) -> Said:
        capfd.readouterr()
        status = cli.run([str(word) for word in words])
        return Said(status, *capfd.readouterr()).check()

    return call


def start(*words: str | Path) -> "subprocess.Popen[bytes]":
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "mnc", *(str(word) for word in words)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture
def small(tiny: Tiny, tmp_path: Path) -> Artifact:
    """A real artifact that takes photographs."""
    manifest = msgspec.structs.replace(tiny.manifest, preprocess=SMALL)
    return Tiny(tiny.module, tiny.library, manifest, tiny.golden).save(tmp_path / "small ü")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The 28x28 network, compiled without a log. Not to be changed."""
    folder = tmp_path_factory.mktemp("built")
    return api.build("mobilenet_v1_28", out=folder / "build", logs=folder / "logs")


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    folder = tmp_path / "full disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "mnc", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, check=False).returncode != 0:
        pytest.skip("this container may not mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
