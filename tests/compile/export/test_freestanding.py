# SPDX-License-Identifier: Apache-2.0
"""A C program linked against exported libraries: outputs, threads, memory, sanitizers, other machines."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from mnc.compile.export import elf_check, exporter
from mnc.compile.export.numbers import FLOATS, Numbers
from mnc.compile.rpc import rootfs
from mnc.compile.runtime.freestanding import Freestanding, aligned
from mnc.compile.runtime.library_check import verify, verify_here
from mnc.compile.runtime.session import Session
from mnc.compile.toolchain.zig import zig
from mnc.model import zoo
from mnc.model.names import Precision
from mnc.support.errors import UserError
from mnc.targets import load
from tests.compile.export.conftest import Shipped, compile_check, run, ship, ship_integers
from tests.compile.export.networks import in_halves, make_artifact, two_heads

ALLOWED = ("libc.so.6", "libm.so.6", "libpthread.so.0", "ld-linux")
ZIG = zig("cc")


@pytest.mark.parametrize("shared", [True, False])
def test_a_c_program_gets_pytorchs_outputs_from_either_library(
    shipped: Shipped, tmp_path: Path, shared: bool
) -> None:
    program = compile_check(shipped, tmp_path / "check", shared=shared)
    path = str(shipped.exported.folder)
    for threads in (1, 2, 3):
        said = run([program, shipped.golden, str(threads)], LD_LIBRARY_PATH=path, CHECK_SYSTEM="1")
        assert 'label 0: class "0" */ \\' in said
        assert "two instances at once" in said and "fork\nshortage: cannot start 64 threads" in said
        assert said.splitlines()[-1] == "done"


def test_the_library_needs_libc_libm_and_pthread_alone_and_exports_its_header(
    shipped: Shipped,
) -> None:
    with shipped.exported.shared.open("rb") as file:
        dynamic = ELFFile(file).get_section_by_name(".dynamic")
        needed = [tag.needed for tag in dynamic.iter_tags("DT_NEEDED")]
    assert needed and all(name.startswith(ALLOWED) for name in needed)
    declared = shipped.exported.header.read_text()
    exported = elf_check.exported(shipped.exported.shared)
    assert "mnc_run" in exported
    assert all(f"{name}(" in declared for name in exported)


def test_the_header_states_memory_that_holds(shipped: Shipped) -> None:
    exported = shipped.exported
    for threads in (1, 2, 4):
        stated = exported.peak_bytes + (threads - 1) * exported.thread_bytes
        with Freestanding(exported.shared, threads=threads) as library:
            assert library.threads == threads
            assert 0.8 * stated < library.memory <= stated


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler: apt-get install g++")
def test_the_compilers_of_c_and_cxx_take_the_header_without_a_warning(
    shipped: Shipped, tmp_path: Path
) -> None:
    source = tmp_path / "include.c"
    source.write_text('#include "mnc.h"\n#include "mnc.h"\nint main(void) { return 0; }\n')
    include = f"-I{shipped.exported.folder}"
    strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", include]
    run(["cc", "-std=c99", *strict, source])
    run(["c++", "-x", "c++", "-std=c++11", *strict, source])


@pytest.mark.parametrize(
    ("network", "sanitizer"),
    [("shipped", "address,undefined"), ("shipped", "thread"), ("integers", "address,undefined")],
)
def test_sanitizers_find_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, network: str, sanitizer: str
) -> None:
    shipped: Shipped = request.getfixturevalue(network)
    flags = [f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all"]
    program = compile_check(shipped, tmp_path / "check", flags=flags)
    assert "done" in run([program, shipped.golden, "3"])


@pytest.mark.slow
def test_the_instrumented_runtime_has_no_race_and_no_stray_access(
    shipped: Shipped, integers: Shipped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above, with the library's own C compiled by gcc and instrumented, not the program alone."""
    from mnc.compile.export import toolchain

    for network, numbers, sanitizer in (
        (shipped, FLOATS, "address,undefined"),
        (shipped, FLOATS, "thread"),
        (integers, Numbers("uint8", "int8"), "thread"),
    ):
        flags = f"-fsanitize={sanitizer}"
        with monkeypatch.context() as patch:
            patch.setattr(toolchain, "FLAGS", (*toolchain.FLAGS, flags, "-g"))
            # A sanitizer's own library is not one of the allowed: only the static library is used.
            patch.setattr(toolchain.Toolchain, "share", lambda _self, _parts, to: to.touch())
            patch.setattr(elf_check, "check", lambda *_words, **_options: ())
            exported = exporter.export(
                network.artifact,
                tmp_path / sanitizer,
                target=load("host"),
                cc=shutil.which("gcc"),
                numbers=numbers,
            )
        instrumented = dataclasses.replace(network, exported=exported)
        program = compile_check(instrumented, tmp_path / "check", flags=[flags])
        assert "done" in run([program, network.golden, "3"])


