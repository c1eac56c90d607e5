# SPDX-License-Identifier: Apache-2.0
"""An artifact's freestanding library as its session: the same numbers, and never those of a replaced file."""

from pathlib import Path

import numpy as np
import pytest

from mnc.compile.artifact import store
from mnc.compile.artifact.manifest import FREESTANDING
from mnc.compile.artifact.store import Artifact
from mnc.compile.export import exporter
from mnc.compile.runtime.local_session import FreestandingSession, open_local
from mnc.compile.runtime.session import Session
from mnc.support.errors import UserError
from mnc.targets import load, topology
from tests.compile.conftest import SHAPE, Tiny
from tests.compile.runtime.at_once import check_undisturbed


@pytest.fixture(scope="module")
def linked(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The tiny network with its freestanding library."""
    folder = tmp_path_factory.mktemp("linked")
    artifact = tiny.save(folder / "tiny")
    exporter.link(artifact, folder / FREESTANDING, target=load("host"))
    return store.attach(artifact, FREESTANDING, folder / FREESTANDING)


def test_an_artifact_runs_by_its_freestanding_library_where_it_has_one(
    tiny: Tiny, linked: Artifact, tiny_artifact: Artifact
) -> None:
    checked = store.load(linked.folder)
    session, hosted = open_local(checked), open_local(tiny_artifact)
    assert isinstance(session, FreestandingSession)
    assert not isinstance(hosted, FreestandingSession)
    for x in tiny.golden.inputs[0]:
        np.testing.assert_array_equal(session.run(x)[0], hosted.run(x)[0])
    assert session.top(session.run(x)[0]) == hosted.top(hosted.run(x)[0])


def test_a_library_that_this_version_cannot_call_is_left_for_tvm_s_runtime(
    tiny: Tiny, tiny_artifact: Artifact
) -> None:
    other = store.attach(tiny_artifact, FREESTANDING, tiny_artifact.library)  # lacks our functions
    session = open_local(other)
    assert not isinstance(session, FreestandingSession)
    (output,) = session.run(tiny.golden.inputs[0][0])
    np.testing.assert_allclose(output, tiny.golden.outputs[0][0], rtol=0, atol=1e-5)


def test_its_files_are_checked_before_it_is_loaded(linked: Artifact, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    for file in linked.folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / FREESTANDING).write_bytes(b"not what it was")
    with pytest.raises(UserError, match=f"{FREESTANDING} is not the file it was built with"):
        store.load(folder)


def test_what_a_build_replaced_is_not_run_though_it_is_still_loaded(
    tiny: Tiny, linked: Artifact, tmp_path: Path
) -> None:
    x = tiny.golden.inputs[0][0]
    made = tiny.save(tmp_path / "one")
    path = store.attach(made, FREESTANDING, linked.folder / FREESTANDING).folder / FREESTANDING
    before = open_local(store.load(path.parent))
    library = path.read_bytes()
    assert library.count(b"class 1\0") == 1
    store.attach(made, FREESTANDING, written(tmp_path, library.replace(b"class 1\0", b"other 1\0")))
    after = open_local(store.load(path.parent))
    assert isinstance(before, FreestandingSession) and isinstance(after, FreestandingSession)
    assert (before.library.label(1), after.library.label(1)) == ("class 1", "other 1")
    np.testing.assert_array_equal(before.run(x)[0], after.run(x)[0])


def written(folder: Path, data: bytes) -> Path:
    """A file of these bytes."""
    path = folder / "written"
    path.write_bytes(data)
    return path


def test_sessions_run_beside_one_another_and_from_several_threads(
    tiny: Tiny, linked: Artifact
) -> None:
    sessions = [open_local(linked, threads=count) for count in (1, len(topology.usable_cpus()))]
    check_undisturbed(sessions, tiny)


def test_inputs_that_do_not_fit_are_refused_as_in_tvm_s_runtime(linked: Artifact) -> None:
    with pytest.raises(UserError, match="tiny takes float32 1x3x16x16") as refused:
        open_local(linked).run(np.zeros((1, 3, 16, 15), np.float32))
    with pytest.raises(UserError) as same:
        Session(linked).run(np.zeros((1, 3, 16, 15), np.float32))
    assert str(refused.value) == str(same.value)
    with pytest.raises(UserError, match="threads were asked for"):
        open_local(linked, threads=0)
    assert open_local(linked).run(np.asfortranarray(np.zeros(SHAPE, np.float32)))
