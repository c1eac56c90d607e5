# SPDX-License-Identifier: Apache-2.0
"""`build`: one result, which is the artifact and has all that there is to say of its making."""

from pathlib import Path

import pytest

from mnc import build, load
from mnc.compile import api, cli
from mnc.compile.artifact import store
from mnc.compile.records.paths import log_path
from mnc.support.errors import UserError
from mnc.targets import load as load_target
from tests.compile.records.trials import line_of

SMALL = "mobilenet_v1_28"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> api.BuildResult:
    """Built with a log that holds nothing of use: a broken line and a trial of another CPU."""
    folder = tmp_path_factory.mktemp("built")
    log = log_path(folder / "logs", load_target("host").name, SMALL)
    log.parent.mkdir(parents=True)
    log.write_bytes(b"rubbish\n" + line_of())
    return build(SMALL, out=folder / "out", logs=folder / "logs")


@pytest.mark.slow
def test_the_result_is_the_artifact(made: api.BuildResult) -> None:
    assert store.load(made.folder).manifest == made.manifest
    assert made.golden().count > 0 and made.seconds > 0
    image = made.golden().inputs[0][0]
    (logits,) = load(made).run(image)
    assert made.labels and load(made.folder).top(logits, 1) == load(made).top(logits, 1)


@pytest.mark.slow
def test_the_result_says_which_lines_of_the_log_are_not_used(made: api.BuildResult) -> None:
    broken, other = made.left_out
    assert broken == f"{made.log}: 1 lines are left out: not a record"
    assert other.startswith(f"{made.log}: 1 trials are of another CPU, ")
    assert not any(kernel.tuned for kernel in made.manifest.kernels)


@pytest.mark.slow
def test_the_command_line_says_the_same(
    made: api.BuildResult, capsys: pytest.CaptureFixture[str]
) -> None:
    logs, out = made.log.parents[1], made.folder.parents[1]
    words = [SMALL, "--target", "host", "--logs", str(logs), "--out", str(out), "--no-check"]
    assert cli.run(["build", *words]) == 0
    said = capsys.readouterr()
    assert said.out == f"{made.folder}\n"
    assert all(f"warning: {words}\n" in said.err for words in made.left_out)
    count = len(made.manifest.kernels)
    assert f"tuned kernels: 0 of {count} tasks, log {made.log}\n" in said.err
    assert f"kernel family: blocked; {made.manifest.family_reason}\n" in said.err
    assert f"weights: {made.manifest.network.weights}\n" in said.err


@pytest.mark.slow
def test_a_model_with_weights_of_ones_own_keeps_its_name(tmp_path: Path) -> None:
    from mnc.model import zoo

    spec = api.ModelSpec(SMALL, weights=zoo.checkpoint("mobilenet_v1_28_mnist"), batch=2)
    made = build(spec, out=tmp_path, logs=tmp_path)
    assert made.folder.name == f"{SMALL}_b2" and made.manifest.network.spec == SMALL
    assert made.manifest.inputs[0].shape == (2, 1, 28, 28)
    checks = api.verify(made, model=made.model).checks
    assert [check.against for check in checks] == ["golden outputs", "PyTorch"]
    assert all(check.ok for check in checks)


def test_a_folder_of_anything_else_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / load_target("arm").name / SMALL
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="is no artifact, so it is kept"):
        build(SMALL, "arm", out=tmp_path, logs=tmp_path)


def test_a_wrong_target_is_said_before_the_model_is_looked_at() -> None:
    with pytest.raises(UserError, match="unknown target 'nothing'"):
        build("nothing_such", "nothing")
