# SPDX-License-Identifier: Apache-2.0
"""The command line parses, calls the API and prints: nothing else of the product is imported from it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
OURS = ("mnc.compile.api", "mnc.compile.cli", "mnc.support.errors")
OTHERS = {"click", "rich", "msgspec", *sys.stdlib_module_names}


def foreign(path: Path) -> Iterator[str]:
    """Imports of a file, those within functions too, of what the command line must not know."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        within = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
        for name in (f"{within}{alias.name}" for alias in node.names):
            if name.partition(".")[0] not in OTHERS and not f"{name}.".startswith(
                tuple(f"{one}." for one in OURS)
            ):
                yield f"{path.relative_to(ROOT)}:{node.lineno}: {name} is not for the command line"


def test_the_command_line_imports_the_api_and_nothing_else_of_ours() -> None:
    files = sorted((ROOT / "compile" / "cli").glob("*.py"))
    assert len(files) > 10
    found = [line for path in files for line in foreign(path)]
    assert not found, "\n" + "\n".join(found)


def test_an_import_that_is_not_allowed_is_found() -> None:
    path = ROOT / "compile" / "api" / "building.py"
    assert any("mnc.compile.artifact.store" in line for line in foreign(path))


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--help"], 0),
        (["build", "--help"], 0),
        (["build", "nothing_such", "--target", "nothing"], 1),
    ],
)
def test_what_needs_neither_torch_nor_tvm_loads_neither(words: list[str], status: int) -> None:
    code = (
        "import sys; from mnc.compile import cli; status = cli.run(sys.argv[1:]);"
        "print(status, {'torch', 'tvm'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == f"{status} set()", done.stderr
