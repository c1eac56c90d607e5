# SPDX-License-Identifier: Apache-2.0
"""From models to artifacts that agree with PyTorch: photographs, garments, widths, others' networks."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mnc.compile.artifact import store, writer
from mnc.compile.artifact.store import Artifact
from mnc.compile.codegen import network
from mnc.compile.records.trial import trial_of
from mnc.compile.records.tuning_log import TuningLog
from mnc.compile.runtime import verify
from mnc.compile.runtime.session import Session
from mnc.model import datasets, evaluate, torch_run, zoo
from mnc.model.photos import photographs
from mnc.model.preprocess import load_image
from mnc.model.zoo import Model
from mnc.targets import load

pytestmark = pytest.mark.heavy
TOLERANCE = 1e-4


def built(model: Model, folder: Path) -> Artifact:
    """An untuned artifact for this machine, written and read back."""
    host = load("host")
    made = network.build(model, host)
    writer.save(made, model, host, folder)
    return store.load(folder)


def relative_error(model: Model, session: Session, example: np.ndarray[Any, Any]) -> float:
    """The largest difference from PyTorch, of the largest logit."""
    with torch.no_grad():
        wanted = model.module(torch.from_numpy(example)).numpy()
    (actual, *_) = session.run(example)
    return float(np.abs(actual - wanted).max() / np.abs(wanted).max())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Artifact]:
    model = zoo.load("mobilenet_v1_28")
    return model, built(model, tmp_path_factory.mktemp("small") / "artifact")


@pytest.mark.slow
def test_photographs_have_the_same_logits_and_labels_as_in_pytorch(tmp_path: Path) -> None:
    model = zoo.load("mobilenet_v1_1.0_224")
    session = Session(built(model, tmp_path / "v1"))
    assert model.preprocess is not None
    for path, label in photographs():
        image = load_image(path, model.preprocess)
        assert relative_error(model, session, image) <= TOLERANCE
        (logits, *_) = session.run(image)
        with torch.no_grad():
            wanted = model.module(torch.from_numpy(image)).numpy()
        assert list(np.argsort(-logits[0])[:5]) == list(np.argsort(-wanted[0])[:5])
        # Chelsea is a tabby: ImageNet has no class called cat alone.
        top = session.top(logits[0], 1)[0][0]
        assert label in top or (label == "cat" and "tabby" in top)


@pytest.mark.slow
def test_all_of_fashion_mnist_is_classified_as_in_pytorch(small: tuple[Model, Artifact]) -> None:
    model, made = small
    session = Session(made)
    data = datasets.load("fashion-mnist")
    assert model.preprocess is not None
    wanted = evaluate.logits(model.module, data.test_images, model.preprocess, batch=500)
    from mnc.model.preprocess import normalise

    images = normalise(data.test_images, model.preprocess)
    actual = np.concatenate([session.run(image[None])[0] for image in images])
    assert len(actual) == 10_000
    differ = np.flatnonzero(actual.argmax(1) != wanted.argmax(1))
    # A prediction may differ only where PyTorch's own two best are within the tolerance.
    margins = np.sort(wanted, axis=1)[differ]
    assert all((row[-1] - row[-2]) <= TOLERANCE * np.abs(row).max() for row in margins)
    assert len(differ) <= 2
    accuracy = float((actual.argmax(1) == data.test_labels).mean())
    assert accuracy >= 0.88


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v1_0.5_160",
        "mobilenet_v1_0.25_128",
        "mobilenet_v1_0.6_96",
        "mobilenet_v2_1.0_224",
        "mobilenet_v3_small_0.35_64",
        "mobilenet_v3_large_0.35_64",
        "mobilenet_v4_conv_small_0.35_64",
        "efficientnet_lite0_0.35_64",
    ],
)
def test_other_widths_resolutions_and_families_agree(name: str, tmp_path: Path) -> None:
    model = zoo.load(name)
    session = Session(built(model, tmp_path / "artifact"))
    example = np.random.default_rng(0).uniform(-1, 1, model.input_shape).astype(np.float32)
    assert relative_error(model, session, example) <= TOLERANCE


@pytest.mark.slow
def test_a_batch_of_four_agrees(tmp_path: Path) -> None:
    model = zoo.load("mobilenet_v1_0.25_128", batch=4)
    session = Session(built(model, tmp_path / "artifact"))
    example = np.random.default_rng(0).uniform(-1, 1, model.input_shape).astype(np.float32)
    assert example.shape[0] == 4
    assert relative_error(model, session, example) <= TOLERANCE


class Own(torch.nn.Module):
    """A network of somebody else's: a residual, odd channels, no BN."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(2, 12, 3, padding=1)
        self.second = torch.nn.Conv2d(12, 12, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 2, H, W) to a map of 12 channels."""
        first = torch.relu(self.first(x))
        return first + self.second(first)  # type: ignore[no-any-return]


def own() -> torch.nn.Module:
    """What `package.module:function` names."""
    torch.manual_seed(0)
    return Own()


def test_a_network_of_ones_own_agrees(tmp_path: Path) -> None:
    spec = f"{__name__}:own"
    model = zoo.load(spec, input_shape=(1, 2, 9, 7))
    made = built(model, tmp_path / "own")
    report = verify.verify(made, reference=torch_run.torch_reference(model.module))
    assert report.ok
    assert [tuple(output.shape) for output in made.manifest.outputs] == [(1, 12, 9, 7)]


def test_the_manifest_says_what_the_artifact_is_made_of(small: tuple[Model, Artifact]) -> None:
    model, made = small
    manifest = made.manifest
    assert manifest.network.weights_hash == model.weights_hash
    assert f"-model={load('host').model}" in manifest.target.tvm_target
    assert set(manifest.fell_back) == {kernel.key for kernel in manifest.kernels}
    assert (
        manifest.files["library.so"].sha256 == hashlib.sha256(made.library.read_bytes()).hexdigest()
    )
    assert manifest.workspace_bytes
    assert manifest.golden


def test_a_verified_record_is_used_and_a_wrong_one_never(tmp_path: Path) -> None:
    model, host = zoo.load("mobilenet_v1_28"), load("host")
    task = network.build(model, host).tasks[1]
    space = task.task.config_space
    valid = [i for i in range(space.range_length) if space.is_index_valid(i)]
    good, wrong = space.get(valid[-1]), space.get(valid[0])
    with TuningLog.open(tmp_path / "log.jsonl", exclusive=True) as tuning_log:
        for entity, verified, error in ((good, True, None), (wrong, False, "wrong")):
            tuning_log.append(
                trial_of(
                    task.task,
                    entity,
                    costs=() if error else (1e-6,),
                    error=error,  # type: ignore[arg-type]
                    measurer="test",
                    verified=verified,
                )
            )
        made = network.build(model, host, tuning_log.trials)
    assert made.used[task.key].config.index == good.index
    assert len(made.fell_back) == len(made.tasks) - 1