@pytest.mark.slow
def test_valgrind_finds_no_error_and_no_leak(tmp_path: Path) -> None:
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed")
    host = load("host")
    # Valgrind knows no AVX-512: the same network for a Haswell.
    core = msgspec.structs.replace(host.fast, vector_bits=256, vector_registers=16)
    target = msgspec.structs.replace(host, mcpu="haswell", cores=(core,), mattr=())
    artifact = make_artifact(two_heads(), target, tmp_path)
    haswell = ship(artifact, tmp_path, "host")
    program = compile_check(haswell, tmp_path / "check")
    options = ["--error-exitcode=9", "--leak-check=full", "--show-leak-kinds=all", "-q"]
    errors = ["--errors-for-leak-kinds=all", "--fair-sched=yes"]
    assert "done" in run(["valgrind", *options, *errors, program, haswell.golden, "2"])


def test_two_networks_live_in_one_program(shipped: Shipped, tmp_path: Path) -> None:
    """Both static libraries define what kernels call; only the prefix tells them apart."""
    other = exporter.export(shipped.artifact, tmp_path / "b", target=load("host"), prefix="other")
    source = tmp_path / "both.c"
    source.write_text("""
#include <stdio.h>
#include "mnc.h"
#include "other.h"
static float in[MNC_INPUT_SIZE], out[MNC_OUTPUT_SIZE], out2[OTHER_OUTPUT_SIZE];
int main(void) {
    for (int i = 0; i < MNC_INPUT_SIZE; i++) in[i] = i % 7;
    mnc_instance *a = mnc_create(2);
    other_instance *b = other_create(2);
    if (!a || !b || mnc_run(a, in, out) || other_run(b, in, out2)) return 1;
    for (int i = 0; i < MNC_OUTPUT_SIZE; i++) if (out[i] != out2[i] || out[i] == 0) return 2;
    mnc_destroy(a);
    other_destroy(b);
    return 0;
}
""")
    folders = [f"-I{shipped.exported.folder}", f"-I{other.folder}"]
    libraries: list[str | Path] = [shipped.exported.static, other.static, "-lm", "-lpthread"]
    program = tmp_path / "both"
    run(["cc", *folders, source, *libraries, "-o", program])
    run([program])


def test_python_calls_the_library_as_c_does(shipped: Shipped) -> None:
    with Freestanding(shipped.exported.shared, threads=2) as library:
        check = verify(shipped.artifact, library)
        assert check.ok and check.examples == shipped.artifact.golden().count
        (image,) = (array[0] for array in shipped.artifact.golden().inputs)
        ready = aligned(image)
        assert ready.ctypes.data % 64 == 0
        before = ready.copy()
        for copied, read_in_place in zip(library.run(image), library.run(ready), strict=True):
            np.testing.assert_array_equal(copied, read_in_place)
        np.testing.assert_array_equal(ready, before)
        with pytest.raises(UserError, match="65 threads"):
            Freestanding(shipped.exported.shared, threads=65)
    with pytest.raises(UserError, match="no other_create"):
        Freestanding(shipped.exported.shared, prefix="other")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda image: (image.tolist(),), "not a list; make an array of it, numpy.asarray"),
        (lambda image: (image.astype(np.float64),), "not float64 1x"),
        (lambda image: (image.astype(">f4"),), "not >f4 1x"),
        (lambda image: (image[:, :1],), "reshape or convert it"),
        (lambda image: (image[0],), "reshape or convert it"),
        (lambda image: (None,), "not a NoneType"),
        (lambda image: (), r"takes 1 input\(s\), not 0"),
        (lambda image: (image, image), r"takes 1 input\(s\), not 2"),
    ],
)
def test_what_is_no_input_is_refused_alike_by_session_and_library(
    shipped: Shipped, spoil: Callable[[Any], tuple[Any, ...]], said: str
) -> None:
    image = shipped.artifact.golden().inputs[0][0]
    with Freestanding(shipped.exported.shared, threads=1) as library:
        for runner in (library, Session(shipped.artifact, threads=1)):
            with pytest.raises(UserError, match=said):
                runner.run(*spoil(image))


def test_an_input_need_not_be_contiguous(shipped: Shipped) -> None:
    image = shipped.artifact.golden().inputs[0][0]
    strided = np.repeat(image, 2, axis=-1)[..., ::2]
    assert not strided.flags.c_contiguous
    with Freestanding(shipped.exported.shared, threads=1) as library:
        for runner in (library, Session(shipped.artifact, threads=1)):
            for one, other in zip(runner.run(image), runner.run(strided), strict=True):
                np.testing.assert_array_equal(one, other)


def test_the_header_says_what_c_cannot(shipped: Shipped) -> None:
    text = " ".join(shipped.exported.header.read_text().replace("*", " ").split())
    for promise in (
        "1 to MNC_MAX_THREADS (64)",
        "of a classifier logits, no probabilities",
        "an output that depends on a NaN is NaN",
        "destroying it a second time, or running it, is undefined and mostly aborts",
        "an alignment beyond a float's (4 bytes)",
        'Why the last mnc_create or mnc_run on this thread failed; "" when it did not',
    ):
        assert promise in text, promise


