# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.arm.published`: the core model against latencies that other runtimes published of real
boards.

Each row's runtime runs for real under the emulator, is priced on the row's core, clock and threads, and
compared. published.csv holds what was published, each row with its source: N is ncnn's benchmark/README.md
(commit a4d2ea1d, "of 2022" 08c2dacb, "of 2023" one of that year; the least of a run), X google/XNNPACK's
README (2022), P PaddlePaddle/Paddle-Lite's docs, T OAID/Tengine's benchmark/README.md, V TVM's of 2018, A
learn.arm.com. A single figure is good to perhaps 15 %. A row whose last column says what is in doubt of it is
shown and counts in no mean.
"""

import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

from bench.arm import runtimes
from bench.arm.comparison import Compared, Row, errors, gains, record, shown
from bench.arm.files import model_folder
from mnc.compile.cli.common import table
from mnc.support.errors import UserError
from mnc.support.files import write_atomic
from mnc.targets import Target, load

TABLE = Path(__file__).with_name("published.csv")
FILES = Path(__file__).with_name("boards")  # of boards that are priced on and no target of ours
NETWORKS = {
    "v1": "mobilenet_v1_1.0_224",
    "v2": "mobilenet_v2_1.0_224",
    "v3l": "mobilenet_v3_large_1.0_224",
}
# Which of our runtimes a row's runtime and precision is.
RUNTIMES = {
    ("ncnn", "f32"): "ncnn",
    ("ncnn", "fp16"): "ncnn-fp16",
    ("ncnn", "int8"): "ncnn-int8",
    ("XNNPACK", "f32"): "litert",
    ("XNNPACK", "int8"): "litert-int8",
    ("ExecuTorch", "f32"): "executorch",
    ("ExecuTorch", "int8"): "executorch-int8",
}
BOARDS: dict[str, str | Path] = {
    "Raspberry Pi 3B": "rpi3b",
    "Raspberry Pi 3B+": "rpi3b",
    "Raspberry Pi Zero 2 W": "rpi3b",
    "Raspberry Pi 4": "rpi4",
    "Raspberry Pi 5": "rpi5",
    "RK3399": "rk3399",
    "Pixel 2 / Snapdragon 835": "pixel2",
    "Kirin 970": "kirin970",
    "Khadas VIM3": FILES / "khadas_vim3.toml",
    "Snapdragon 855+": "snapdragon855",
    "RK3588": "rk3588",
    "Orange Pi 5 / RK3588S": "rk3588",
    "ROCK 3A / RK3568": FILES / "rk3568.toml",
    "Station P2 / RK3568": FILES / "rk3568.toml",
    "PYNQ": "pynq",
}
# For other boards that of one with the same core: caches and memory are then another's.
BY_CORE = {
    "cortex-a53": "rpi3b",
    "cortex-a55": "cortex_a55",
    "cortex-a72": "rpi4",
    "cortex-a73": "pixel2",
    "cortex-a76": "rpi5",
}

# Of such boards, where it is known: GB/s of all cores, and of one.
MEMORY = {
    # LPDDR3-1066 of 32 bits, 4.3 GB/s: of it the shares that a Pi 3's cores get of their 3.6 (LPDDR2-900).
    "Snapdragon 410": (3.3, 2.6),
}


@dataclass(frozen=True)
class Choice:
    """Which rows: texts that the board's name holds, runtimes, precisions; empty for all."""

    boards: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()

    def takes(self, row: Row) -> bool:
        """Whether it is one of them."""
        named = not self.boards or any(one.lower() in row.board.lower() for one in self.boards)
        known = zip(
            (self.runtimes, self.precisions, self.networks),
            (row.runtime, row.precision, row.network),
            strict=True,
        )
        return named and all(not wanted or value in wanted for wanted, value in known)


def rows(path: Path = TABLE) -> tuple[Row, ...]:
    """The table; UserError names a line that cannot be read."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return tuple(
                msgspec.convert(one, Row, strict=False) for one in csv.DictReader(file, restval="")
            )
    except (OSError, msgspec.ValidationError) as error:
        raise UserError(
            f"cannot read {path}: {error}; its columns are those of {TABLE.name}"
        ) from error


def target_of(row: Row) -> Target:
    """The row's board: a target file's, with the row's clock and count of cores. UserError for an unknown
    core.
    """
    name = BOARDS.get(row.board) or BY_CORE.get(row.core)
    if name is None:
        raise UserError(f"no target has a {row.core}")
    target = load(name)
    alike = [one for one in target.cores if one.cpu == row.core]
    fast = msgspec.structs.replace((alike or target.cores)[0], clock_ghz=row.ghz, count=row.cores)
    memory = target.memory
    if row.board in MEMORY:
        every, one = MEMORY[row.board]
        memory = msgspec.structs.replace(memory, bandwidth_gb_s=every, core_bandwidth_gb_s=one)
    others = (one for one in target.cores if one.name != fast.name)
    return msgspec.structs.replace(target, cores=(fast, *others), memory=memory)


def compare(row: Row) -> Compared:
    """Run and price one row."""
    key = RUNTIMES.get((row.runtime, row.precision))
    if key is None:
        return Compared(row, why="not run: no AArch64 wheel of it in these settings")
    try:
        runtime = runtimes.find(key)
        folder = model_folder(NETWORKS[row.network], runtime)
        found = runtimes.price(runtime, folder, target_of(row), threads=row.threads)
    except UserError as error:
        return Compared(row, why=str(error))
    remark = "" if row.board in BOARDS or row.board in MEMORY else "memory of another board"
    return Compared(row, found.milliseconds, found.trace.unknown_share, remark=remark)


@click.command()
@click.option(
    "--board", "boards", multiple=True, help="Part of a board's name; may be given again."
)
@click.option("--runtime", "wanted", multiple=True, help="ncnn, XNNPACK ...")
@click.option("--precision", "precisions", multiple=True, help="f32, fp16, int8")
@click.option("--network", "networks", multiple=True, help="v1, v2, v3l")
@click.option(
    "--rows",
    "path",
    type=click.Path(path_type=Path),
    default=TABLE,
    help="A table of other boards.",
)
@click.option(
    "--record",
    "recording",
    is_flag=True,
    help="Keep them: simulated totals have their ranges from these.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write rows as JSON.")
def main(
    boards: tuple[str, ...],
    wanted: tuple[str, ...],
    precisions: tuple[str, ...],
    networks: tuple[str, ...],
    path: Path,
    recording: bool,
    out: Path | None,
) -> None:
    """Predict what other runtimes published of real boards, and print by how much the model is off."""
    choice = Choice(boards, wanted, precisions, networks)
    try:
        compared = []
        for row in filter(choice.takes, rows(path)):
            compared.append(compare(row))
            click.echo(
                " ".join(str(value) for value in next(shown(compared[-1:])).values()), err=True
            )
            if recording:  # an interrupted run keeps these
                record(compared[-1:])
            if out is not None:
                write_atomic(out, msgspec.json.format(msgspec.json.encode(compared), indent=1))
    except UserError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    table(list(shown(compared)), as_json=False)
    for summary in (errors(compared), gains(compared)):
        table(summary, as_json=False)


if __name__ == "__main__":
    main()
