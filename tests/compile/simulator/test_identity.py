# SPDX-License-Identifier: Apache-2.0
"""The core model's name in logs: it follows what prices a kernel, and nothing else."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from mnc.compile.records.tuning_log import TuningLog
from mnc.compile.simulator import identity
from mnc.targets import Target, load, pipeline_of

ROOT = Path(__file__).parents[3]
SIMULATED = (
    *("arm", "armv7", "cortex_a55", "kirin970", "pixel2", "pynq", "rk3399", "rk3588"),
    *("rpi3b", "rpi4", "rpi5", "ultra96"),
)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the simulator's sources."""
    folder = tmp_path / "simulator"
    shutil.copytree(identity.HERE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text, f"{path.name} no longer holds {old!r}: adapt the test"
    path.write_text(text.replace(old, new), "utf-8")


def rename_a_module(folder: Path) -> None:
    rename(folder, "relocate", "moved")


def rename_a_module_used_by_its_name(folder: Path) -> None:
    rename(folder, "native", "c_library")


def rename(folder: Path, old: str, new: str) -> None:
    """A module, wherever it is imported and used."""
    (found,) = folder.rglob(f"{old}.py")
    found.rename(found.with_stem(new))
    for path in folder.rglob("*.py"):
        path.write_text(re.sub(rf"\b{old}\b", new, path.read_text("utf-8")), "utf-8")


def rename_a_c_file(folder: Path) -> None:
    (found,) = folder.rglob("branches.c")
    found.rename(found.with_stem("guesses"))
    (unit,) = folder.rglob("pipeline.c")
    edit(unit, '"branches.c"', '"guesses.c"')


def change_words(folder: Path) -> None:
    edit(folder / "simulate.py", '"""What a kernel costs', '"""What, then, a kernel costs')
    (memory,) = folder.rglob("memory.c")
    memory.write_text(f"/* Another word. */\n\n{memory.read_text('utf-8')}", "utf-8")


def move_a_definition(folder: Path) -> None:
    edit(folder / "simulate.py", "WINDOW = 5_000  # instructions in a row\n", "")
    with (folder / "estimate.py").open("a") as file:
        file.write("\n\nWINDOW = 5_000\n")


FORM = (
    rename_a_module,
    rename_a_module_used_by_its_name,
    rename_a_c_file,
    change_words,
    move_a_definition,
)


@pytest.mark.parametrize("change", FORM, ids=lambda change: str(change.__name__))
def test_the_form_of_the_code_is_not_in_the_name(
    sources: Path, change: Callable[[Path], None]
) -> None:
    change(sources)
    assert identity.code(sources) == identity.code()


MEANING = (
    ("simulate.py", "WINDOW = 5_000", "WINDOW = 5_001"),
    ("estimate.py", "timed > 0", "timed >= 0"),
    ("pipeline.h", "CALENDAR = 64", "CALENDAR = 65"),
    ("memory.c", "return", "return 1 +"),
)


@pytest.mark.parametrize(("file", "old", "new"), MEANING)
def test_what_prices_is_in_the_name(sources: Path, file: str, old: str, new: str) -> None:
    (path,) = sources.rglob(file)
    edit(path, old, new)
    assert identity.code(sources) != identity.code()


def test_a_latency_of_the_core_is_in_the_name() -> None:
    target = load("rk3399")
    pipeline = pipeline_of(target.fast)
    other = msgspec.structs.replace(pipeline, mispredict_cycles=pipeline.mispredict_cycles + 1)
    big = msgspec.structs.replace(target.fast, pipeline=other)
    changed: Target = msgspec.structs.replace(target, cores=(big, *target.cores[1:]))
    assert identity.identity(changed) != identity.identity(target)


def test_a_price_of_integer_kernels_is_in_the_names_of_those_alone() -> None:
    target = load("rk3399")
    pipeline = pipeline_of(target.fast)
    other = msgspec.structs.replace(pipeline, integers={})
    told, untold = (
        msgspec.structs.replace(
            target, cores=(msgspec.structs.replace(target.fast, pipeline=one), *target.cores[1:])
        )
        for one in (pipeline, other)
    )
    assert identity.identity(told) == identity.identity(untold)
    names = {identity.identity(one, precision="int8") for one in (told, untold)}
    assert len(names) == 2
    assert all(identity.fingerprint("int8") in name for name in names)


@pytest.mark.parametrize("name", SIMULATED)
def test_the_committed_logs_carry_the_current_name(name: str) -> None:
    """Else no new trial compares with them. After a change of costs tune anew; after one of form alone, see
    `identity.NAMES`.
    """
    target = load(name)
    log = ROOT / "tuning_logs" / name / "mobilenet_v1_1.0_224.jsonl"
    trials = TuningLog.open(log, exclusive=False, target=target.tvm_target()).trials
    assert {trial.measurer.split(" cold ")[0] for trial in trials} == {
        f"simulated {identity.identity(target)}"
    }, f"the code's hash is {identity.code()}"
