# SPDX-License-Identifier: Apache-2.0
"""A hash of what code computes, that stays the same where only its form or its place changes.

Takes a package's folder and name; gives hexadecimal digits. Comments, docstrings, annotations, imports, the
names of files and what lies in which file do not count; every definition does, wherever it stands.
"""

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_CONTINUED = re.compile(r"\\\n")
_UNTIL_SEMICOLON = re.compile(r"\s*(typedef|struct|enum|union)\b|[^({]*=")
_UNCOUNTED = ("ctx", "annotation", "returns", "type_comment", "type_params", "kind")


def code_hash(start: Path, c: Iterable[Path], *, folder: Path, package: str) -> str:
    """Of C sources, and of the Python module at `start` and all modules of `package`, which lies in `folder`,
    that it imports, directly or not.
    """
    pieces = [piece for one in _reached(start, folder, package) for piece in one.pieces()]
    pieces += [piece for path in c for piece in _c_pieces(path.read_text("utf-8"))]
    digests = sorted(hashlib.sha256(piece.encode()).digest() for piece in pieces)
    return hashlib.sha256(b"".join(digests)).hexdigest()


def _reached(start: Path, folder: Path, package: str) -> "Iterable[_Module]":
    found: dict[Path, _Module] = {}
    left = [start]
    while left:
        path = left.pop()
        if path not in found:
            found[path] = _Module(path, folder, package)
            left += found[path].imported
    return found.values()


class _Module:
    """A Python source, and what its names stand for: `modules` are names of modules of the package, `names`
    lead from names imported from them to those that they have there.
    """

    def __init__(self, path: Path, folder: Path, package: str) -> None:
        self._tree = ast.parse(path.read_text("utf-8"))
        self._folder, self._package = folder, package
        self._modules: set[str] = set()
        self._names: dict[str, str] = {}
        self.imported: list[Path] = []
        for node in ast.walk(self._tree):
            if isinstance(node, ast.ImportFrom):
                self._take(node)

    def pieces(self) -> list[str]:
        """Its statements outside of any other, one text each."""
        return [text for node in self._tree.body if (text := self._text(node))]

    def _take(self, node: ast.ImportFrom) -> None:
        for name in node.names:
            local = name.asname or name.name
            inner = self._path(f"{node.module}.{name.name}")
            outer = self._path(str(node.module))
            if inner is not None:
                self._modules.add(local)
                self.imported.append(inner)
            elif outer is not None:
                self._names[local] = name.name
                self.imported.append(outer)

    def _path(self, module: str) -> Path | None:
        """The file of a module of the package."""
        if module != self._package and not module.startswith(f"{self._package}."):
            return None
        place = self._folder.joinpath(*module.removeprefix(self._package).split("."))
        found = (place.with_suffix(".py"), place / "__init__.py")
        return next((path for path in found if path.is_file()), None)

    def _text(self, value: object) -> str:
        """Like `ast.dump`, but the same in every version of Python, and without what computes nothing."""
        if isinstance(value, list):
            return f"[{','.join(text for one in value if (text := self._text(one)))}]"
        if not isinstance(value, ast.AST):
            return repr(value)
        if _computes_nothing(value):
            return ""
        if isinstance(value, ast.Attribute) and self._is_module(value.value):
            return f"Name(id={value.attr!r})"
        if isinstance(value, ast.Name):
            name = "module" if self._is_module(value) else self._names.get(value.id, value.id)
            return f"Name(id={name!r})"
        fields = [
            f"{name}={self._text(field)}"
            for name, field in ast.iter_fields(value)
            if name not in _UNCOUNTED and field not in (None, [])
        ]
        return f"{type(value).__name__}({','.join(fields)})"

    def _is_module(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id in self._modules


def _computes_nothing(node: ast.AST) -> bool:
    """Imports, texts that stand alone (docstrings), lists of what a module exports."""
    if isinstance(node, ast.Assign):
        return [getattr(one, "id", "") for one in node.targets] == ["__all__"]
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_text or isinstance(node, ast.Import | ast.ImportFrom)


def _c_pieces(source: str) -> Iterator[str]:
    """Definitions, declarations and macros of a C source, without comments and includes."""
    plain = _CONTINUED.sub(" ", _COMMENT.sub(" ", source))
    piece, depth = "", 0
    for line in plain.splitlines():
        if line.lstrip().startswith("#"):
            words = line.split()
            if words[0] not in ("#include", "#pragma"):
                yield " ".join(words)
            continue
        for part in re.split(r"([{};])", line + " "):
            piece += part
            depth += (part == "{") - (part == "}")
            ends = part == ";" or (part == "}" and not _UNTIL_SEMICOLON.match(piece))
            if ends and depth == 0:
                yield " ".join(piece.split())
                piece = ""
    if piece.strip():
        yield " ".join(piece.split())
