# SPDX-License-Identifier: Apache-2.0
"""Linking across with zig, and refusing what the device could not load. Every library is really linked."""

import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tvm
from tvm import te

from mnc.compile.toolchain import elf, linker, pass_context
from mnc.compile.toolchain.zig import zig
from mnc.support.errors import UserError
from mnc.targets import Target, load


def kernel(target: Target) -> Any:
    """A kernel that calls libm's expf."""
    given = te.placeholder((64,), name="given")
    made = te.compute((64,), lambda i: tvm.tir.exp(given[i]) + 1.0, name="made")
    with pass_context.pass_context():
        return tvm.build(te.create_schedule(made.op), [given, made], target=target.tvm_target())


def zig_library(
    tmp_path: Path, triple: str, *options: str, source: str = "int f(void){return 1;}"
) -> Path:
    code, library = tmp_path / "code.c", tmp_path / "library.so"
    code.write_text(source)
    flags = ["-shared", "-fPIC", "-o", str(library), str(code), *options]
    command = [*zig("cc"), "-target", triple, *flags]
    subprocess.run(command, check=True, capture_output=True)
    return library


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arch", "bits"),
    [("arm", "aarch64", 64), ("rpi5", "aarch64", 64), ("armv7", "arm", 32)],
)
def test_links_across_and_checks(tmp_path: Path, name: str, arch: str, bits: int) -> None:
    target, path = load(name), tmp_path / "library.so"
    linked = linker.link_library(kernel(target), path, target)
    assert (linked.library.arch, linked.library.bits) == (arch, bits)
    assert linked.compiler.startswith("zig cc -target")
    assert linked.library == linker.check_library(path, target)
    assert linked.library.alignment >= (64 << 10 if arch == "aarch64" else 4096)
    assert linked.library.glibc is None or linked.library.glibc <= (2, 28)
    assert [file.name for file in tmp_path.iterdir()] == ["library.so"]


def test_an_object_links_without_a_compiler_driver(tmp_path: Path) -> None:
    target, source, path = load("arm"), tmp_path / "kernel.o", tmp_path / "kernel.so"
    kernel(target).save(str(source))
    linker.link_object(source, path, target.arch)
    library = linker.check_library(path, target)
    assert (library.arch, library.alignment) == ("aarch64", 64 << 10)


def test_a_library_for_small_pages_is_refused(tmp_path: Path) -> None:
    """A Raspberry Pi 5 and a Mac have pages of 16 KiB."""
    library = zig_library(tmp_path, "aarch64-linux-gnu.2.28", "-Wl,-z,max-page-size=4096")
    with pytest.raises(UserError, match=r"aligned to 4096 bytes and pages may have 16384"):
        linker.check_library(library, load("rpi5"))


def test_only_this_very_machine_is_linked_for_with_its_own_compiler() -> None:
    """A relative of it may have an older C library, or another one."""
    here = load("host")
    relative = msgspec.structs.replace(here, model="another", name="another")
    assert linker.compiler_for(here).name in linker.SYSTEM_COMPILERS
    assert linker.compiler_for(relative).name == f"zig cc -target {here.arch}-linux-gnu.2.28"


@pytest.mark.parametrize(
    ("name", "arch"), [("arm", "aarch64"), ("armv7", "arm"), ("host", platform.machine())]
)
def test_the_architecture_is_read_off_the_target_string(name: str, arch: str) -> None:
    assert linker.architecture(load(name).tvm_target()) == arch


def test_links_for_this_machine_with_its_own_compiler(tmp_path: Path) -> None:
    target, path = load("host"), tmp_path / "library.so"
    linked = linker.link_library(kernel(target), path, target)
    assert linked.compiler in linker.SYSTEM_COMPILERS
    assert tvm.runtime.load_module(str(path)).type_key == "library"


