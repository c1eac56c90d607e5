# SPDX-License-Identifier: Apache-2.0
"""Cross-compiled networks on a virtual board: the same answers as PyTorch, over RPC."""

import contextlib
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from mnc.compile.api.named import ModelSpec, as_model
from mnc.compile.artifact import store, writer
from mnc.compile.artifact.store import Artifact
from mnc.compile.codegen import network, relay_build
from mnc.compile.frontend import integer_fusion, rounded_weights
from mnc.compile.rpc import board as boards
from mnc.compile.rpc import doctor
from mnc.compile.rpc import tracker as trackers
from mnc.compile.rpc.address import Address
from mnc.compile.rpc.connection import DeviceReport
from mnc.compile.runtime import remote_session, verify
from mnc.compile.runtime.remote_session import DeviceBench, RemoteSession
from mnc.compile.templates import instructions
from mnc.model import datasets, evaluate, zoo
from mnc.model.names import Precision
from mnc.model.photos import photographs
from mnc.model.preprocess import load_image, normalise
from mnc.model.quantization.graph import graph_of
from mnc.model.quantization.reference import exact_reference
from mnc.support.errors import UserError
from mnc.support.latency import Latency
from mnc.targets import Target, load
from tests.compile.frontend import quantized_network

pytestmark = pytest.mark.slow
IMAGES = 100


@pytest.fixture(scope="module")
def device(arm: Target) -> Iterator[Address]:
    with (
        trackers.start_tracker(port=9590) as tracker,
        boards.start_board(arm, tracker=tracker.address, cores=2) as board,
    ):
        yield board.address


def built(name: str, target: Target, folder: Path, precision: Precision = "float32") -> Artifact:
    """An untuned artifact for `target`, written and read back."""
    model = as_model(ModelSpec(name, precision=precision))
    writer.save(network.build(model, target), model, target, folder)
    return store.load(folder)