def test_a_library_that_differs_is_found_out(shipped: Shipped, tmp_path: Path) -> None:
    """The comparison can fail: another network's library has other outputs."""
    other = ship(make_artifact(two_heads(seed=1), load("host"), tmp_path), tmp_path, "host")
    with Freestanding(other.exported.shared, threads=1) as library:
        assert not verify(shipped.artifact, library).ok


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "debian", "triple", "precision"),
    [
        ("rpi4", "arm64", "aarch64-linux-gnu.2.28", "float32"),
        ("armv7", "armhf", "arm-linux-gnueabihf.2.28", "float32"),
        ("rpi4", "arm64", "aarch64-linux-gnu.2.28", "int8"),
        ("rpi5", "arm64", "aarch64-linux-gnu.2.28", "fp16"),
    ],
)
def test_an_arm_library_computes_the_same_under_qemu(
    tmp_path: Path, target: str, debian: str, triple: str, precision: Precision
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    try:
        emulator = rootfs.emulator(load(target).arch)
        rootfs.add_packages(root, ["libc6"], arch=debian)
    except UserError as error:
        pytest.skip(f"no emulator: {error}")
    if precision == "int8":
        shipped = ship_integers(tmp_path, target, Numbers("int8", "int8"))
    else:
        model = in_halves(two_heads()) if precision == "fp16" else two_heads()
        shipped = ship(make_artifact(model, load(target), tmp_path), tmp_path, target)
    flags = ["-DTOLERANCE=1e-2f"] if precision == "fp16" else []
    for shared in (True, False):
        program = tmp_path / f"check-{shared}"
        compiler = [*ZIG, "-target", triple]
        compile_check(shipped, program, command=compiler, flags=flags, shared=shared)
        path = f"LD_LIBRARY_PATH={shipped.exported.folder}"
        said = run([emulator, "-L", root, "-E", path, program, shipped.golden, "2"])
        assert said.splitlines()[-1] == "done"


def test_a_cpu_that_lacks_a_feature_is_refused_by_name(shipped: Shipped, tmp_path: Path) -> None:
    """The check's table is bent so that it asks for a feature which no CPU has."""
    from mnc.compile.export import feature_checks

    name = shipped.artifact.manifest.target.features[0]
    before = feature_checks.X86[name]
    feature_checks.X86[name] = "0x80000000, 0, EDX, 31"
    try:
        bent = exporter.export(shipped.artifact, tmp_path / "bent", target=load("host"))
    finally:
        feature_checks.X86[name] = before
    with pytest.raises(UserError, match=f"lacks {name}, which the library"):
        Freestanding(bent.shared, threads=1)


def test_an_export_is_compared_where_it_can_run_and_the_reason_given_where_not(
    shipped: Shipped, tmp_path: Path
) -> None:
    check, note = verify_here(shipped.artifact, shipped.exported.shared, prefix="mnc")
    assert check is not None and check.ok and note == ""
    platform = msgspec.structs.replace(shipped.artifact.manifest.target, arch="aarch64")
    manifest = msgspec.structs.replace(shipped.artifact.manifest, target=platform)
    foreign = dataclasses.replace(shipped.artifact, manifest=manifest)
    check, note = verify_here(foreign, shipped.exported.shared, prefix="mnc")
    assert check is None and note.startswith("not run here: this artifact is for aarch64")


@pytest.mark.slow
def test_a_real_network_gives_pytorchs_outputs_on_real_images(tmp_path: Path) -> None:
    artifact = make_artifact(zoo.load("mobilenet_v1_28"), load("host"), tmp_path)
    real = ship(artifact, tmp_path, "host", prefix="garments")
    check, _ = verify_here(artifact, real.exported.shared, prefix="garments")
    assert check is not None and check.ok
    assert check.top1 == check.top5 == check.predictions > 0
    with Freestanding(real.exported.shared, prefix="garments") as library:
        assert library.label(9) == "Ankle boot"


HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.slow
@pytest.mark.skipif(
    not HUGE_PAGES.exists() or "[never]" in HUGE_PAGES.read_text(), reason="no huge pages here"
)
def test_weights_lie_on_huge_pages_once_for_all_instances(tmp_path: Path) -> None:
    artifact = make_artifact(
        zoo.load("mobilenet_v1_0.5_128", input_shape=(1, 3, 128, 128)), load("host"), tmp_path
    )
    exported = ship(artifact, tmp_path, "host").exported
    before = huge_kib()
    with Freestanding(exported.shared) as library:
        image = artifact.golden().inputs[0][0]
        (wanted,) = library.run(image)
        one = huge_kib() - before
        with Freestanding(exported.shared, threads=1) as second:
            assert (second.run(image)[0] == wanted).all()
            both = huge_kib() - before
    weights = exported.weight_bytes // 2**21 * 2048
    assert one >= weights > 0, "whole huge pages of weights; the instance's own may come on top"
    assert both - one < weights, "the second instance copied them again"
    assert huge_kib() <= before, "they outlive the last instance"


def huge_kib() -> int:
    """KiB of this process on anonymous huge pages."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages:"))
