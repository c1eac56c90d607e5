# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.core_model LOGS...`: what `make validate-model` runs.

Takes logs of boards, or folders of them; prints tables, and writes them as JSON with --out.
"""

import sys
from pathlib import Path

import click
import msgspec

from bench.core_model import records, report, selection
from bench.core_model.boards import device_of
from bench.core_model.replay import FailedReplay, Prediction, ReplayOutcome, replay
from bench.core_model.summary import ValidationSummary, summarise
from mnc.support.errors import UserError
from mnc.support.files import write_atomic


class ValidationResult(msgspec.Struct, frozen=True):
    """The file that --out writes."""

    summaries: tuple[ValidationSummary, ...]
    outcomes: tuple[ReplayOutcome, ...]


@click.command()
@click.argument("logs", nargs=-1, type=click.Path(path_type=Path))
@click.option("--board", help="only the board that the logs call this")
@click.option(
    "--all", "everything", is_flag=True, help="every convolution of the logs, not only MobileNet's"
)
@click.option(
    "--worst", type=click.IntRange(0), default=0, help="list so many of the worst predictions"
)
@click.option("--jobs", type=click.IntRange(1), help="processes; one for each core by default")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="write the result as JSON"
)
def main(
    logs: tuple[Path, ...],
    board: str | None,
    everything: bool,
    worst: int,
    jobs: int | None,
    out: Path | None,
) -> None:
    """Compare the simulator's costs with those that boards measured, from their tuning LOGS."""
    try:
        result = validate(logs, board=board, everything=everything, worst=worst, jobs=jobs)
        if out is not None:
            write_atomic(out, msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    except UserError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)


def validate(
    logs: tuple[Path, ...],
    *,
    board: str | None,
    everything: bool,
    worst: int,
    jobs: int | None,
) -> ValidationResult:
    """Replay the logs board by board and print each as it is done. Raises UserError."""
    read = _known(records.read_logs(logs, tell=_leave_out))
    for log in read:
        kept = f"{log.path.name}: {len(log.records)} records of {log.model}"
        click.echo("; ".join([kept, *(f"{count} {why} left out" for why, count in log.left_out)]))
    boards = selection.cases_of(read, everything=everything)
    if board is not None:
        if board not in boards:
            raise UserError(f"no record of board {board}; the logs hold {', '.join(boards)}")
        boards = {board: boards[board]}
    summaries, outcomes = [], []
    for model, cases in boards.items():
        try:
            some = replay(cases, jobs=jobs, tell=_tell)
        except UserError as error:
            if len(boards) == 1:
                raise
            _leave_out(str(error))
            continue
        outcomes += some
        summary = summarise(model, device_of(model).name, some)
        if summary is None:
            click.echo(f"{model}: nothing could be priced: {_first_reason(some)}")
            continue
        summaries.append(summary)
        click.echo("")
        _show(summary, [one for one in some if isinstance(one, Prediction)], worst)
    click.echo(f"\n{report.FITTED}")
    return ValidationResult(tuple(summaries), tuple(outcomes))


def _known(logs: tuple[records.BoardLog, ...]) -> list[records.BoardLog]:
    """The logs whose boards have a target; the others are named. UserError when none has."""
    known, unknown = [], {}
    for log in logs:
        try:
            device_of(log.model)
            known.append(log)
        except UserError as error:
            unknown[log.model] = error
    if not known:
        raise next(iter(unknown.values()))
    for why in unknown.values():
        _leave_out(str(why))
    return known


def _leave_out(why: str) -> None:
    click.echo(f"left out: {why}")


def _first_reason(outcomes: list[ReplayOutcome]) -> str:
    return next(
        (one.why for one in outcomes if isinstance(one, FailedReplay)), "it has no such record"
    )


def _show(summary: ValidationSummary, predictions: list[Prediction], worst: int) -> None:
    for line in report.board_lines(summary):
        click.echo(line)
    scale = summary.methods[0].scale
    for line in report.worst_lines(predictions, scale=scale, count=worst):
        click.echo(line)


def _tell(done: int, whole: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{done} of {whole} configs priced", err=True, nl=done == whole)


if __name__ == "__main__":
    main()
