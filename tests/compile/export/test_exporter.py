# SPDX-License-Identifier: Apache-2.0
"""Exporting: what is refused and how, what a failure leaves behind, symbols, weights, generated text."""

import io
import random
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from mnc.compile import api
from mnc.compile.artifact import manifest as manifests
from mnc.compile.artifact import store as artifacts
from mnc.compile.artifact.manifest import FileInfo
from mnc.compile.artifact.store import Artifact
from mnc.compile.export import exporter, header, objects, source, weights
from mnc.compile.runtime.library_check import verify_here
from mnc.compile.toolchain.graph import GRAPH, OBJECT
from mnc.support.errors import UserError
from mnc.support.files import sha256
from mnc.targets import load
from tests.compile.export.conftest import Shipped

ROOT = Path(__file__).parents[3]


def altered(artifact: Artifact, folder: Path, *, drop: str = "", **files: bytes) -> Artifact:
    """A copy of the artifact with other contents in some files, its hashes right again."""
    shutil.copytree(artifact.folder, folder)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content)
    names = [name for name in artifact.manifest.files if name != drop]
    infos = {
        n: FileInfo(sha256=sha256(folder / n), size=(folder / n).stat().st_size) for n in names
    }
    described = msgspec.structs.replace(artifact.manifest, files=infos)
    (folder / "manifest.json").write_bytes(manifests.encode(described))
    return artifacts.load(folder)


def test_the_folder_is_replaced_and_nothing_else_is(shipped: Shipped, tmp_path: Path) -> None:
    host, folder = load("host"), tmp_path / "out"
    first = exporter.export(shipped.artifact, folder, target=host, prefix="one")
    exporter.export(shipped.artifact, folder, target=host, prefix="two")
    assert sorted(p.name for p in folder.iterdir()) == [
        "export.json", "libtwo.a", "libtwo.so", "two.h",
    ]  # fmt: skip
    assert not first.header.exists()
    record = msgspec.json.decode((folder / "export.json").read_bytes(), type=exporter.Record)
    assert record.files["two.h"] == sha256(folder / "two.h")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="is no export, so it is kept"):
        exporter.export(shipped.artifact, mine, target=host)
    assert (mine / "thesis.tex").exists()


def test_the_same_artifact_gives_the_same_bytes(shipped: Shipped, tmp_path: Path) -> None:
    again = exporter.export(shipped.artifact, tmp_path / "again", target=load("host"))
    for name in ("header", "shared", "static"):
        assert sha256(getattr(again, name)) == sha256(getattr(shipped.exported, name))


def test_weights_stored_in_half_precision_are_half_the_bytes_and_almost_the_same(
    shipped: Shipped, tmp_path: Path
) -> None:
    out = tmp_path / "halves"
    made = exporter.export(shipped.artifact, out, target=load("host"), weight_storage="fp16")
    check, _ = verify_here(shipped.artifact, made.shared, prefix="mnc", weight_storage="fp16")
    assert check is not None and check.ok and check.max_relative > 1e-5
    whole, half = (one.shared.stat().st_size for one in (shipped.exported, made))
    assert whole - half >= 48 * 48 * 4 // 2 - 2048  # the one layer that is worth it, and code


@pytest.mark.parametrize("prefix", ["", "A", "9a", "a-b", "a b", "ä", "a" * 41, "a;b", "a/b"])
def test_a_prefix_that_is_no_name_is_refused(shipped: Shipped, tmp_path: Path, prefix: str) -> None:
    with pytest.raises(UserError, match="no C name"):
        exporter.export(shipped.artifact, tmp_path / "x", target=load("host"), prefix=prefix)
    assert not list(tmp_path.iterdir())


def test_a_compiler_that_is_missing_or_fails_leaves_nothing(
    shipped: Shipped, tmp_path: Path
) -> None:
    for cc, message in (("no-such-cc", "was not found"), ("false", "failed")):
        with pytest.raises(UserError, match=message):
            exporter.export(shipped.artifact, tmp_path / "x", target=load("host"), cc=cc)
    assert not list(tmp_path.iterdir())