def test_another_architecture_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """The system's compiler can link nothing for ARM, nor may its library stand."""
    target, path = load("armv7"), tmp_path / "library.so"
    with pytest.raises(UserError, match=r"failed to link for arm.*install gcc-arm-linux-gnueabihf"):
        linker.link_library(kernel(target), path, target, cc="cc")
    with pytest.raises(UserError, match=r"is for \w+ \(64 bits\), not arm .*leave --cc out"):
        linker.link_library(kernel(load("host")), path, target, cc="cc")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_newer_glibc_than_the_target_promises_is_refused(tmp_path: Path) -> None:
    source = (
        "extern int pthread_create(void*,void*,void*,void*); void* f(void){return pthread_create;}"
    )
    library = zig_library(tmp_path, "aarch64-linux-gnu.2.36", source=source)
    assert elf.read_library(library).glibc == (2, 34)
    with pytest.raises(
        UserError, match=r'needs glibc 2\.34, its system promises 2\.28.*glibc = "2\.34"'
    ):
        linker.check_library(library, load("arm"))
    newer = msgspec.structs.replace(load("arm"), glibc="2.36")
    assert linker.check_library(library, newer).glibc == (2, 34)


@pytest.mark.slow
def test_the_float_abi_of_32_bit_arm_must_match(tmp_path: Path) -> None:
    soft = zig_library(tmp_path, "arm-linux-gnueabi.2.28", source="float f(float x){return x+1;}")
    assert elf.read_library(soft).hard_float is False
    with pytest.raises(UserError, match=r"soft-float ABI.*gcc-arm-linux-gnueabihf"):
        linker.check_library(soft, load("armv7"))
    with pytest.raises(UserError, match=r"for arm \(32 bits\), not aarch64"):
        linker.check_library(soft, load("arm"))


def test_a_foreign_library_is_named(tmp_path: Path) -> None:
    other, library = tmp_path / "libgomp.so.1", tmp_path / "library.so"
    (tmp_path / "code.c").write_text("int f(void){return 1;}")
    (tmp_path / "user.c").write_text("int f(void); int g(void){return f();}")
    build = ["cc", "-shared", "-fPIC", "-Wl,-soname,libgomp.so.1"]
    subprocess.run([*build, "-o", str(other), str(tmp_path / "code.c")], check=True)
    build = ["cc", "-shared", "-fPIC", "-o", str(library), str(tmp_path / "user.c"), str(other)]
    subprocess.run(build, check=True)
    target = msgspec.structs.replace(load("host"), triple="x86_64-linux-gnu")
    with pytest.raises(UserError, match=r"it needs libgomp\.so\.1"):
        linker.check_library(library, target)


def test_what_is_no_library_is_refused(tmp_path: Path) -> None:
    target = load("arm")
    text = tmp_path / "text.so"
    text.write_text("not a library")
    with pytest.raises(UserError, match="is no shared library"):
        linker.check_library(text, target)
    with pytest.raises(UserError, match=r"cannot read .*absent\.so"):
        linker.check_library(tmp_path / "absent.so", target)
    source, library = tmp_path / "kernel.o", tmp_path / "kernel.so"
    kernel(target).save(str(source))
    with pytest.raises(UserError, match="no shared library; link it with -shared"):
        linker.check_library(source, target)
    linker.link_object(source, library, target.arch)
    whole = library.read_bytes()
    for size in (10, 70, len(whole) // 2, len(whole) - 100):
        library.write_bytes(whole[:size])
        with pytest.raises(UserError):
            linker.check_library(library, target)


def test_a_compiler_that_is_not_there_is_told_of() -> None:
    assert shutil.which("aarch64-none-gcc") is None
    with pytest.raises(
        UserError, match=r"'aarch64-none-gcc' was not found.*--cc aarch64-linux-gnu-gcc"
    ):
        linker.compiler_for(load("arm"), cc="aarch64-none-gcc")
    android = msgspec.structs.replace(load("arm"), triple="aarch64-linux-android24", glibc=None)
    with pytest.raises(UserError, match=r"zig has no C library for .*NDK"):
        linker.compiler_for(android)
