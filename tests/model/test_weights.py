# SPDX-License-Identifier: Apache-2.0
"""Checkpoints load, or say in one line why not."""

import argparse
import datetime
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from mnc.model import frozen_graph, weights
from mnc.model.mobilenet_v1 import small_28x28
from mnc.support.errors import UserError


def perturbed() -> nn.Module:
    torch.manual_seed(1)
    return small_28x28()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("wrapping", ["plain", "state_dict", "module."])
def test_a_checkpoint_comes_back(suffix: str, wrapping: str, tmp_path: Path) -> None:
    source, path = perturbed(), tmp_path / f"a{suffix}"
    state = dict(source.state_dict())
    if wrapping == "module.":
        state = {f"module.{name}": value for name, value in state.items()}
    if suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save({"state_dict": state, "epoch": 3} if wrapping == "state_dict" else state, path)
    torch.manual_seed(2)
    target = small_28x28()
    assert weights.weights_hash(target) != weights.weights_hash(source)
    weights.load_weights(target, path)
    assert weights.weights_hash(target) == weights.weights_hash(source)


PREFIXES = ("module.module.", "_orig_mod.", "model.", "net.", "backbone.", "encoder.")


@pytest.mark.parametrize("prefix", [*PREFIXES, "module._orig_mod.", "model.net."])
def test_wrappers_prefixes_come_off(prefix: str, tmp_path: Path) -> None:
    source, target = perturbed(), small_28x28()
    torch.save({prefix + n: v for n, v in source.state_dict().items()}, tmp_path / "a.pth")
    weights.load_weights(target, tmp_path / "a.pth")
    assert weights.weights_hash(target) == weights.weights_hash(source)
    assert weights.read_state(tmp_path / "a.pth").keys() == source.state_dict().keys()


def test_a_compiled_part_is_that_part(tmp_path: Path) -> None:
    source, target = perturbed(), small_28x28()
    state = {n.replace("blocks.", "blocks._orig_mod."): v for n, v in source.state_dict().items()}
    torch.save(state, tmp_path / "a.pth")
    weights.load_weights(target, tmp_path / "a.pth")
    assert weights.weights_hash(target) == weights.weights_hash(source)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_prefix_that_is_the_network_s_own_stays(prefix: str, tmp_path: Path) -> None:
    def made() -> nn.Module:
        return nn.ModuleDict({"model": nn.Linear(2, 3), "encoder": nn.Linear(2, 3)})

    source, target = made(), made()
    torch.save({prefix + n: v for n, v in source.state_dict().items()}, tmp_path / "a.pth")
    weights.load_weights(target, tmp_path / "a.pth")
    assert weights.weights_hash(target) == weights.weights_hash(source)


def test_two_tensors_of_one_name_are_refused(tmp_path: Path) -> None:
    state = dict(perturbed().state_dict())
    torch.save(state | {"model.classifier.bias": torch.ones(10)}, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"classifier.bias is in it twice"):
        weights.load_weights(small_28x28(), tmp_path / "a.pth")


KEYS = ("net", "params", "weights", "model", "state_dict", "state_dict_ema", "model_ema")


@pytest.mark.parametrize("key", KEYS)
def test_the_state_dict_may_lie_under_a_key(key: str, tmp_path: Path) -> None:
    source, target = perturbed(), small_28x28()
    torch.save({"epoch": 3, "optimizer": {}, key: source.state_dict()}, tmp_path / "a.pth")
    loaded = weights.load_weights(target, tmp_path / "a.pth")
    assert weights.weights_hash(target) == weights.weights_hash(source)
    assert ("EMA" in loaded.words) == key.endswith("ema")


def test_the_only_state_dict_may_lie_under_any_key(tmp_path: Path) -> None:
    source, target = perturbed(), small_28x28()
    state = source.state_dict()
    torch.save({"epoch": 3, "student": state}, tmp_path / "a.pth")
    assert "the weights in 'student'" in weights.load_weights(target, tmp_path / "a.pth").words
    assert weights.weights_hash(target) == weights.weights_hash(source)
    torch.save({"student": state, "teacher": state}, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"several state dicts \(student, teacher\)"):
        weights.load_weights(target, tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("prefix", "beside"), [("network.", None), ("model.", "loss.weight"), ("", "loss.weight")]
)
def test_a_prefix_of_ones_own_comes_off_and_a_loss_beside_it_is_named(
    prefix: str, beside: str | None, tmp_path: Path
) -> None:
    source, target = perturbed(), small_28x28()
    state = {prefix + name: value for name, value in source.state_dict().items()}
    torch.save(state | ({beside: torch.ones(3)} if beside else {}), tmp_path / "a.pth")
    if not prefix:
        with pytest.raises(UserError, match=r"loss.weight is not in this network"):
            weights.load_weights(target, tmp_path / "a.pth")
        return
    loaded = weights.load_weights(target, tmp_path / "a.pth")
    assert weights.weights_hash(target) == weights.weights_hash(source)
    assert (beside or "a.pth") in loaded.words


