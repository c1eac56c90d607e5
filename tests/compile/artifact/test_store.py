# SPDX-License-Identifier: Apache-2.0
"""Artifacts: saved whole, loaded only when every file is what it was; anything else is one line."""

import io
import json
import os
import subprocess
import sys
import textwrap
import time
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnc.compile.artifact import manifest, store
from mnc.compile.artifact.manifest import GOLDEN, LABELS, LIBRARY, MANIFEST, Comparison
from mnc.compile.artifact.store import Artifact, Golden, load
from mnc.compile.toolchain.graph import GRAPH, OBJECT
from mnc.support.errors import UserError
from mnc.support.files import sha256
from tests.compile.conftest import CLASSES, Tiny


def refusal(folder: Path) -> str:
    """The one line that `load` (or reading the golden arrays) refuses the folder with."""
    with pytest.raises(UserError) as refused:
        load(folder).golden()
    message = str(refused.value)
    assert "\n" not in message
    return message


def edit(folder: Path, change: Any) -> None:
    """Let `change` alter the manifest's dictionary in place."""
    path = folder / MANIFEST
    fields = json.loads(path.read_bytes())
    change(fields)
    path.write_text(json.dumps(fields))


def put(folder: Path, name: str, data: bytes) -> None:
    """Replace a file and its entry in the manifest."""
    path = folder / name
    path.write_bytes(data)
    entry = {"sha256": sha256(path), "size": len(data)}
    edit(folder, lambda fields: fields["files"].update({name: entry}))


def test_what_is_saved_is_loaded(tiny: Tiny, tiny_artifact: Artifact) -> None:
    loaded = load(tiny_artifact.folder)
    assert loaded == tiny_artifact
    assert set(loaded.manifest.files) == {LIBRARY, GOLDEN, LABELS, OBJECT, GRAPH}
    assert len(loaded.labels) == CLASSES
    np.testing.assert_array_equal(loaded.golden().inputs[0], tiny.golden.inputs[0])
    np.testing.assert_array_equal(loaded.golden().outputs[0], tiny.golden.outputs[0])


def test_the_same_build_gives_the_same_bytes(tiny: Tiny, tmp_path: Path) -> None:
    first, second = (tiny.save(tmp_path / name) for name in ("one", "two with spaces é"))
    assert first.manifest.files[GOLDEN] == second.manifest.files[GOLDEN]
    assert first.manifest.files[LABELS] == second.manifest.files[LABELS]


