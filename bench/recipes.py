# SPDX-License-Identifier: Apache-2.0
"""Model files for each runtime, all from one network, made by the scripts in convert/ and cached.

Takes a model's name; gives a folder, and for each recipe that failed the reason in one line.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bench import environments
from bench.peer import Recipe, home
from bench.peers import RECIPES
from mnc.support import error_text
from mnc.support.errors import UserError
from mnc.support.files import cache_dir

CONVERT = Path(__file__).parent / "convert"
MEASURED = "database_tuning_record.json"  # MetaSchedule's, a line a trial
FINISHED = "finished.txt"  # convert/relax_tvm.py writes it when all tasks have had their trials
LIMIT = 1800  # seconds a conversion may take; a search has no limit
KNOWN = {recipe.name: recipe for recipe in RECIPES}

Say = Callable[[str], None]


@dataclass
class ModelFiles:
    """The folder of one model's files, ours for `target`. `failures` maps a recipe to why it has none."""

    model: str
    weights_hash: str
    cpu: str
    say: Say
    target: str = "host"
    failures: dict[str, str] = field(default_factory=dict)
    _done: set[str] = field(default_factory=set)

    @property
    def folder(self) -> Path:
        """Where the files are; another's weights have another folder."""
        return cache_dir("peers", "models", f"{self.model}-{self.weights_hash[:12]}")

    def records(self, search: str) -> Path:
        """Where a search keeps what it found for this model on this CPU."""
        folder = cache_dir("peers", "tuned", self.cpu)
        return folder / f"{search}-{self.model}-{self.weights_hash[:12]}"

    def trials(self, recipe: str) -> int | None:
        """How many trials the search behind a recipe has made; None for what is not tuned."""
        search = KNOWN[recipe].tuned_by
        if search is None:
            return None
        path = self.records(search)
        file = path / MEASURED if path.is_dir() else path
        return len(file.read_bytes().splitlines()) if file.is_file() else 0

    def make(self, name: str) -> None:
        """Make a recipe's files, and before them what they need, unless they are there."""
        if name in self._done or name in self.failures:
            return
        recipe = KNOWN[name]
        try:
            for needed in recipe.needs:
                self.make(needed)
                if needed in self.failures:
                    raise UserError(f"{needed}: {self.failures[needed]}")
            if recipe.tuned_by and not _has_records(self.records(recipe.tuned_by)):
                raise UserError("not tuned to the end on this CPU; --tune TRIALS does it, in hours")
            if not self._is_current(recipe):
                self.say(f"{self.model}: {name}")
                self._convert(recipe)
            self._done.add(name)
        except UserError as error:
            self.failures[name] = str(error)

    def tune(self, trials: int) -> None:
        """Run the searches, `trials` trials a task; they go on where they stopped."""
        self.make("exchange")
        self.make("onnx_file")
        for script, search in (("tune_stock_tvm", "autotvm"), ("relax_tvm", "metaschedule")):
            recipe = next(one for one in RECIPES if one.tuned_by == search)
            self.say(f"{self.model}: searching with {search}, {trials} trials a task")
            arguments = [str(self.records(search)), str(trials)]
            try:
                self._run(recipe.environment, script, arguments, limit=None, threads=2)
            except UserError as error:
                self.say(f"{self.model}: {search}: {error}")

    def _convert(self, recipe: Recipe) -> None:
        place = home(self.folder, recipe.precision)
        place.mkdir(exist_ok=True)
        for file in recipe.files:
            path = place / file
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        arguments = [self.model, recipe.precision, self.target] if recipe.takes_model else []
        if recipe.tuned_by:
            arguments.append(str(self.records(recipe.tuned_by)))
        self._run(recipe.environment, recipe.script or recipe.name, arguments, limit=LIMIT)
        missing = [file for file in recipe.files if not (place / file).exists()]
        if missing:
            raise UserError(f"made no {', '.join(missing)}")
        self._stamp(recipe).write_text(self._digest(recipe))

    def _is_current(self, recipe: Recipe) -> bool:
        stamp = self._stamp(recipe)
        place = home(self.folder, recipe.precision)
        present = all((place / file).exists() for file in recipe.files)
        same = stamp.is_file() and stamp.read_text() == self._digest(recipe)
        return present and same and not recipe.fresh

    def _stamp(self, recipe: Recipe) -> Path:
        return self.folder / f".{recipe.name}.stamp"

    def _digest(self, recipe: Recipe) -> str:
        """Of the script, its environment, what it was made from and, where tuned, the records. What is made
        anew in every race counts by its contents.
        """
        parts = [
            (CONVERT / f"{recipe.script or recipe.name}.py").read_bytes(),
            environments.digest(recipe.environment).encode(),
            self.cpu.encode(),
            *(self._digest(KNOWN[needed]).encode() for needed in recipe.needs),
        ]
        if recipe.tuned_by:
            parts += [path.read_bytes() for path in _files(self.records(recipe.tuned_by))]
        for needed in (KNOWN[name] for name in recipe.needs):
            paths = [home(self.folder, needed.precision) / file for file in needed.files]
            parts += [path.read_bytes() for path in paths if needed.fresh and path.is_file()]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()

    def _run(
        self,
        environment: str,
        script: str,
        arguments: list[str],
        *,
        limit: int | None,
        threads: int = 1,
    ) -> None:
        """Run a script; its output goes to a file beside the models, its last line into the error."""
        interpreter = environments.python(environment)
        log = self.folder / f"{script}.log"
        variables = os.environ | {
            "PYTHONPATH": environments.SOURCES,
            "OMP_NUM_THREADS": str(threads),
        }
        command = [str(interpreter), str(CONVERT / f"{script}.py"), str(self.folder), *arguments]
        with log.open("w") as output:
            try:
                code = subprocess.run(
                    command,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=self.folder,
                    env=variables,
                    timeout=limit,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                raise UserError(f"{script} took more than {limit} s") from None
        if code:
            said = error_text.last_words(log.read_text(errors="replace"))
            raise UserError(f"{script}: {said or 'no output'}")


def _has_records(path: Path) -> bool:
    """Whether a search found anything: AutoTVM's log, or MetaSchedule's folder, which must be finished:
    a task that it did not come to would be compiled as its loops are written.
    """
    if path.is_dir() and not (path / FINISHED).is_file():
        return False
    file = path / MEASURED if path.is_dir() else path
    return file.is_file() and file.stat().st_size > 0


def _files(path: Path) -> Iterable[Path]:
    return sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