@pytest.mark.parametrize("key", ["ema_model", "net_ema", "swa_state_dict", "model_ema."])
def test_averaged_weights_are_known_by_their_key_or_prefix(key: str, tmp_path: Path) -> None:
    source, target = perturbed(), small_28x28()
    raw, averaged = small_28x28().state_dict(), source.state_dict()
    if key.endswith("."):
        sides = {"model.": raw, key: averaged}
        content = {p + name: one for p, state in sides.items() for name, one in state.items()}
    else:
        content = {"model": raw, key: averaged}
    torch.save(content, tmp_path / "a.pth")
    loaded = weights.load_weights(target, tmp_path / "a.pth")
    assert weights.weights_hash(target) == weights.weights_hash(source)
    assert f"weights in {key.rstrip('.')!r}, not the raw ones in 'model'" in loaded.words


def test_integers_are_no_weights_and_sparse_ones_are(tmp_path: Path) -> None:
    source, target = perturbed(), small_28x28()
    state = dict(source.state_dict())
    sparse = {"classifier.weight": state["classifier.weight"].to_sparse()}
    torch.save(state | sparse, tmp_path / "a.pth")
    weights.load_weights(target, tmp_path / "a.pth")
    assert weights.weights_hash(target) == weights.weights_hash(source)
    torch.save(state | {"classifier.bias": state["classifier.bias"].char()}, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"classifier.bias is int8, not floating point"):
        weights.load_weights(target, tmp_path / "a.pth")


def test_of_raw_and_averaged_weights_the_averaged_are_taken_and_named(tmp_path: Path) -> None:
    source, target = perturbed(), small_28x28()
    averaged = torch.optim.swa_utils.AveragedModel(source)  # adds n_averaged, and module. to all
    raw = small_28x28().state_dict()
    torch.save({"model": raw, "model_ema": averaged.state_dict()}, tmp_path / "a.pth")
    loaded = weights.load_weights(target, tmp_path / "a.pth")
    assert weights.weights_hash(target) == weights.weights_hash(source)
    assert "the EMA weights in 'model_ema', not the raw ones in 'model'" in loaded.words


def test_counters_of_profilers_say_nothing(tmp_path: Path) -> None:
    source, target = perturbed(), small_28x28()
    state = dict(source.state_dict())
    state |= {"total_ops": torch.zeros(1), "stem.conv.total_params": torch.zeros(1)}
    torch.save(state, tmp_path / "a.pth")
    weights.load_weights(target, tmp_path / "a.pth")
    assert weights.weights_hash(target) == weights.weights_hash(source)


@pytest.mark.parametrize(
    "value",
    [
        *(np.float64(0.9), np.float32(0.9), np.int64(3), np.bool_(True), np.arange(3.0)),
        argparse.Namespace(lr=0.1, out=Path("runs")),
        datetime.datetime(2026, 1, 2),
        {"sizes": {1, 2}, "layers": range(3)},
    ],
)
def test_harmless_values_beside_the_weights_are_no_obstacle(value: object, tmp_path: Path) -> None:
    source, target = perturbed(), small_28x28()
    torch.save({"state_dict": source.state_dict(), "accuracy": value}, tmp_path / "a.pth")
    weights.load_weights(target, tmp_path / "a.pth")
    assert weights.weights_hash(target) == weights.weights_hash(source)


def test_numbers_and_words_among_the_tensors_are_no_obstacle(tmp_path: Path) -> None:
    source, target = perturbed(), small_28x28()
    beside = {"epoch": 3, "accuracy": np.float64(0.9), "network": "v1", "best": None}
    state = dict(source.state_dict()) | beside
    torch.save(state, tmp_path / "a.pth")
    weights.load_weights(target, tmp_path / "a.pth")
    assert weights.weights_hash(target) == weights.weights_hash(source)


