# SPDX-License-Identifier: Apache-2.0
"""Running an artifact: the right numbers, the right refusals, no torch."""

import json
import subprocess
import sys
import textwrap

import msgspec
import numpy as np
import pytest

from mnc.compile.artifact import store
from mnc.compile.artifact.manifest import Platform
from mnc.compile.artifact.store import Artifact
from mnc.compile.runtime.session import Session
from mnc.compile.toolchain.cpu_features import machine_arch
from mnc.support.errors import UserError
from mnc.targets import topology
from tests.compile.conftest import SHAPE, Tiny
from tests.compile.runtime.at_once import check_undisturbed

CPUS = len(topology.usable_cpus())


def changed(tiny_artifact: Artifact, **target: object) -> Artifact:
    """The artifact with parts of its manifest's target replaced."""
    platform = msgspec.structs.replace(tiny_artifact.manifest.target, **target)
    manifest = msgspec.structs.replace(tiny_artifact.manifest, target=platform)
    return Artifact(tiny_artifact.folder, manifest, tiny_artifact.labels)


@pytest.mark.parametrize("threads", sorted({1, CPUS}))
def test_outputs_are_pytorch_s(tiny: Tiny, tiny_artifact: Artifact, threads: int) -> None:
    session = Session(tiny_artifact, threads=threads)
    for x in tiny.golden.inputs[0]:
        (output,) = session.run(x)
        np.testing.assert_allclose(output, tiny.reference(x)[0], rtol=0, atol=1e-5)


def test_a_pixel_that_is_no_number_is_not_hidden(tiny: Tiny, tiny_artifact: Artifact) -> None:
    x = tiny.golden.inputs[0][0].copy()
    x[0, 1, 7, 7] = np.nan
    (output,) = Session(tiny_artifact, threads=1).run(x)
    assert np.isnan(output).all() and np.isnan(tiny.reference(x)[0]).all()


def test_sessions_and_threads_do_not_disturb_one_another(
    tiny: Tiny, tiny_artifact: Artifact
) -> None:
    sessions = [Session(tiny_artifact, threads=count) for count in (1, CPUS)]
    check_undisturbed(sessions, tiny)


def test_an_output_is_the_caller_s_to_keep(tiny: Tiny, tiny_artifact: Artifact) -> None:
    session = Session(tiny_artifact, threads=1)
    (first,) = session.run(tiny.golden.inputs[0][0])
    kept = first.copy()
    session.run(tiny.golden.inputs[0][1])
    np.testing.assert_array_equal(first, kept)


def test_tvm_uses_the_threads_asked_for(tiny_artifact: Artifact) -> None:
    """Counted by the system, in a process of its own: those that used CPU time."""
    code = f"""
        import sys
        from pathlib import Path
        from mnc.compile.artifact import store as artifact
        from mnc.compile.runtime import session as runner
        loaded = artifact.load(Path({str(tiny_artifact.folder)!r}))
        import tvm
        for threads in (1, {CPUS}, 1):
            session = runner.Session(loaded, threads=threads)
            session.run(*runner.default_input(session))
            print(tvm.get_global_func("runtime.NumThreads")())
        print("torch" in sys.modules)
        import os
        print(len(os.sched_getaffinity(0)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", str(CPUS), "1", "False", str(CPUS)]


@pytest.mark.parametrize("threads", [0, -1, CPUS + 1])
def test_an_impossible_thread_count_is_refused(tiny_artifact: Artifact, threads: int) -> None:
    with pytest.raises(UserError, match="threads were asked for"):
        Session(tiny_artifact, threads=threads)


def test_inputs_that_do_not_fit_are_refused(tiny_artifact: Artifact) -> None:
    session = Session(tiny_artifact, threads=1)
    with pytest.raises(UserError, match="takes float32 1x3x16x16"):
        session.run(np.zeros((1, 3, 16, 15), np.float32))
    with pytest.raises(UserError, match="not float64"):
        session.run(np.zeros(SHAPE))
    with pytest.raises(UserError, match=r"takes 1 input\(s\), not 2"):
        session.run(np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32))


def test_inputs_of_any_memory_order_are_taken(tiny: Tiny, tiny_artifact: Artifact) -> None:
    session = Session(tiny_artifact, threads=1)
    x = tiny.golden.inputs[0][0]
    (output,) = session.run(np.asfortranarray(x))
    np.testing.assert_array_equal(output, session.run(x)[0])


def test_another_architecture_is_refused_before_loading(tiny_artifact: Artifact) -> None:
    other = "aarch64" if machine_arch() == "x86_64" else "x86_64"
    tiny_artifact.library.write_bytes(b"not even a library")
    with pytest.raises(UserError, match=f"is for {other}"):
        Session(changed(tiny_artifact, arch=other))


def test_a_feature_this_cpu_lacks_is_named(tiny_artifact: Artifact) -> None:
    with pytest.raises(UserError, match="lacks avx1024") as refused:
        Session(changed(tiny_artifact, features=("avx1024",)))
    assert "\n" not in str(refused.value)


def test_a_library_that_cannot_be_loaded_is_one_line(tiny_artifact: Artifact) -> None:
    tiny_artifact.library.write_bytes(b"not a library")
    with pytest.raises(UserError, match="cannot load") as refused:
        Session(tiny_artifact)
    assert "\n" not in str(refused.value)


def test_top_is_softmax_with_labels(tiny_artifact: Artifact) -> None:
    session = Session(tiny_artifact, threads=1)
    logits = np.log(np.array([[1, 5, 2, 0.5, 0.5, 0.5, 0.5]], np.float32))
    labels, shares = zip(*session.top(logits, 2), strict=True)
    assert labels == ("class 1", "class 2")
    assert shares == pytest.approx((0.5, 0.2))


def test_the_manifest_says_what_it_was_built_with(tiny_artifact: Artifact) -> None:
    fields = json.loads((tiny_artifact.folder / "manifest.json").read_bytes())
    assert fields["versions"]["tvm"] == "0.19.0"
    assert fields["versions"]["torch"]
    assert store.load(tiny_artifact.folder).manifest.target == Platform(
        **{**fields["target"], "features": tuple(fields["target"]["features"])}
    )
