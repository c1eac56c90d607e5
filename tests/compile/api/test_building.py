# SPDX-License-Identifier: Apache-2.0
"""`build`: one result, which is the artifact and has all that there is to say of its making."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mnc import build, load
from mnc.compile import api, cli
from mnc.compile.artifact import store
from mnc.compile.machine import roofs
from mnc.compile.records.paths import log_path
from mnc.support.errors import UserError
from mnc.targets import load as load_target
from tests.compile.records.trials import line_of

pytestmark = pytest.mark.heavy
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
    assert made.manifest.comparison is not None and made.manifest.comparison.on == "device"
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
    assert "warning: not compared with PyTorch: nobody asked for it\n" in said.err
    assert store.load(made.folder).manifest.comparison is None


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


class TwoInputs(nn.Module):
    """Reads two of its three inputs, of different kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 12, 3, padding=1)
        self.classifier = nn.Linear(12, 5)

    def forward(self, image: Tensor, spare: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 5) and (N, 12, H, W)."""
        y = torch.relu(self.layer(image))
        return self.classifier(y.mean((2, 3)) * scale), y


@pytest.mark.slow
def test_a_network_of_several_inputs_is_built_run_verified_and_exported(tmp_path: Path) -> None:
    torch.manual_seed(0)
    file, shapes = tmp_path / "net.pt", {"image": (1, 3, 9, 9), "spare": (2,), "scale": (1, 12)}
    torch.jit.script(TwoInputs()).save(file)  # type: ignore[no-untyped-call]
    flags = [f"--input-shape={name}={','.join(map(str, one))}" for name, one in shapes.items()]
    words = [str(file), "--target", "host", "--out", str(tmp_path), "--logs", str(tmp_path)]
    assert cli.run(["build", *words, *reversed(flags)]) == 0
    made = api.open_artifact(tmp_path / "host" / "net")
    assert {one.name: one.shape for one in made.manifest.inputs} == shapes
    inputs = [torch.randn(shape) for shape in shapes.values()]
    wanted = torch.jit.load(file)(*inputs)  # type: ignore[no-untyped-call]
    found = load(made).run(*(one.numpy() for one in inputs))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(torch.from_numpy(one), other)
    assert cli.run(["verify", str(made.folder), "--model", str(file)]) == 0
    exported = api.export(made, tmp_path / "library")
    assert exported.check is not None and exported.check.ok


def test_a_folder_of_anything_else_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / load_target("arm").name / SMALL
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="is no artifact, so it is kept"):
        build(SMALL, "arm", out=tmp_path, logs=tmp_path)


def test_a_wrong_target_is_said_before_the_model_is_looked_at() -> None:
    with pytest.raises(UserError, match="unknown target 'nothing'"):
        build("nothing_such", "nothing")


OWN = "tests.compile.api.counting"


def compiled(name: str, target: str, folder: Path) -> int:
    """`mnc build` of a network of ours; its exit status."""
    words = [f"{OWN}:{name}", "--input-shape", "1,1,8,8", "--target", target]
    return cli.run(["build", *words, "--out", str(folder), "--logs", str(folder / "logs")])


def only_artifact(folder: Path) -> Path:
    """The one that was built there."""
    (found,) = api.artifact_folders(folder)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("name", "status"), [("right", 0), ("wrong", 1)])
def test_what_is_built_for_another_cpu_is_compared_on_this_one(
    name: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compiled(name, "rpi4", tmp_path) == status
    comparison = store.load(only_artifact(tmp_path)).manifest.comparison
    assert comparison is not None and comparison.on == "host" and comparison.passed == (not status)
    said = capsys.readouterr()
    assert "compared on: this machine's CPU, the same program compiled for it" in said.err
    assert "PyTorch" in said.out and ("refuse it without --allow-failed" in said.err) == status


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact for this machine whose outputs are not PyTorch's."""
    folder = tmp_path_factory.mktemp("failed")
    assert compiled("wrong", "host", folder) == 1
    return only_artifact(folder)


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["run", "bench", "profile", "export"])
def test_a_verb_refuses_what_failed_its_comparison(
    verb: str, failed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {"run": ["--image", "a.png"], "export": ["--out", str(tmp_path / "exported")]}
    assert cli.run([verb, str(failed), *words.get(verb, [])]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "its comparison with PyTorch failed on its device: off by" in said
    assert "take it as it is with --allow-failed" in said
    assert not (tmp_path / "exported").exists()


@pytest.mark.slow
def test_what_failed_its_comparison_can_be_looked_at(
    failed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = store.load(failed).golden().inputs[0][0]
    with pytest.raises(UserError, match="allow_failed=True"):
        load(failed)
    assert load(failed, allow_failed=True).run(image)[0].shape == (1, 512)
    assert cli.run(["profile", str(failed), "--runs", "1", "--allow-failed"]) == 0
    assert not api.verify(failed).ok
    page = tmp_path / "report.html"
    assert cli.run(["report", str(failed), "--no-run", "--out", str(page)]) == 0
    assert "failed when built" in page.read_text() and "failed on its device" in page.read_text()
    capsys.readouterr()


@pytest.mark.slow
@pytest.mark.parametrize("target", ["host", "rpi4"])
def test_a_network_in_8_bit_integers_equals_its_reference(
    tmp_path: Path, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    small = api.ModelSpec(SMALL, precision="int8")
    made = build(small, target, out=tmp_path / "out", logs=tmp_path / "logs")
    assert made.folder.name == f"{SMALL}_int8" and made.manifest.dtype == "int8"
    assert all("int8" in kernel.key.partition(".")[0] for kernel in made.manifest.kernels)
    golden, floats, exact = made.checks
    assert golden.max_absolute == exact.max_absolute == 0.0
    assert floats.top1 >= floats.predictions - 1 and 0 < floats.max_relative < 0.1
    if target == "host":
        other = build(SMALL, target, out=tmp_path / "out", logs=tmp_path / "logs", check=False)
        assert made.library.stat().st_size < 0.5 * other.library.stat().st_size
        found = api.verify(made).agreement
        assert found is not None and found.examples == 10_000 and found.top1 > 0.98 < found.top5
        assert 0 < found.logit_error < 0.1
        assert found.right is not None and found.right_in_float is not None
        assert abs(found.right - found.right_in_float) < 0.002  # issue 13's goal
        assert cli.run(["verify", str(made.folder)]) == 0
        said = capsys.readouterr().out
        assert f"top-1 {found.top1:.2%}" in said and f"right {found.right:.2%}, in float32" in said
        profile = api.profile(made, threads=1, runs=2)
        assert profile.roof is not None
        assert {layer.peak_gflops for layer in profile.layers} == {profile.roof.gflops}
        ratio = roofs.integer_ratio(load_target("host"))
        assert profile.roof.gflops == api.machine().figures[0].gflops * ratio