DTYPES = (torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_other_precisions_become_single_and_are_named(
    dtype: torch.dtype, suffix: str, tmp_path: Path
) -> None:
    source, target = perturbed(), small_28x28()
    state = {n: v.to(dtype) for n, v in source.state_dict().items() if v.is_floating_point()}
    save = torch.save if suffix == ".pth" else safetensors.torch.save_file
    save(state, tmp_path / f"a{suffix}")
    loaded = weights.load_weights(target, tmp_path / f"a{suffix}")
    assert f"{str(dtype).removeprefix('torch.')} values" in loaded.words
    for name, parameter in target.named_parameters():
        assert torch.equal(parameter, state[name].float())


def test_a_trunk_loads_and_what_it_lacks_is_named(tmp_path: Path) -> None:
    source, target = perturbed(), small_28x28()
    trunk = {n: v for n, v in source.state_dict().items() if not n.startswith("classifier")}
    torch.save(trunk, tmp_path / "a.pth")
    before = target.state_dict()["classifier.weight"].clone()
    loaded = weights.load_weights(target, tmp_path / "a.pth")
    assert loaded.lacks == ("classifier",) and "lacks classifier" in loaded.words
    assert all(torch.equal(target.state_dict()[name], value) for name, value in trunk.items())
    assert torch.equal(target.state_dict()["classifier.weight"], before)


@pytest.mark.parametrize("kept", ["stem", "classifier"])
def test_a_part_that_is_no_trunk_is_refused(kept: str, tmp_path: Path) -> None:
    state = {n: v for n, v in perturbed().state_dict().items() if n.startswith(kept)}
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(UserError, match="is missing"):
        weights.load_weights(small_28x28(), tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("classifier.bias"), "classifier.bias is missing"),
        (lambda s: s.update(extra=torch.zeros(1)), "extra is not in this network"),
        (
            lambda s: s.update({"classifier.bias": torch.zeros(11)}),
            r"classifier.bias is \(11,\), not \(10,\)",
        ),
        (lambda s: s.clear(), "no state dict"),
        (lambda s: s.update(note=["text"]), "no state dict"),
    ],
)
def test_what_does_not_fit_is_named(change, said: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    state = dict(perturbed().state_dict())
    change(state)
    torch.save(state, tmp_path / "a.pth")
    target = small_28x28()
    before = weights.weights_hash(target)
    with pytest.raises(UserError, match=said) as caught:
        weights.load_weights(target, tmp_path / "a.pth")
    assert "\n" not in str(caught.value)
    assert weights.weights_hash(target) == before


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"not a checkpoint", bytes(200)])
def test_what_is_no_checkpoint(name: str, content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name) as caught:
        weights.read_state(tmp_path / name)
    assert "\n" not in str(caught.value)


class _Evil:
    def __reduce__(self):  # type: ignore[no-untyped-def]
        return os.mkdir, ("pwned",)


@pytest.mark.parametrize("by", ["torch", "pickle", "numpy"])
def test_no_code_is_run(by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.pth"
    if by == "torch":
        torch.save({"x": _Evil()}, path)
    elif by == "numpy":
        torch.save({"x": np.array([_Evil()], dtype=object)}, path)
    else:
        path.write_bytes(pickle.dumps({"x": _Evil()}))
    with pytest.raises(UserError, match="run code"):
        weights.read_state(path)
    assert not (tmp_path / "pwned").exists()


def test_hash_sees_names_shapes_and_values() -> None:
    one, two = nn.Linear(2, 3), nn.Linear(2, 3)
    two.load_state_dict(one.state_dict())
    assert weights.weights_hash(one) == weights.weights_hash(two)
    with torch.no_grad():
        two.bias[0] += 1e-6
    assert weights.weights_hash(one) != weights.weights_hash(two)
    assert weights.weights_hash(nn.Sequential(one)) != weights.weights_hash(one)


@pytest.mark.parametrize("content", [b"", b"\x0a\xff\xff", b"junk" * 50, b"\x0b"])
def test_a_damaged_graph_is_an_error_or_empty(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "g.pb"
    path.write_bytes(content)
    if not content:
        assert frozen_graph.constants(path) == {}
        return
    with pytest.raises(UserError, match=r"g\.pb is not a TensorFlow graph"):
        frozen_graph.constants(path)
