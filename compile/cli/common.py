# SPDX-License-Identifier: Apache-2.0
"""What every verb shares: options, tables for people or JSON for programs, where logs and builds live."""

import contextlib
import functools
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import click
import msgspec
import rich.console
from rich.markup import escape
from rich.table import Table

from mnc.compile.api import LOGS, ModelSpec, Precision
from mnc.compile.cli import complete
from mnc.compile.cli.spinner import working
from mnc.support.errors import UserError

Shape = tuple[int, ...]
DEFAULT_MODEL = "mobilenet_v1_1.0_224"


class Console:
    """Results go to stdout, everything else to stderr. Both honour NO_COLOR and plain terminals."""

    def __init__(self) -> None:
        self.quiet = False

    def note(self, text: str) -> None:
        """Say how it goes; nothing under --quiet."""
        if not self.quiet:
            _rich(sys.stderr).print(text, markup=False, highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Say what the person should know even under --quiet."""
        _rich(sys.stderr).print(f"warning: {text}", style="yellow", markup=False, soft_wrap=True)

    def result(self, text: str) -> None:
        """Print what was asked for."""
        _rich(sys.stdout).print(text, markup=False, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def quietly(self, quiet: bool) -> Iterator[None]:
        """Be quiet, or not, for one command: a process may carry out several."""
        before, self.quiet = self.quiet, quiet
        try:
            yield
        finally:
            self.quiet = before

    @contextlib.contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Show on a terminal that this takes its time, and about how much; nothing under --quiet."""
        if self.quiet:
            yield
            return
        with working(text, _rich(sys.stderr)):
            yield

    @staticmethod
    def fail(text: str) -> None:
        """Print an error on one line."""
        line = " ".join(text.split())
        _rich(sys.stderr).print(f"mnc: error: {line}", style="red", markup=False, soft_wrap=True)


console = Console()


def _rich(file: Any) -> rich.console.Console:
    return rich.console.Console(file=file, highlight=False, emoji=False)


def table(rows: Sequence[dict[str, Any]], *, title: str = "", as_json: bool) -> None:
    """Print rows of the same keys: aligned columns, numbers to the right, or a JSON array."""
    if as_json:
        print_json(list(rows))
        return
    grid = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for name in rows[0] if rows else ():
        numeric = all(isinstance(row[name], int | float | None) for row in rows)
        grid.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(escape(cell(value)) for value in row.values()))
    terminal = _rich(sys.stdout)
    if not terminal.is_terminal:
        terminal = rich.console.Console(file=sys.stdout, width=200, highlight=False)
    terminal.print(grid)


def print_json(value: Any) -> None:
    """Print a value as JSON, indented."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def cell(value: Any) -> str:
    """A value as a table shows it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 0.1 else f"{value:,.2f}"
    return str(value)


def input_shapes(texts: Sequence[str]) -> tuple[Shape, ...] | dict[str, Shape] | None:
    """What --input-shape was given, once for each input: in order or all by name. UserError for a mixture."""
    named = {name.strip(): input_shape(text) for name, _, text in map(_by_name, texts) if name}
    if len(named) == len(texts):
        return named or None
    if named:
        raise UserError(
            "--input-shape names some inputs and not others, or one twice; name each once"
        )
    return tuple(input_shape(text) for text in texts)


def _by_name(text: str) -> tuple[str, str, str]:
    return text.partition("=") if "=" in text else ("", "", text)


def input_shape(text: str) -> Shape:
    """ "1,3,224,224" or "1x3x224x224" as numbers; UserError for anything else."""
    parts = [part.strip() for part in re.split(r"[,x]", text.strip("()[] "))]
    if not all(part.isdecimal() and 0 < int(part) < 2**31 for part in parts):
        raise UserError(f"--input-shape {text!r} is no shape; write it as 1,3,224,224")
    return tuple(int(part) for part in parts)


def numbers(
    _: click.Context, option: click.Parameter, text: str | None
) -> tuple[float, ...] | None:
    """An option's "0.5,0.5,0.5" or "0.5" as numbers; UserError for anything else."""
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(
            f"{option.opts[0]} {text!r} is no number; write it as 0.5 or 0.5,0.5,0.5"
        ) from None


def stack(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Several click options as one decorator, shown in the order given."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def threads_option(default: str) -> Callable[[Any], Any]:
    """--threads, None where it is not given: then `default`, in words, holds."""
    return click.option(
        "--threads", type=click.IntRange(min=1), help=f"CPU threads. [default: {default}]"
    )


as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
target_option = click.option(
    "--target",
    "target_name",
    default="host",
    show_default=True,
    metavar="TARGET",
    shell_complete=complete.targets,
    help="A target of `mnc targets`, or a target's TOML file.",
)
logs_option = click.option(
    "--logs",
    type=click.Path(path_type=Path, file_okay=False),
    default=LOGS,
    show_default="$MNC_LOGS; else a checkout's tuning_logs/, or tuning_logs/ here",
    help="Folder of your tuning logs.",
)
_network_options = stack(
    click.argument(
        "model_spec",
        metavar="[MODEL]",
        default=DEFAULT_MODEL,
        required=False,
        shell_complete=complete.models,
    ),
    click.option(
        "--model",
        "model_flag",
        metavar="MODEL",
        shell_complete=complete.models,
        help="The same as the argument.",
    ),
    click.option(
        "--weights",
        type=click.Path(path_type=Path),
        help="Trained weights to load: .pth or .safetensors.",
    ),
    click.option(
        "--input-shape",
        "shape_texts",
        metavar="[NAME=]N,C,H,W",
        multiple=True,
        help="Of a network of yours; again for each further input, in order or by name.",
    ),
    click.option(
        "--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Images at once."
    ),
)
_precision_option = click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="float32",
    show_default=True,
    help="Of weights and of maps between layers; fp16 and int8 are made of the trained network.",
)
_quantizing_options = stack(
    click.option(
        "--calibration",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="Pictures to take the ranges of fp16 and int8 from.  [default: those that packages bring]",
    ),
    click.option(
        "--keep-float",
        multiple=True,
        metavar="LAYER",
        help="Leave this layer of an fp16 or int8 network in float32; again for more.",
    ),
)


def model_options(function: Callable[..., Any]) -> Any:
    """Options that name a model; the verb gets them as `model`, a ModelSpec."""
    options = stack(_network_options, _precision_option, _quantizing_options)
    return options(_with_model(function))


def integer_model_options(function: Callable[..., Any]) -> Any:
    """As `model_options`, of a verb whose model is always in 8-bit integers."""
    return stack(_network_options, _quantizing_options)(_with_model(function))


def _with_model(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def verb(
        *context: click.Context,
        model_spec: str,
        model_flag: str | None,
        weights: Path | None,
        shape_texts: tuple[str, ...],
        batch: int,
        calibration: Path | None,
        keep_float: tuple[str, ...],
        precision: Precision = "int8",
        **others: Any,
    ) -> Any:
        shapes = input_shapes(shape_texts)
        if precision == "float32" and (calibration or keep_float):
            raise UserError(
                "--calibration and --keep-float are of --precision fp16 and int8: add one"
            )
        model = ModelSpec(
            model_flag or model_spec, weights, shapes, batch, precision, calibration, keep_float
        )
        return function(*context, model=model, **others)

    return verb
