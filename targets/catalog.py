# SPDX-License-Identifier: Apache-2.0
"""Targets by name: the TOML files beside this module, or a file of the user's.

`load` gives a checked `Target` or a UserError that names the file and the field; `rows` is the
table behind `mnc targets`.
"""

import difflib
import platform
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from mnc.support.errors import UserError
from mnc.targets import host, llvm
from mnc.targets.host_file import ARM_HOST, HOST, HostFile, OtherArchitectureError
from mnc.targets.kernel_files import ROOT
from mnc.targets.pipeline import Operation, Pipeline, Prefetcher, Stores, Translation
from mnc.targets.target import Cache, CoreClass, Memory, Target

FOLDER = Path(__file__).parent
MAX_BYTES = 1 << 20
HOW_TO_ADD = "to add a device, copy the nearest one to a new file and pass its path"
KINDS = (Cache, CoreClass, Memory, Operation, Pipeline, Prefetcher, Stores, Target, Translation)
FIELDS = sorted({name for kind in KINDS for name in kind.__struct_fields__})


class TargetRow(msgspec.Struct, frozen=True):
    """One line of `mnc targets`; `peak_gflops` is of all fast cores, None without a clock."""

    name: str
    cores: str
    mcpu: str
    vector_bits: int
    peak_gflops: float | None
    description: str


def names() -> tuple[str, ...]:
    """Every target that has a file here, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def load(name_or_path: str | Path) -> Target:
    """The target called `name_or_path`, or read from that path (has a / or ends in .toml).

    `host` is the machine this runs on, by its name here: `x86` where that describes it. Raises UserError.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or "/" in text or text.endswith(".toml"):
        return _load_user_file(Path(name_or_path))
    if text == HOST:
        return this_machine()
    if text not in names():
        close = difflib.get_close_matches(text, names(), n=1, cutoff=0.5)
        hint = f", did you mean {close[0]}?" if close else "."
        raise UserError(
            f"unknown target {text!r}{hint} Known: {HOST}, {', '.join(names())}; {HOW_TO_ADD}"
        )
    return read(FOLDER / f"{text}.toml")


def this_machine(*, machine: str | None = None, root: Path = ROOT) -> Target:
    """The machine this runs on: by a board's own file where it is that, else by what it says of itself.

    `machine` and `root` describe another one, as in `host.host_target`.
    """
    machine = machine or platform.machine()
    if machine == "x86_64":
        return _of_host(_parse(FOLDER / "x86.toml"), machine, root)
    if machine != "aarch64":
        raise OtherArchitectureError(
            f"{HOST} is a {machine} machine, and only x86-64 and aarch64 ones are described; name a target "
            "of `mnc targets`"
        )
    boards = (read(path) for path in sorted(FOLDER.glob("*.toml")) if path.stem != "x86")
    return host.board_target(boards, root=root) or host.host_target(
        ARM_HOST, machine=machine, root=root
    )


def is_this_machine(target: Target) -> bool:
    """Whether code for `target` is code for the machine this runs on, so that it is timed and linked here."""
    try:
        here = this_machine()
        return (here.model, here.triple) == (target.model, target.triple)
    except OtherArchitectureError:
        return False


def read(path: Path) -> Target:
    """The target a TOML file describes. Raises UserError naming the file and the field."""
    data = _parse(path)
    try:
        if data.get("mcpu") == HOST:
            return _of_host(data, None, ROOT)
        target = msgspec.convert(data, Target)
    except msgspec.ValidationError as error:
        raise UserError(f"{path}: {_explain(str(error))}") from error
    peaks = [core.peak_gflops() or 0.0 for core in target.cores]
    if peaks != sorted(peaks, reverse=True):
        raise UserError(f"{path}: cores must list the fastest class first")
    return target


def rows() -> list[TargetRow]:
    """One row a target that can be described on this machine (x86 only on an x86 host); `host` first."""
    table = []
    for name in (HOST, *names()):
        try:
            table.append(_row(name, load(name)))
        except OtherArchitectureError:
            continue
    return table


def _of_host(data: dict[str, Any], machine: str | None, root: Path) -> Target:
    return host.host_target(msgspec.convert(data, HostFile), machine=machine, root=root)


def _row(name: str, target: Target) -> TargetRow:
    fast = target.fast
    return TargetRow(
        name=name,
        cores=" + ".join(_cores_text(core) for core in target.cores),
        mcpu=target.mcpu,
        vector_bits=fast.vector_bits,
        peak_gflops=fast.peak_gflops(fast.count),
        description=target.description if name == target.name else f"{target.name}, this machine",
    )


def _cores_text(core: CoreClass) -> str:
    clock = "" if core.clock_ghz is None else f" {core.clock_ghz:g} GHz"
    return f"{core.count}x {core.cpu}{clock}"


def _load_user_file(path: Path) -> Target:
    """A user's file names a CPU that LLVM knows, and may not pass for a known device: their tuning records
    would be mixed up.
    """
    target, data = read(path), _parse(path)
    try:
        llvm.check_cpu(target)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    if target.name == HOST:
        raise UserError(f"{path}: {HOST!r} is what this machine is called; give your device a name")
    for other in names():
        known = _parse(FOLDER / f"{other}.toml")
        if known == data:
            continue
        for field in ("name", "model"):
            if known.get(field) == getattr(target, field):
                raise UserError(
                    f"{path}: {field} {getattr(target, field)!r} is taken by target {other}; "
                    "give your device its own, so that their tuning logs stay apart"
                )
    return target


def _parse(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: over {MAX_BYTES} bytes; a target file is a page of TOML")
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    except RecursionError as error:
        raise UserError(f"{path}: invalid TOML: nested too deeply") from error


def _unreadable(path: Path, error: OSError | ValueError) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(f"no target file {path}; known targets: {', '.join(names())}")
    if isinstance(error, OSError):
        return UserError(f"cannot read {path}: {error.strerror}; give a TOML file")
    if isinstance(error, UnicodeDecodeError):
        return UserError(f"{path}: not UTF-8 text (byte {error.start}); give a TOML file")
    return UserError(f"{path}: invalid TOML: {error}")


def _explain(message: str) -> str:
    """msgspec's message on one line with plain field paths, a suggestion for a misspelt field."""
    text = "".join(c if c.isprintable() else "?" for c in message.replace("`$.", "`"))
    unknown = re.search(r"unknown field `([^`]*)`", text)
    if unknown is None:
        return text
    close = difflib.get_close_matches(unknown[1], FIELDS, n=1)
    return f"{text}; did you mean {close[0]}?" if close else f"{text}; known: {', '.join(FIELDS)}"
