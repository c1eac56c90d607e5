# SPDX-License-Identifier: Apache-2.0
"""Golden texts: what a stage gave when somebody last looked at it, in `golden/` beside the stage's tests.

Takes a name and the text of now; fails with a unified diff where the file says something else or is missing.
`pytest --update-golden` writes the files anew; the change is then read as a part of the commit.
"""

import difflib
from dataclasses import dataclass
from pathlib import Path

import pytest

OPTION = "--update-golden"


@dataclass(frozen=True)
class Golden:
    """The golden texts of a folder of tests; with `update` they are written and not compared."""

    folder: Path
    update: bool

    def check(self, name: str, text: str) -> None:
        """Compare `text` with the file `name`.txt, or write it."""
        path = self.folder / f"{name}.txt"
        text = text.rstrip("\n") + "\n"
        if self.update:
            self.folder.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.is_file():
            pytest.fail(f"{path} is missing; make it with: pytest {OPTION}", pytrace=False)
        elif (kept := path.read_text(encoding="utf-8")) != text:
            pytest.fail(f"{difference(path, kept, text)}\n{_advice(path)}", pytrace=False)


def difference(path: Path, kept: str, text: str) -> str:
    """From what is kept to what is given now, as a unified diff."""
    lines = kept.splitlines(), text.splitlines()
    return "\n".join(difflib.unified_diff(*lines, str(path), "now", lineterm=""))


def _advice(path: Path) -> str:
    tests = path.parents[1]
    return f"where the new text is right: pytest {tests} {OPTION}, read the change, commit it"
