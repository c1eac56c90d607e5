# SPDX-License-Identifier: Apache-2.0
"""`python -m bench`: the race, from nothing to docs/benchmarks/<date>-<cpu>/."""

import contextlib
import datetime
import sys
from dataclasses import replace
from pathlib import Path

import click

from bench import environments, machine, page, peers, picture, results
from bench.peer import Peer
from bench.race import contest
from bench.recipes import ModelFiles
from bench.results import Contest, Race
from mnc.model.names import Precision
from mnc.support.errors import UserError
from mnc.targets import Target, load, topology

MODELS = (
    "mobilenet_v1_1.0_224,mobilenet_v1_0.5_160,mobilenet_v1_0.25_128,mobilenet_v2_1.0_224,"
    "mobilenet_v3_large_1.0_224,mobilenet_v4_conv_small_1.0_224"
)
AVX2 = Path(__file__).parent / "hiding" / "avx2.toml"
HIDDEN = "AVX-512, AVX-VNNI and AMX"
DOCS = Path(__file__).parents[1] / "docs" / "benchmarks"


def say(text: str) -> None:
    """Progress, on standard error."""
    click.echo(text, err=True)


@click.command()
@click.option("--models", default=MODELS, show_default=True, help="Networks, comma-separated.")
@click.option("--threads", default="1,2", show_default=True, help="Thread counts.")
@click.option("--rounds", type=click.IntRange(min=1), default=30, show_default=True)
@click.option(
    "--precision", type=click.Choice(["float32", "int8"]), default="float32", show_default=True
)
@click.option("--peers", "keys", help="Runtimes, comma-separated; all by default.")
@click.option(
    "--tune",
    "trials",
    type=click.IntRange(min=1),
    metavar="TRIALS",
    help="First search with AutoTVM and MetaSchedule, TRIALS a task: hours. Found schedules are kept.",
)
@click.option(
    "--avx2",
    is_flag=True,
    help="As on a CPU without AVX-512, AVX-VNNI and AMX: nobody is told of them.",
)
@click.option("--prepare", is_flag=True, help="Make environments and model files, and stop.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the results.  [default: docs/benchmarks/<date>-<cpu>[-int8]]",
)
def main(
    models: str,
    threads: str,
    rounds: int,
    precision: Precision,
    keys: str | None,
    trials: int | None,
    avx2: bool,
    prepare: bool,
    out: Path | None,
) -> None:
    """Race this project's MobileNets against other runtimes on this machine."""
    target = load(str(AVX2) if avx2 else "host")
    chosen = tuple(replace(peer, hidden=avx2) for peer in peers.find(keys, precision))
    counts = (
        [] if prepare else _counts(threads)
    )  # preparing may go on in a corner, on one processor
    started = _now()
    every = [_model_files(name.strip(), target, chosen, trials) for name in models.split(",")]
    if prepare:
        return
    name = f"{started[:10]}-{target.model.removeprefix('x86-')}"
    folder = out or DOCS / (name if precision == "float32" else f"{name}-{precision}")
    folder.mkdir(parents=True, exist_ok=True)
    contests: list[Contest] = []
    for files, macs in every:
        for number in counts:
            say(f"{files.model}, {page.count(number)}")
            contests.append(_contest(files, macs, target, precision, chosen, number, rounds))
            settings = {peer.key: _setting(peer, [one for one, _ in every]) for peer in chosen}
            _write(
                folder, started, target, precision, chosen, settings, contests
            )  # an interrupted race keeps these
    click.echo(str(folder))


def _model_files(
    name: str, target: Target, chosen: tuple[Peer, ...], trials: int | None
) -> tuple[ModelFiles, int]:
    """(all model files that could be made, multiply-adds)."""
    from mnc.model import cost, zoo

    network = zoo.load(name)
    files = ModelFiles(
        network.name,
        network.weights_hash,
        target.model,
        say,
        target=str(AVX2) if chosen[0].hidden else "host",
    )
    if trials:
        files.tune(trials)
    for peer in chosen:
        files.make(peer.recipe)
        with contextlib.suppress(UserError):  # said where the runtime is left out
            environments.python(peer.environment)
    for recipe, why in files.failures.items():
        say(f"{name}: no {recipe}: {why}")
    return files, cost.cost(network.module, network.input_shape).multiply_adds


def _contest(
    files: ModelFiles,
    macs: int,
    target: Target,
    precision: Precision,
    chosen: tuple[Peer, ...],
    threads: int,
    rounds: int,
) -> Contest:
    from mnc.compile.machine.peaks import figures
    from mnc.compile.machine.roofs import integer_ratio

    cpus = topology.usable_cpus()[:threads]
    peak = figures(target, threads).gflops  # `mnc machine` measures it; a quiet machine is best
    peak *= 1.0 if precision == "float32" else integer_ratio(target)
    entries, busy = contest(
        chosen,
        files.folder,
        failures=files.failures,
        threads=threads,
        cpus=cpus,
        rounds=rounds,
        say=say,
    )
    return Contest(
        model=files.model,
        weights_hash=files.weights_hash,
        threads=threads,
        cpus=tuple(cpus),
        rounds=rounds,
        macs=macs,
        peak_gflops=peak,
        bound=2 * macs / (peak * 1e9),
        others_busy=busy,
        entries=entries,
    )


def _setting(peer: Peer, every: list[ModelFiles]) -> str:
    """How it is run, with the trials that its search made where it is tuned."""
    trials = {files.model: files.trials(peer.recipe) for files in every}
    known = [f"{count} for {model}" for model, count in trials.items() if count]
    return f"{peer.setting}; trials: {', '.join(known)}" if known else peer.setting


def _write(
    folder: Path,
    started: str,
    target: Target,
    precision: Precision,
    chosen: tuple[Peer, ...],
    settings: dict[str, str],
    contests: list[Contest],
) -> None:
    from mnc.compile.artifact.provenance import source

    state = source()
    race = Race(
        started=started,
        finished=_now(),
        commit=state.commit or "unknown",
        dirty=state.dirty,
        precision=precision,
        machine=machine.describe(target, hidden=HIDDEN if chosen[0].hidden else ""),
        settings=settings,
        titles={peer.key: peer.title for peer in chosen},
        contests=tuple(contests),
    )
    results.save(race, folder / "race.json")
    picture.draw(race, folder / "race.svg")
    (folder / "README.md").write_text(page.markdown(race, picture="race.svg"), encoding="utf-8")


def _counts(text: str) -> list[int]:
    """Thread counts in growing order, as many as there are processors at most."""
    available = len(topology.usable_cpus())
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= available for part in parts):
        raise UserError(f"--threads {text}: give numbers from 1 to {available}, as in 1,2")
    return sorted({int(part) for part in parts})


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


if __name__ == "__main__":
    try:
        main(prog_name="python -m bench")
    except UserError as error:
        say(f"error: {error}")
        sys.exit(2)
