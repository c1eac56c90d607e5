# SPDX-License-Identifier: Apache-2.0
"""Tests lie where their package lies, and what several of them need lies in a module that is no test."""

import ast
from pathlib import Path

TESTS = Path(__file__).resolve().parent
WHOLE = {Path(), Path("faults")}  # of the repository and of the command line, not of a package


def modules() -> list[Path]:
    """Every module of tests."""
    return sorted(TESTS.rglob("test_*.py"))


def test_every_folder_of_tests_has_the_name_of_a_package() -> None:
    folders = {path.parent.relative_to(TESTS) for path in modules()}
    assert {Path("compile/tuning"), Path("targets")} <= folders
    for folder in folders - WHOLE:
        assert (TESTS.parent / folder / "__init__.py").is_file(), folder


def test_every_folder_says_what_its_tests_are_of() -> None:
    for folder in {path.parent for path in modules()}:
        text = (folder / "__init__.py").read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(text)), folder


def test_no_module_imports_a_module_of_tests() -> None:
    names = {path.stem for path in modules()}
    for path in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests"):
                imported = {*str(node.module).split("."), *(alias.name for alias in node.names)}
                assert not imported & names, f"{path}:{node.lineno}"
