# SPDX-License-Identifier: Apache-2.0
"""Every target file loads and is sound; files with mistakes give one line naming file and field."""

import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnc.support.errors import UserError
from mnc.targets import Target, load, names, rows
from mnc.targets.catalog import FOLDER

PHONES = {"cortex_a55", "dimensity1200", "kirin970", "pixel2", "snapdragon855", "snapdragon865"}
BOARDS = PHONES | {"rk3399", "rk3588", "rpi3b", "rpi4", "rpi5"}
ARM_NAMES = [name for name in names() if name != "x86"]
on_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="describes an x86-64 host")


def test_the_promised_targets_are_there() -> None:
    assert {"x86", "arm", "armv7"} | BOARDS <= set(names())


@pytest.mark.parametrize("name", ARM_NAMES)
def test_each_file_is_a_target_of_its_name(name: str) -> None:
    target = load(name)
    assert target.name == name
    assert target.arch in ("aarch64", "arm")
    assert all(core.clock_ghz is not None for core in target.cores)


def test_importing_and_loading_a_board_is_light() -> None:
    code = "import sys; from mnc import targets; targets.load('rpi4');"
    code += "print({'tvm', 'torch'} & {*sys.modules})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


def test_models_are_unique() -> None:
    models = [load(name).model for name in ARM_NAMES]
    assert len(set(models)) == len(models)


@pytest.mark.parametrize("name", ARM_NAMES)
def test_caches_grow_and_slow_down_with_their_distance(name: str) -> None:
    target = load(name)
    for core in target.cores:
        levels = [core.l1d, *([core.l2] if core.l2 else []), *target.caches]
        assert [c.size_kib for c in levels] == sorted({c.size_kib for c in levels})
        assert [c.latency_cycles for c in levels] == sorted({c.latency_cycles for c in levels})
        assert core.clock_ghz is not None
        assert levels[-1].latency_cycles < target.memory.latency_ns * core.clock_ghz


@pytest.mark.parametrize("name", ARM_NAMES)
def test_each_figure_has_its_source(name: str) -> None:
    text = (FOLDER / f"{name}.toml").read_text()
    lines = text.splitlines()
    for field in ("clock_ghz", "fma_units", "misses_in_flight", "l1d", "bandwidth_gb_s"):
        at = next(i for i, line in enumerate(lines) if line.startswith(field))
        assert "#" in lines[at] or lines[at - 1].startswith("#"), f"{name}: {field} has no source"


@on_x86
def test_rows_describe_every_target() -> None:
    table = {row.name: row for row in rows()}
    assert list(table) == ["host", *names()]
    row = table["rk3399"]
    assert row.cores == "2x cortex-a72 1.8 GHz + 4x cortex-a53 1.4 GHz"
    assert (row.mcpu, row.vector_bits, row.peak_gflops) == ("cortex-a72", 128, 28.8)
    assert table["x86"].peak_gflops is None


@on_x86
def test_host_is_x86_here_by_its_name() -> None:
    """So that both read and write the same log."""
    assert load("host") == load("x86")
    assert load("host").name == "x86"
    (row,) = [row for row in rows() if row.name == "host"]
    assert row.description == "x86, this machine"


def test_unknown_name_lists_the_known_and_how_to_add_one() -> None:
    with pytest.raises(UserError, match="did you mean rpi4") as caught:
        load("rpi_4")
    message = str(caught.value)
    assert "\n" not in message
    assert all(name in message for name in names())
    assert "to add a device" in message


@pytest.mark.parametrize("name", ["", ".", "..", "../rpi4", "rpi4\0", "x" * 5000, "rpi4.toml\0"])
def test_names_that_are_no_names(name: str) -> None:
    with pytest.raises(UserError):
        load(name)


