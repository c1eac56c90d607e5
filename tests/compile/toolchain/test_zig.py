# SPDX-License-Identifier: Apache-2.0
"""zig, as every part of the compiler runs it: with caches of its own, and errors that tell."""

import sys
from pathlib import Path

import pytest

from mnc.compile.toolchain.zig import run, zig
from mnc.support.errors import UserError

HOW = {"failed": "nothing came of it", "remedy": "mend the source"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "code.c"


def test_compiles_with_the_caches_in_our_folder(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNC_CACHE", str(source.parent / "cache"))
    source.write_text("int one(void) { return 1; }\n")
    run([*zig("cc"), "-c", str(source), "-o", str(source.with_suffix(".o"))], **HOW)
    assert source.with_suffix(".o").stat().st_size > 0
    assert any((source.parent / "cache" / "zig").iterdir())


def test_says_the_line_that_names_the_error(source: Path) -> None:
    source.write_text("int one(void) { return two; }\n")
    with pytest.raises(UserError) as failed:
        run([*zig("cc"), "-Wextra", "-c", str(source), "-o", "/dev/null"], **HOW)
    said = str(failed.value)
    assert said.startswith("nothing came of it: ") and said.endswith("; mend the source")
    assert "error: use of undeclared identifier 'two'" in said and "\n" not in said


def test_names_a_symbol_that_is_nowhere(source: Path) -> None:
    source.write_text("int two(void); int main(void) { return two(); }\n")
    with pytest.raises(UserError, match=r"^nothing came of it: .*undefined symbol: two.*; mend"):
        run([*zig("cc"), str(source), "-o", str(source.with_suffix(""))], **HOW)


def test_says_that_there_is_no_such_compiler() -> None:
    with pytest.raises(UserError, match="nothing came of it: No such file or directory; mend"):
        run(["no-such-compiler"], **HOW)


def test_a_full_disk_is_nothing_that_another_compiler_mends() -> None:
    fills = "from pathlib import Path; Path('/dev/full').write_text('code')"
    with pytest.raises(UserError, match="No space left on device; free space or choose another"):
        run([sys.executable, "-c", fills], **HOW)
