# SPDX-License-Identifier: Apache-2.0
"""What a shell offers for a word: models, targets, artifacts. Nothing slow is imported for it.

Functions as click's `shell_complete` wants them: context, parameter and the beginning of the word.
"""

import click
from click.shell_completion import CompletionItem

from mnc.compile import api


def models(_: click.Context, __: click.Parameter, start: str) -> list[CompletionItem]:
    """The zoo's names, and files for networks of one's own."""
    return _matching(api.model_names(), start) or [CompletionItem(start, type="file")]


def targets(_: click.Context, __: click.Parameter, start: str) -> list[CompletionItem]:
    """Target names, and files for targets of one's own."""
    return _matching(api.target_names(), start) or [CompletionItem(start, type="file")]


def artifacts(_: click.Context, __: click.Parameter, start: str) -> list[CompletionItem]:
    """The artifacts under build/, and any folder."""
    built = [str(folder) for folder in api.artifact_folders()]
    return _matching(built, start) or [CompletionItem(start, type="dir")]


def _matching(names: tuple[str, ...] | list[str], start: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(start)]