def test_another_architecture_is_refused(shipped: Shipped, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is for x86_64, target rpi4 is aarch64"):
        exporter.export(shipped.artifact, tmp_path / "x", target=load("rpi4"))


def test_an_artifact_without_kernels_or_with_wrong_ones_is_refused(
    shipped: Shipped, tmp_path: Path
) -> None:
    original, host = shipped.artifact, load("host")
    data = (original.folder / OBJECT).read_bytes()
    graph = msgspec.json.decode((original.folder / GRAPH).read_bytes())
    graph["nodes"][-1]["attrs"]["func_name"] = "tvmgen_default_missing"
    cases = {
        "has no kernels.o": altered(original, tmp_path / "a", drop="kernels.o"),
        "object is damaged": altered(original, tmp_path / "b", kernels_o=b"\x7fELF" + bytes(90)),
        "object is damaged ": altered(original, tmp_path / "c", kernels_o=data[: len(data) // 2]),
        "lacks tvmgen_default_missing": altered(
            original, tmp_path / "d", graph_json=msgspec.json.encode(graph)
        ),
        "__TVMFuncCall, which only TVM's runtime has": altered(
            original,
            tmp_path / "e",
            kernels_o=data.replace(
                b"__TVMBackendParallelLaunch\0", b"__TVMFuncCall\0____________\0"
            ),
        ),
        "no weights that can be read": altered(original, tmp_path / "f", library_so=data),
    }
    for message, artifact in cases.items():
        with pytest.raises(UserError, match=message.strip()) as caught:
            exporter.export(artifact, tmp_path / "out", target=host)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_library_that_gives_other_outputs_is_not_left_behind(
    shipped: Shipped, tmp_path: Path
) -> None:
    golden = io.BytesIO()
    with np.load(shipped.artifact.folder / manifests.GOLDEN) as arrays:
        np.savez(golden, **{k: a * 2 if "output" in k else a for k, a in arrays.items()})
    other = altered(shipped.artifact, tmp_path / "other", golden_npz=golden.getvalue())
    with pytest.raises(
        UserError, match=r"outputs are off by 5\.0e-01 of the largest, .*not written"
    ):
        api.export(other, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    made = api.export(other, tmp_path / "out", allow_failed=True)
    assert made.check is not None and not made.check.ok and made.library.shared.exists()


def test_private_symbols_are_renamed_hidden_and_still_found(shipped: Shipped) -> None:
    data = (shipped.artifact.folder / OBJECT).read_bytes()
    private = objects.privatise(data, "p_")
    assert objects.undefined(private) == objects.undefined(data)
    assert objects.defined(private) == {f"p_{name}" for name in objects.defined(data)}
    symbols = ELFFile(io.BytesIO(private)).get_section_by_name(".symtab").iter_symbols()
    visible = {s["st_other"]["visibility"] for s in symbols if s.name.startswith("p_")}
    assert visible == {"STV_HIDDEN"}


def test_a_damaged_object_or_library_is_a_user_error(shipped: Shipped, tmp_path: Path) -> None:
    random_ = random.Random(0)
    good = (shipped.artifact.folder / OBJECT).read_bytes()
    library = shipped.artifact.library.read_bytes()
    path = tmp_path / "library.so"
    for _ in range(150):
        for data in (good, library):
            bad = bytearray(data)
            for _ in range(random_.choice((1, 4, 40))):
                # Headers and tables are at the ends.
                at = random_.choice(
                    (random_.randrange(64), random_.randrange(len(bad) - 3000, len(bad)))
                )
                bad[at] = random_.randrange(256)
            try:
                if data is good:
                    objects.privatise(bytes(bad), "p_")
                else:
                    path.write_bytes(bad)
                    weights.read(path)
            except UserError as error:
                assert "\n" not in str(error)


def test_the_weights_are_read_as_tvm_wrote_them(shipped: Shipped) -> None:
    import tvm

    found = weights.read(shipped.artifact.library)
    module = tvm.runtime.load_module(str(shipped.artifact.library))
    graph = module["default"](tvm.cpu())
    names = msgspec.json.decode((shipped.artifact.folder / GRAPH).read_bytes())["nodes"]
    wanted = {node["name"] for node in names if node["op"] == "null"} - {"input"}
    assert set(found) == wanted and wanted
    for name, array in found.items():
        np.testing.assert_array_equal(array, graph["get_input"](name).numpy())


def test_text_cannot_leave_its_literal_or_comment() -> None:
    assert source.quote('a"b\\c?ü\n') == '"a\\042b\\134c\\077\\303\\274\\012"'
    assert "*/" not in header._comment("x */ int y; /* z")
    assert all(line.startswith(" * ") for line in header._comment("word " * 99).splitlines())


def test_no_room_for_the_library_is_one_clear_line(shipped: Shipped, tmp_path: Path) -> None:
    """Files may grow to 4 KiB: the compiler, or we, cannot write what it takes."""
    words = (
        "import resource, sys, pathlib, targets\n"
        "from mnc.compile.artifact import store as artifact; from mnc.compile.export import exporter\n"
        "from mnc.support.errors import UserError\n"
        "a = artifact.load(pathlib.Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: exporter.export(a, pathlib.Path(sys.argv[2]), target=targets.load('host'))\n"
        "except UserError as error: print(error)\n"
    )
    folder = tmp_path / "out"
    command = [sys.executable, "-c", words, str(shipped.artifact.folder), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.count("\n") == 1 and done.stderr == ""
    assert "failed" in done.stdout or "cannot write" in done.stdout
    assert not list(tmp_path.iterdir())
