# SPDX-License-Identifier: Apache-2.0
"""The verbs report (artifacts as one HTML page) and completion (a script for the shell)."""

from pathlib import Path

import click
from click.shell_completion import get_completion_class

from mnc.compile import api
from mnc.compile.cli import complete
from mnc.compile.cli.common import as_json_option, console, logs_option, print_json
from mnc.support.errors import UserError

SHELLS = {
    "bash": "mnc completion bash > ~/.local/share/bash-completion/completions/mnc",
    "zsh": 'mnc completion zsh > "${fpath[1]}/_mnc"',
    "fish": "mnc completion fish > ~/.config/fish/completions/mnc.fish",
}


@click.command()
@click.argument(
    "folders",
    metavar="[ARTIFACT]...",
    nargs=-1,
    type=click.Path(path_type=Path),
    shell_complete=complete.artifacts,
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("report.html"),
    show_default=True,
    help="The page.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    multiple=True,
    help="Thread count to time with; may be given again. [default: 1 and all cores]",
)
@click.option(
    "--run/--no-run", default=True, show_default=True, help="Run what this machine can run."
)
@click.option(
    "--before",
    is_flag=True,
    help="Also build and time what there was before tuning: TVM as it comes, and mnc with no log.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1),
    default=3.0,
    show_default=True,
    help="Timing of each contestant.",
)
@logs_option
@as_json_option
def report(
    folders: tuple[Path, ...],
    out: Path,
    threads: tuple[int, ...],
    run: bool,
    before: bool,
    seconds: float,
    logs: Path,
    as_json: bool,
) -> None:
    """Show artifacts side by side on one HTML page.

    Layers under the roofline, tuning curves, before and after, failures, parity, the machine. Artifacts of
    this machine are run for it; of others, manifest and log are shown. Without ARTIFACT: all under build/.
    """
    gathered = api.report(
        folders,
        out,
        threads=threads,
        run=run,
        before=before,
        seconds=seconds,
        logs=logs,
    )
    if as_json:
        print_json(gathered)
    else:
        console.result(str(out))


@click.command(
    epilog="\b\n" + "\n".join(f"{shell:5} {line}" for shell, line in SHELLS.items()),
)
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that completes verbs, models and targets.

    Put it where the shell looks for such scripts:
    """
    found = get_completion_class(shell)
    if found is None:  # cannot be: SHELLS are those that click knows
        raise UserError(f"there is no completion for {shell}")
    console.result(found(context.find_root().command, {}, "mnc", "_MNC_COMPLETE").source())


VERBS = (report, completion)