MISTAKES = [
    ('mcpu = "cortex-a72"', 'mcu = "cortex-a72"', r"unknown field `mcu`.*did you mean mcpu\?"),
    ('mcpu = "cortex-a72"', "", "missing required field `mcpu`"),
    ("count = 4", "count = 0", r">= 1 - at `cores\[0\].count`"),
    ("count = 4", 'count = "four"', r"Expected `int`, got `str` - at `cores\[0\].count`"),
    ("count = 4", "count = 4.5", r"`cores\[0\].count`"),
    ("count = 4", "count = 99999999999999999999999", r"`cores\[0\].count`"),
    ("clock_ghz = 1.5", "clock_ghz = -1.5", r">= 0\.01.* - at `cores\[0\].clock_ghz`"),
    ("clock_ghz = 1.5", "clock_ghz = 1e-308", r">= 0\.01 - at `cores\[0\].clock_ghz`"),
    (
        "latency_cycles = 5",
        "latency_cycles = 1e-308",
        r">= 1.* - at `cores\[0\].l1d.latency_cycles`",
    ),
    ("line_bytes = 64", "line_bytes = 1", r">= 8 - at `cores\[0\].l1d.line_bytes`"),
    ("latency_ns = 140", "latency_ns = 1e-9", "`memory.latency_ns`"),
    ("bandwidth_gb_s = 4.0", "bandwidth_gb_s = 1e9", "`memory.bandwidth_gb_s`"),
    ("fma_units = 1.0", "fma_units = 1e-9", r"`cores\[0\].fma_units`"),
    (
        'mcpu = "cortex-a72"',
        'mcpu = "a"',
        "target mine: LLVM knows no mcpu 'a' for aarch64-linux-gnu",
    ),
    ("clock_ghz = 1.5", "clock_ghz = nan", r"`cores\[0\].clock_ghz`"),
    ("clock_ghz = 1.5", "clock_ghz = inf", r"`cores\[0\].clock_ghz`"),
    ("vector_bits = 128", "vector_bits = 96", "vector_bits must be a power of two"),
    ("vector_bits = 128", "vector_bits = 32", "vector_bits must be a power of two from 64"),
    ("size_kib = 32", "size_kb = 32", r"unknown field `size_kb` - at `cores\[0\].l1d`.*size_kib"),
    ("line_bytes = 64", "line_bytes = 48", "line_bytes must be a power of two"),
    ('model = "mine"', 'model = "my board"', "`model`"),
    ('model = "mine"', 'model = "mine -mcpu=znver4"', "`model`"),
    ('name = "mine"', 'name = "../mine"', "`name`"),
    ('name = "mine"', "name = 3", "Expected `str`, got `int` - at `name`"),
    ('triple = "aarch64-linux-gnu"', 'triple = "riscv64-linux-gnu"', "triple must begin with"),
    ('triple = "aarch64-linux-gnu"', 'triple = "aarch64-linux-musl"', "glibc makes no sense"),
    ('mattr = ["+neon"]', 'mattr = ["neon"]', r"`mattr\[0\]`"),
    ('glibc = "2.28"', 'glibc = "new"', "`glibc`"),
    ("bandwidth_gb_s = 4.0", "bandwidth_gb_s = 1.0", "core_bandwidth_gb_s cannot exceed"),
    ("count = 4", "count = ", "invalid TOML: .*line"),
    ("[[cores]]", "[cores]", "`cores`"),
    ("[memory]", '"mem\\nory" = 1\n[memory]', r"unknown field `mem\?ory`"),
]


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES)
def test_a_mistake_names_file_and_field(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = _mine(tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_fastest_class_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "slow_first.toml"
    text = (FOLDER / "rk3399.toml").read_text().replace("rk3399", "mine")
    path.write_text(text.replace("clock_ghz = 1.4", "clock_ghz = 1.9"))
    with pytest.raises(UserError, match="fastest class first"):
        load(path)
    path.write_text(text.replace('name = "little"', 'name = "big"'))
    with pytest.raises(UserError, match="cores must have different names"):
        load(path)


def test_a_users_file_is_a_target(tmp_path: Path) -> None:
    path = _mine(tmp_path)
    assert load(path) == load(str(path))
    assert load(path).model == "mine"


def test_a_users_file_cannot_pass_for_a_known_device(tmp_path: Path) -> None:
    path = tmp_path / "copy.toml"
    text = (FOLDER / "rpi4.toml").read_text()
    path.write_text(text)
    assert load(path) == load("rpi4")  # the same device, said twice
    path.write_text(text.replace("clock_ghz = 1.5", "clock_ghz = 1.8"))
    with pytest.raises(UserError, match="name 'rpi4' is taken by target rpi4"):
        load(path)
    path.write_text(path.read_text().replace('name = "rpi4"', 'name = "faster"'))
    with pytest.raises(UserError, match="model 'bcm2711' is taken by target rpi4"):
        load(path)
    assert load(FOLDER / "rpi4.toml") == load("rpi4")
    path.write_text(text.replace('name = "rpi4"', 'name = "host"'))
    with pytest.raises(UserError, match="'host' is what this machine is called"):
        load(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no target file .*gone\.toml"):
        load(tmp_path / "gone.toml")
    with pytest.raises(UserError, match="cannot read"):
        load(tmp_path)
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\x7fELF\xff\xfe")
    with pytest.raises(UserError, match=r"binary.toml: not UTF-8 text"):
        load(path)
    path.write_text("a = " + "[" * 100_000)
    with pytest.raises(UserError, match="invalid TOML"):
        load(path)
    path.write_bytes(b"#" * (2 << 20))
    with pytest.raises(UserError, match="over 1048576 bytes"):
        load(path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None, print_blob=True)
@given(line=st.integers(0, 60), value=VALUES)
def test_any_value_in_any_line_is_a_target_or_a_clean_error(line: int, value: object) -> None:
    lines = (FOLDER / "rk3588.toml").read_text().replace("rk3588", "mine").splitlines()
    index = line % len(lines)
    lines[index] = f"{lines[index].split('=')[0]}= {value!r}".replace("None", "[{}]")
    _load_or_explain("\n".join(lines).encode("utf-8", "replace"))


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200), at=st.integers(0, 2000))
def test_any_bytes_are_a_target_or_a_clean_error(data: bytes, at: int) -> None:
    text = (FOLDER / "rpi4.toml").read_bytes()
    _load_or_explain(text[:at] + data + text[at + len(data) :])


def _load_or_explain(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fuzzed.toml"
        path.write_bytes(data)
        try:
            assert isinstance(load(path), Target)
        except UserError as error:
            assert "fuzzed.toml" in str(error)
            assert str(error).isprintable()


def _mine(folder: Path) -> Path:
    path = folder / "mine.toml"
    text = (FOLDER / "arm.toml").read_text()
    text = text.replace('name = "arm"', 'name = "mine"', 1)
    path.write_text(text.replace('model = "generic-cortex-a72"', 'model = "mine"'))
    return path