def test_saving_again_replaces_and_a_failure_leaves_the_old(tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    before = tiny.save(folder)
    assert tiny.save(folder).folder == folder

    def interrupted(path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.save(folder, tiny.manifest, library=interrupted, golden=tiny.golden)
    assert load(folder).manifest.network == before.manifest.network
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_a_folder_that_is_no_artifact_is_kept(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="no artifact, so it is kept"):
        tiny.save(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_golden_arrays_and_labels_must_fit_the_signature(tiny: Tiny, tmp_path: Path) -> None:
    wrong = Golden(tiny.golden.inputs, (tiny.golden.outputs[0][..., :-1],))
    with pytest.raises(ValueError, match="golden array of output"):
        store.save(tmp_path / "a", tiny.manifest, library=tiny.write, golden=wrong)
    with pytest.raises(ValueError, match="2 labels for 7 classes"):
        store.save(
            tmp_path / "a",
            tiny.manifest,
            library=tiny.write,
            golden=tiny.golden,
            labels=["x", "y"],
        )


@pytest.mark.parametrize("name", [LIBRARY, GOLDEN, LABELS])
def test_an_altered_file_is_refused_by_hash(tiny_artifact: Artifact, name: str) -> None:
    path = tiny_artifact.folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert f"{name} is not the file it was built with" in refusal(tiny_artifact.folder)


@pytest.mark.parametrize("name", [LIBRARY, GOLDEN, LABELS])
def test_a_missing_or_cut_file_is_refused(tiny_artifact: Artifact, name: str) -> None:
    path = tiny_artifact.folder / name
    path.write_bytes(path.read_bytes()[:-1])
    assert f"{name} is not the file" in refusal(tiny_artifact.folder)
    path.unlink()
    assert f"{name} is missing" in refusal(tiny_artifact.folder)


def test_a_link_out_of_the_folder_is_refused(tiny_artifact: Artifact, tmp_path: Path) -> None:
    library = tiny_artifact.library
    library.rename(tmp_path / "elsewhere.so")
    library.symlink_to(tmp_path / "elsewhere.so")
    assert "no plain file" in refusal(tiny_artifact.folder)


@pytest.mark.parametrize(
    "name", ["../elsewhere.so", "/etc/passwd", "a/b", "..", ".hidden", "", "a\nb", "a\x00b"]
)
def test_a_manifest_that_names_files_elsewhere_is_refused(
    tiny_artifact: Artifact, name: str
) -> None:
    entry = {"sha256": "0" * 64, "size": 1}
    edit(tiny_artifact.folder, lambda fields: fields["files"].update({name: entry}))
    assert "damaged manifest.json" in refusal(tiny_artifact.folder)


def test_a_manifest_without_the_library_s_hash_is_refused(tiny_artifact: Artifact) -> None:
    edit(tiny_artifact.folder, lambda fields: fields["files"].pop(LIBRARY))
    assert "lists no library.so" in refusal(tiny_artifact.folder)


def test_another_format_and_unknown_keys_are_refused(tiny_artifact: Artifact) -> None:
    edit(tiny_artifact.folder, lambda fields: fields.update(surprise=1))
    assert "surprise" in refusal(tiny_artifact.folder)
    edit(tiny_artifact.folder, lambda fields: fields.update(format=2))
    assert "format 2, this mnc reads 1" in refusal(tiny_artifact.folder)


def test_what_is_no_artifact_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for name in ("absent", "file", "empty"):
        assert "no artifact at" in refusal(tmp_path / name)
    (tmp_path / "fifo").mkdir()
    os.mkfifo(tmp_path / "fifo" / MANIFEST)
    assert "no artifact at" in refusal(tmp_path / "fifo")
    (tmp_path / "huge").mkdir()
    with (tmp_path / "huge" / MANIFEST).open("wb") as file:
        file.truncate(store.LARGEST_MANIFEST + 1)
    assert "far too large" in refusal(tmp_path / "huge")


def test_golden_arrays_are_never_unpickled(tiny_artifact: Artifact, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    buffer = io.BytesIO()
    np.savez(buffer, input_0=np.array([Trap()], dtype=object), output_0=np.zeros(1))
    put(tiny_artifact.folder, GOLDEN, buffer.getvalue())
    assert "golden.npz is damaged" in refusal(tiny_artifact.folder)
    assert not (tmp_path / "sprung").exists()


def test_golden_arrays_of_other_shapes_are_refused(tiny: Tiny, tiny_artifact: Artifact) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, input_0=tiny.golden.inputs[0][:2], output_0=tiny.golden.outputs[0])
    put(tiny_artifact.folder, GOLDEN, buffer.getvalue())
    assert "golden array of output" in refusal(tiny_artifact.folder)


def test_a_golden_file_that_would_swell_is_refused(tiny_artifact: Artifact) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("input_0.npy", bytes(10**7))
        file.writestr("output_0.npy", bytes(10**7))
    put(tiny_artifact.folder, GOLDEN, buffer.getvalue())
    assert "not stored plainly" in refusal(tiny_artifact.folder)


def test_labels_must_be_text_and_one_a_class(tiny_artifact: Artifact) -> None:
    put(tiny_artifact.folder, LABELS, b"cat\ndog\n")
    assert "2 labels for 7 classes" in refusal(tiny_artifact.folder)
    put(tiny_artifact.folder, LABELS, b"\xff\n" * CLASSES)
    assert "not UTF-8" in refusal(tiny_artifact.folder)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_bytes_as_manifest_give_one_line(data: bytes) -> None:
    with pytest.raises(UserError) as refused:
        manifest.decode(data, where="here")
    assert "\n" not in str(refused.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@settings(
    max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), value=JSON)
def test_any_value_anywhere_in_a_manifest_gives_a_manifest_or_one_line(
    tiny: Tiny, data: st.DataObject, value: Any
) -> None:
    fields = json.loads(manifest.encode(tiny.manifest))
    place: Any = fields
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else [0]))
        if not (isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans())):
            break
        place = place[key]
    place[key] = value
    try:
        read = manifest.decode(json.dumps(fields).encode(), where="here")
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert manifest.decode(manifest.encode(read), where="here") == read


def test_a_manifest_survives_the_round_trip(tiny: Tiny) -> None:
    config = {"index": 3, "code_hash": None, "entity": [["tile", "sp", [-1, 4]]]}
    kernel = manifest.KernelEntry(
        key="k", kind="pointwise", shape="8x8", macs=64, calls=2, tuned=True, config=config,
        cost=1e-3, measurer="local-v1", log="tuning_logs/x86/tiny.jsonl",
    )  # fmt: skip
    full = msgspec.structs.replace(tiny.manifest, kernels=(kernel,), fell_back=("other",))
    read = manifest.decode(manifest.encode(full), where="here")
    assert read == full


@pytest.mark.slow
def test_killed_saves_leave_a_whole_artifact_or_none(tiny: Tiny, tmp_path: Path) -> None:
    """Twenty processes that save over and over at one place, each killed at some moment."""
    (tmp_path / "library.so").write_bytes(tiny.save(tmp_path / "first").library.read_bytes())
    folder = tmp_path / "saved"
    code = f"""
        import shutil
        from pathlib import Path
        from mnc.compile.artifact import store as artifact
        here = Path({str(tmp_path)!r})
        first = artifact.load(here / "first")
        golden = first.golden()
        print("ready", flush=True)
        while True:
            artifact.save(
                here / "saved", first.manifest, golden=golden, labels=first.labels,
                library=lambda path: shutil.copy(here / "library.so", path),
            )
    """
    random, seen = np.random.default_rng(0), 0
    for _ in range(20):
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(random.uniform(0.0, 0.1))
            process.kill()
        if folder.exists():
            seen += 1
            assert load(folder).golden().count == tiny.golden.count
    assert seen > 10


def test_a_failed_comparison_is_written_down_and_said(tiny_artifact: Artifact) -> None:
    store.check_passed(tiny_artifact)  # nothing was compared
    store.record(tiny_artifact, Comparison(on="host", passed=True, max_relative=1e-7))
    store.check_passed(store.load(tiny_artifact.folder))
    store.record(tiny_artifact, Comparison(on="host", passed=False))
    with pytest.raises(UserError, match=r"failed on the CPU .* no numbers; .* with --allow-failed"):
        store.check_passed(store.load(tiny_artifact.folder))