@pytest.fixture(scope="module")
def small(arm: Target, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return built("mobilenet_v1_28", arm, tmp_path_factory.mktemp("small") / "artifact")


@contextlib.contextmanager
def on_board(
    artifact: Artifact, target: Target, *, cpu: str | None = None
) -> Iterator[RemoteSession]:
    """A session on a virtual board of its own."""
    with (
        trackers.start_tracker(port=9592) as tracker,
        boards.start_board(target, tracker=tracker.address, cpu=cpu) as board,
        contextlib.closing(RemoteSession(artifact, board.address)) as session,
    ):
        yield session


@pytest.fixture
def remote(small: Artifact, device: Address) -> Iterator[RemoteSession]:
    one = RemoteSession(small, str(device), threads=1)
    yield one
    one.close()


def test_garments_are_classified_as_by_pytorch(remote: RemoteSession) -> None:
    check_garments(remote)


def test_garments_on_32_bits(tmp_path: Path) -> None:
    """The board of armv7, with a TVM runtime that is compiled when there is none in the cache."""
    target = load("armv7")
    made = built("mobilenet_v1_28", target, tmp_path / "artifact")
    with on_board(made, target) as remote:
        report = remote.device.report
        assert report is not None
        assert (report.arch, report.emulated) == ("armv7l", "qemu-arm -cpu cortex-a7")
        check_garments(remote)
        assert verify.verify(made, session=remote).ok


@pytest.mark.parametrize("name", ["rpi5", "rpi4", "armv7", "i8mm"])
def test_every_operator_of_8_bit_integers_is_the_reference_s_on_every_cpu(
    tmp_path: Path, name: str
) -> None:
    """With the dot product of AArch64, without it, on 32 bits, and with products of matrices: a residual sum,
    squeeze and excitation, hard swish from a table, windows of every kind.
    """
    model, i8mm = quantized_network.model(), name == "i8mm"
    target = load("rpi5" if i8mm else name)
    if i8mm:
        target = msgspec.structs.replace(target, mattr=(*target.mattr, "+i8mm"))
    writer.save(network.build(model, target), model, target, tmp_path / "artifact")
    images = np.random.default_rng(1).uniform(-2, 2, (2, 1, 3, 32, 32)).astype(np.float32)
    made = store.load(tmp_path / "artifact")
    with on_board(made, target, cpu="max" if i8mm else None) as remote:
        for image in images:
            wanted = exact_reference(graph_of(model))(image)[0]
            assert (remote.run(image)[0] == wanted).all()


@pytest.mark.parametrize("name", ["rpi5", "rpi4"])
def test_convolutions_of_integers_in_one_kernel_are_the_reference_s(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, target = quantized_network.model(), load(name)
    monkeypatch.setattr(integer_fusion, "LEAST_BYTES", 1)
    monkeypatch.setattr(relay_build, "_pays", lambda *_: True)
    # By words, as no pair has the template that reads an image by pairs of bytes.
    monkeypatch.setattr(instructions, "multiplies_pairs", lambda: False)
    built = network.build(model, target)
    assert "fused" in [task.kind for task in built.tasks]
    writer.save(built, model, target, tmp_path / "artifact")
    image = np.random.default_rng(2).uniform(-2, 2, model.input_shape).astype(np.float32)
    with on_board(store.load(tmp_path / "artifact"), target) as remote:
        assert (remote.run(image)[0] == exact_reference(graph_of(model))(image)[0]).all()


def test_8_bit_integers_of_a_trained_network_are_the_reference_s(tmp_path: Path) -> None:
    target = load("rpi4")
    made = built("mobilenet_v1_28", target, tmp_path / "artifact", "int8")
    with on_board(made, target) as remote:
        golden, floats = verify.verify(made, session=remote).checks
        assert golden.examples >= 5 and golden.max_absolute == 0.0
        assert floats.top1 == floats.predictions


def test_half_precision_of_a_trained_network_is_near_float32(tmp_path: Path) -> None:
    """Of an input a thousand times too large it gives numbers."""
    target = load("rpi5")
    made = built("mobilenet_v1_28", target, tmp_path / "artifact", "fp16")
    with on_board(made, target) as remote:
        golden, floats = verify.verify(made, session=remote).checks
        assert 1e-5 < golden.max_relative < 1e-2
        assert floats.top1 == floats.predictions
        (image,) = (array[0] for array in made.golden().inputs)
        assert np.isfinite(remote.run(image * np.float32(1000))[0]).all()
        remote.close()


def test_weights_in_halves_are_widened_on_the_device(
    arm: Target, device: Address, tmp_path: Path
) -> None:
    model = as_model(ModelSpec("mobilenet_v1_28"))
    prepared = network.prepare(model, arm)
    rounded = rounded_weights.rounded(prepared.program)
    built = network.compile_prepared(replace(prepared, program=rounded))
    writer.save(built, model, arm, tmp_path / "artifact", weight_storage="fp16")
    made = store.load(tmp_path / "artifact")
    remote = RemoteSession(made, device)
    report = verify.verify(made, session=remote)
    assert report.ok and report.checks[1].max_relative > 1e-5
    remote.close()


def check_garments(remote: RemoteSession) -> None:
    """The same predictions as PyTorch's for IMAGES test images, and logits within the tolerance; NaN of an
    image with one pixel that is NaN.
    """
    model = zoo.load("mobilenet_v1_28")
    images = datasets.load("fashion-mnist").test_images[:IMAGES]
    assert model.preprocess is not None
    wanted = evaluate.logits(model.module, images, model.preprocess, batch=100)
    scale = np.abs(wanted).max(axis=1)
    differ = 0
    for image, truth, largest in zip(
        normalise(images, model.preprocess), wanted, scale, strict=True
    ):
        (found,) = remote.run(image[None])
        assert np.abs(found[0] - truth).max() <= 1e-4 * largest
        differ += int(found[0].argmax() != truth.argmax())
    assert differ == 0
    image[0, 14, 14] = np.nan
    (found,) = remote.run(image[None])
    assert np.isnan(found).all()
    assert torch.isnan(model.module(torch.from_numpy(image[None]))).all()


def test_photographs_have_the_same_logits_and_labels(
    arm: Target, device: Address, tmp_path: Path
) -> None:
    model = zoo.load("mobilenet_v1_1.0_224")
    remote = RemoteSession(built(model.name, arm, tmp_path / "v1"), device, threads=2)
    assert model.preprocess is not None
    for path, _ in photographs():
        image = load_image(path, model.preprocess)
        (found,) = remote.run(image)
        with torch.inference_mode():
            truth = model.module(torch.from_numpy(image)).numpy()
        assert np.abs(found - truth).max() <= 1e-4 * np.abs(truth).max()
        assert list(np.argsort(-found[0])[:5]) == list(np.argsort(-truth[0])[:5])
    remote.close()


def test_an_artifact_is_verified_on_the_device(remote: RemoteSession, small: Artifact) -> None:
    report = verify.verify(small, session=remote)
    assert report.ok
    assert [check.against for check in report.checks] == ["golden outputs", "PyTorch"]


def test_times_are_the_devices_and_the_note_says_what_they_are_worth(remote: RemoteSession) -> None:
    example = np.zeros((1, 1, 28, 28), np.float32)
    found = remote_session.bench(remote, example, seconds=0.2)
    assert len(found.latency.times) >= 10 and found.latency.threads == 1
    assert found.upload > 0 and found.load > 0
    assert "say nothing about a real core" in found.note


def test_a_session_that_is_closed_makes_room_for_another(small: Artifact, device: Address) -> None:
    """TVM has room for 32 in a process, and a re-ranking opens one for each turn of a network."""
    session = RemoteSession(small, str(device), threads=1)
    known = weakref.ref(session.device.remote)
    session.close()
    assert known() is None


def test_layers_are_timed_on_the_device(remote: RemoteSession) -> None:
    example = np.zeros((1, 1, 28, 28), np.float32)
    found = remote_session.profile(remote, example, runs=2)
    assert found.threads == 1
    assert sum(layer.kind in ("depthwise", "fused") for layer in found.layers) == 13
    assert all(layer.seconds > 0 for layer in found.layers)


def test_a_hot_device_with_a_low_clock_is_told_of() -> None:
    report = DeviceReport(
        identity="", arch="aarch64", cores=4, tvm="0.19.0",
        celsius=(81.6,), mhz=(600.0, 600.0), max_mhz=(1500.0, 1500.0),
    )  # fmt: skip
    note = DeviceBench(Latency((1.0,)), 0.0, 0.0, report, report).note
    assert "82 °C, 600 MHz before" in note and "throttled" in note
    cool = msgspec.structs.replace(report, mhz=(1500.0,))
    assert "throttled" not in DeviceBench(Latency((1.0,)), 0.0, 0.0, cool, cool).note


def test_a_library_of_another_architecture_is_refused(
    small: Artifact, device: Address, tmp_path: Path
) -> None:
    host = built("mobilenet_v1_28", load("host"), tmp_path / "host")
    with pytest.raises(UserError, match=r"is for x86_64 .* and device arm .* is aarch64"):
        RemoteSession(host, device)
    swapped = store.Artifact(host.folder, small.manifest, small.labels)
    with pytest.raises(UserError, match=r"is for x86_64, its manifest says aarch64"):
        RemoteSession(swapped, device)


def test_inputs_of_another_shape_are_refused(remote: RemoteSession) -> None:
    with pytest.raises(UserError, match="takes float32 1x1x28x28"):
        remote.run(np.zeros((1, 1, 32, 32), np.float32))


def test_the_doctor_finds_the_chain_whole(arm: Target, device: Address) -> None:
    checks = doctor.examine(arm, device=device)
    assert [check.name for check in checks] == (
        "compiler tracker device versions target upload result clock".split()
    )
    assert all(check.ok for check in checks)
    assert "emulated" in checks[2].fix


def test_the_doctor_names_the_broken_link(arm: Target, device: Address) -> None:
    away = doctor.examine(arm, device=Address("127.0.0.1", 9, "arm"))
    assert [(check.name, check.ok) for check in away] == [("compiler", True), ("tracker", False)]
    other = doctor.examine(load("armv7"), device=device)
    assert (other[-1].name, other[-1].ok) == ("target", False)
    missing = doctor.examine(arm, cc="no-such-gcc")
    assert not missing[0].ok and "was not found" in missing[0].fix
