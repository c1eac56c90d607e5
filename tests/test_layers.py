# SPDX-License-Identifier: Apache-2.0
"""The order of the packages: each imports only those before it, and no import runs in a circle."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Bottom up. docs/architecture.md says what each is for.
LAYERS = (
    "support",
    "compile.templates",
    "compile.records",
    "model",
    "targets",
    "compile.toolchain",
    "compile.frontend",
    "compile.simulator.isa",
    "compile.simulator.decoders",
    "compile.simulator.loader",
    "compile.simulator.core",
    "compile.simulator",
    "compile.rpc",
    "compile.tracing",
    "compile.machine",
    "compile.codegen",
    "compile.artifact",
    "compile.export",
    "compile.runtime",
    "compile.measure",
    "compile.device",
    "compile.tuning",
    "compile.report",
    "compile.api",
    "compile.cli",
)


@dataclass(frozen=True)
class Import:
    """`module` imports `imported`, both named from the product's root, at a line of a file."""

    module: str
    imported: str
    place: str


def modules() -> dict[str, Path]:
    """Every module of the product."""
    tops = {name.partition(".")[0] for name in LAYERS}
    files = [path for top in tops for path in (ROOT / top).rglob("*.py")]
    return {_name(path): path for path in files}


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports() -> Iterator[Import]:
    """Every import of one product module by another, those within functions too."""
    known = modules()
    for module, path in known.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            place = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            for name in _imported(node):
                found = name.removeprefix("mnc.")
                if name.startswith("mnc.") and (known.keys() & {found, found.rpartition(".")[0]}):
                    yield Import(
                        module, found if found in known else found.rpartition(".")[0], place
                    )


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def layer(module: str) -> str:
    """The layer that a module is in: the longest that its name begins with."""
    within = [name for name in LAYERS if f"{module}.".startswith(f"{name}.")]
    return max(within, key=len, default="")


def test_every_module_is_in_a_layer() -> None:
    assert [module for module in modules() if not layer(module)] == ["compile"]


def test_no_import_runs_up() -> None:
    place = {name: number for number, name in enumerate(LAYERS)}
    up = [
        f"{one.place}: {layer(one.module)} must not import {layer(one.imported)}, which is above it"
        for one in imports()
        if place[layer(one.imported)] > place[layer(one.module)]
    ]
    assert not up, "\n" + "\n".join(up)


def test_no_import_runs_in_a_circle() -> None:
    after: dict[str, set[str]] = {name: set() for name in modules()}
    for one in imports():
        if not one.module.startswith(f"{one.imported}."):  # a module does not use its own package
            after[one.module].add(one.imported)
    while free := [name for name, needed in after.items() if not needed]:
        for name in free:
            del after[name]
        for needed in after.values():
            needed.difference_update(free)
    assert not after, f"in circles, or above them: {', '.join(sorted(after))}"


def test_the_foundations_do_not_import_torch_or_tvm() -> None:
    """What the command line loads before it knows what it is to do."""
    for module, path in modules().items():
        if layer(module) in {"support", "targets"}:
            top = ast.parse(path.read_text("utf-8")).body
            names = {name.partition(".")[0] for node in top for name in _imported(node)}
            assert not names & {"torch", "tvm"}, path
