# SPDX-License-Identifier: Apache-2.0
"""What is said of a runtime that races and of how its model file is made.

Data only. A new runtime is an entry in float_peers.py or integer_peers.py, a module in workers/, a script in
convert/ and a list of pinned packages in requirements/.
"""

from dataclasses import dataclass
from pathlib import Path

from mnc.model.names import Precision

PROJECT = "project"  # the environment that `make setup` makes


@dataclass(frozen=True)
class Recipe:
    """A script of convert/ that makes `files` of a `precision`, after those it `needs`.

    `takes_model` scripts get the model's name and the precision; `tuned_by` names the records of a search,
    without which there is nothing to make. `fresh` ones are made again in every race.
    """

    name: str
    environment: str
    files: tuple[str, ...]
    needs: tuple[str, ...] = ("exchange",)
    takes_model: bool = False
    fresh: bool = False
    tuned_by: str | None = None
    script: str = ""
    precision: Precision = "float32"


@dataclass(frozen=True)
class Peer:
    """A runtime under test. `setting` says how it is run, `packages` which installed packages an
    application would ship with it, `files` what of its precision's folder. A `hidden` one is told of no
    AVX-512, AVX-VNNI or AMX (`hiding`).
    """

    key: str
    title: str
    setting: str
    environment: str
    worker: str
    recipe: str
    files: tuple[str, ...]
    packages: tuple[str, ...]
    variant: str = ""
    precision: Precision = "float32"
    hidden: bool = False


def home(folder: Path, precision: Precision) -> Path:
    """Where files of a precision are within the folder of a model's files."""
    return folder if precision == "float32" else folder / precision
