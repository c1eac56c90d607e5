# SPDX-License-Identifier: Apache-2.0
"""Every name gives a whole model; trained ones know what is on real photographs."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mnc.model import efficientnet_lite, foreign, mobilenet_v2, photos, zoo
from mnc.model.efficientnet_lite import EfficientNetLite0
from mnc.model.families import IMAGENET, TF_LITE
from mnc.model.mobilenet_v1 import MobileNetV1
from mnc.model.mobilenet_v2 import MobileNetV2
from mnc.model.mobilenet_v3 import MobileNetV3
from mnc.model.mobilenet_v4 import MobileNetV4ConvSmall
from mnc.model.preprocess import load_image
from mnc.support.errors import UserError

TINY = """
import torch
from torch import nn
def net():
    pool = nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), pool, nn.Flatten())
def text(): return "no"
def broken(): raise KeyError("oops")
class Words(nn.Module):
    def forward(self, x): return {"map": x, "name": "x"}
"""


# By name, the least share that it gives a photograph's class.
TRAINED = {
    "mobilenet_v1_1.0_224": 0.95,
    "mobilenet_v1_1.0_192": 0.95,
    "mobilenet_v2": 0.95,
    "efficientnet_lite0": 0.85,
}


@pytest.mark.parametrize("name", TRAINED)
def test_trained_networks_know_the_photographs(name: str) -> None:
    model = zoo.load(name)
    assert model.preprocess is not None
    with torch.no_grad():
        for path, expected in photos.photographs():
            found = model.module(torch.from_numpy(load_image(path, model.preprocess))).softmax(1)[0]
            share, index = found.max(0)
            if expected == "cat":
                assert model.labels[int(index)] in ("tabby", "tiger cat", "Egyptian cat")
            else:
                assert model.labels[int(index)] == expected
                assert share > TRAINED[name]
    assert len(model.labels) == found.numel()


def test_random_networks_are_seeded_and_answer_differently() -> None:
    one, two = zoo.load("mobilenet_v1_0.25_128"), zoo.load("mobilenet_v1_0.250_128", batch=4)
    assert one.weights == "random (seed 0)"
    assert (one.name, one.weights_hash) == (two.name, two.weights_hash)
    assert (one.input_shape, two.input_shape) == ((1, 3, 128, 128), (4, 3, 128, 128))
    assert one.labels == ()
    torch.manual_seed(0)
    with torch.no_grad():
        first, second = one.module(
            torch.rand(2, 3, 128, 128) * torch.tensor([1, -1])[:, None, None, None]
        )
    assert first.std() > 0.3
    assert (first - second).std() > 0.1 * first.std()


def test_random_weights_do_not_depend_on_threads_or_process() -> None:
    code = (
        "import torch; torch.set_num_threads(1)\n"
        "from model import zoo; print(zoo.load('mobilenet_v1_0.25_128').weights_hash)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == zoo.load("mobilenet_v1_0.25_128").weights_hash


@pytest.mark.parametrize("name", ["mobilenet_v1_28", "mobilenet_v1_28_mnist"])
def test_small_networks(name: str) -> None:
    model = zoo.load(name, batch=2)
    assert model.input_shape == (2, 1, 28, 28)
    assert len(model.labels) == 10
    assert "accuracy" in model.weights


def test_names_are_safe_and_listed() -> None:
    assert len(zoo.names()) == 24
    assert all(zoo._builder(name) for name in zoo.names())


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("resnet50", "unknown model 'resnet50'; one of mobilenet_v1_1.0_224"),
        ("mobilenet_v1_0.0_224", "width must be"),
        ("mobilenet_v1_1.0_9999", "resolution 32 to 1024"),
        ("missing.pt", "no model file at missing.pt"),
        ("missing.pt2", "no model file at missing.pt2"),
        ("no.such:thing", "cannot be made: ModuleNotFoundError"),
        ("", "unknown model"),
    ],
)
def test_unknown_models(spec: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        zoo.load(spec, input_shape=(1, 3, 8, 8) if ":" in spec or "." in spec[:8] else None)
    assert "\n" not in str(caught.value)


def test_a_wrong_shape_for_a_named_model() -> None:
    with pytest.raises(UserError, match="takes images of 1x28x28, not 3x28x28"):
        zoo.load("mobilenet_v1_28", input_shape=(1, 3, 28, 28))
    with pytest.raises(UserError, match="at least 1"):
        zoo.load("mobilenet_v1_28", batch=0)
    assert zoo.load("mobilenet_v1_28", input_shape=(5, 1, 28, 28)).input_shape == (5, 1, 28, 28)


def test_own_weights_decide_the_classes(tmp_path: Path) -> None:
    module = MobileNetV1(width=0.25, resolution=128, classes=7)
    torch.save(module.state_dict(), tmp_path / "a.pth")
    model = zoo.load("mobilenet_v1_0.25_128", weights=tmp_path / "a.pth")
    x = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        assert torch.equal(model.module(x), module.eval()(x))
    assert model.weights == str(tmp_path / "a.pth")
    with pytest.raises(UserError, match="does not fit"):
        zoo.load("mobilenet_v1_0.5_128", weights=tmp_path / "a.pth")


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"nets_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    return name


def test_a_factory_in_the_current_directory(nets: str) -> None:
    path = list(sys.path)
    model = zoo.load(f"{nets}:net", input_shape=(1, 3, 20, 20), batch=3)
    assert model.input_shape == (3, 3, 20, 20)
    assert model.name == f"{nets}_net"
    assert not model.module.training
    assert sys.path == path


@pytest.mark.parametrize(
    ("function", "shape", "said"),
    [
        ("text", (1, 3, 9, 9), "returned str"),
        ("broken", (1, 3, 9, 9), "KeyError: 'oops'"),
        ("absent", (1, 3, 9, 9), "has no attribute"),
        ("net", None, "give --input-shape"),
        ("net", (1, 4, 9, 9), "does not run on an input of 1x4x9x9"),
        ("Words", (1, 4, 9, 9), "gives str where tensors are wanted"),
    ],
)
def test_factories_that_do_not_work(
    nets: str, function: str, shape: tuple[int, ...] | None, said: str
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        zoo.load(f"{nets}:{function}", input_shape=shape)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.pt", "a.pt2"])
@pytest.mark.parametrize("content", [b"", b"junk", bytes(99)])
def test_damaged_network_files(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name) as caught:
        zoo.load(str(tmp_path / name), input_shape=(1, 3, 8, 8))
    assert "\n" not in str(caught.value)


def test_a_state_dict_is_not_a_network(tmp_path: Path) -> None:
    torch.save(MobileNetV1(width=0.25, resolution=32).state_dict(), tmp_path / "a.pt")
    with pytest.raises(UserError, match="is not a TorchScript file"):
        zoo.load(str(tmp_path / "a.pt"), input_shape=(1, 3, 32, 32))


def test_packages_are_light_to_import() -> None:
    code = "import sys, mnc.model.preprocess; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    code = "import sys, mnc.model.prepare; sys.exit('tvm' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


class _Evil:
    def __reduce__(self):  # type: ignore[no-untyped-def]
        return os.mkdir, ("pwned",)


def test_exported_programs_cannot_unpickle_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch.export.load itself asks for weights_only=False in places; that is overruled."""
    monkeypatch.chdir(tmp_path)
    torch.save(_Evil(), "evil.pth")
    with foreign._plain_data_only(), pytest.raises(pickle.UnpicklingError):
        torch.load("evil.pth", weights_only=False)
    assert not (tmp_path / "pwned").exists()
    torch.load("evil.pth", weights_only=False)
    assert (tmp_path / "pwned").exists()


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_a_v2_trunk_of_flat_blocks_loads_and_says_what_it_lacks(
    prefix: str, tmp_path: Path
) -> None:
    """As published without classifier, by the names that torchvision's blocks first had."""
    state = MobileNetV2().state_dict()
    flat = {
        ours: theirs for theirs, ours in mobilenet_v2.aliases(["features.1.conv.0.weight"]).items()
    }
    trunk = {prefix + flat.get(n, n): v for n, v in state.items() if not n.startswith("classifier")}
    assert f"{prefix}features.17.conv.7.running_var" in trunk and len(trunk) == 312
    torch.save(trunk, tmp_path / "a.pt")
    model = zoo.load("mobilenet_v2", weights=tmp_path / "a.pt")
    assert "lacks classifier.1" in model.weights and model.labels == ()
    got = model.module.state_dict()
    assert all(torch.equal(got[n], v) for n, v in state.items() if not n.startswith("classifier"))
    again = zoo.load("mobilenet_v2", weights=tmp_path / "a.pt")
    assert again.weights_hash == model.weights_hash  # what it lacks is seeded


def test_a_v2_s_own_names_are_no_flat_ones() -> None:
    assert mobilenet_v2.aliases(MobileNetV2().state_dict()) == {}


# Names as torchvision and timm write them, with the shapes that they have there.
V3_LARGE = {
    "features.4.block.2.fc1.weight": (24, 72, 1, 1),
    "features.15.block.3.1.running_var": (160,),
    "features.16.0.weight": (960, 160, 1, 1),
    "classifier.3.weight": (7, 1280),
}
V4 = {
    "conv_stem.weight": (32, 3, 3, 3),
    "bn1.weight": (32,),
    "blocks.0.1.bn1.bias": (32,),
    "blocks.2.5.dw_start.conv.weight": (96, 1, 3, 3),
    "blocks.3.3.dw_mid.bn.running_mean": (384,),
    "blocks.4.0.conv.weight": (960, 128, 1, 1),
    "norm_head.weight": (1280,),
    "classifier.weight": (7, 1280),
}
LITE0 = {
    "bn1.weight": (32,),
    "blocks.0.0.conv_pw.weight": (16, 32, 1, 1),
    "blocks.2.1.bn2.running_mean": (240,),
    "blocks.6.0.conv_pwl.weight": (320, 1152, 1, 1),
    "bn2.bias": (1280,),
    "classifier.weight": (7, 1280),
}


def timm_v4(name: str) -> str:
    """timm's name of one of ours."""
    for ours, theirs in {"stem.conv.": "conv_stem.", "stem.bn.": "bn1."}.items():
        name = name.replace(ours, theirs)
    for ours, theirs in {"head.conv.": "conv_head.", "head.bn.": "norm_head."}.items():
        name = name.replace(ours, theirs)
    plain = name.startswith(("blocks.0", "blocks.1", "blocks.4"))
    return name.replace(".bn.", ".bn1.") if plain else name


def test_checkpoints_of_torchvision_and_timm_load(tmp_path: Path) -> None:
    theirs = {v: k for k, v in efficientnet_lite.aliases([efficientnet_lite.TIMM]).items()}
    theirs = {ours: name for ours, name in theirs.items() if not name.startswith("_")}
    cases = (
        ("mobilenet_v3_large", MobileNetV3("large", classes=7), V3_LARGE, lambda name: name),
        ("mobilenet_v4_conv_small", MobileNetV4ConvSmall(classes=7), V4, timm_v4),
        (
            "efficientnet_lite0",
            EfficientNetLite0(classes=7),
            LITE0,
            lambda name: theirs.get(name, name),
        ),
    )
    for name, module, samples, renamed in cases:
        state = {renamed(key): value for key, value in module.state_dict().items()}
        assert {key: tuple(state[key].shape) for key in samples} == samples
        torch.save(state, tmp_path / "a.pth")
        model = zoo.load(name, weights=tmp_path / "a.pth")
        assert model.weights_hash == zoo.weights_hash(module)


def test_efficientnet_lite0_is_as_its_weights_were_trained(tmp_path: Path) -> None:
    """timm's with PyTorch's padding and the mean of ImageNet, TensorFlow's with neither."""
    theirs = efficientnet_lite.aliases([efficientnet_lite.TIMM])
    named = {ours: name for name, ours in theirs.items() if not name.startswith("_")}
    module = EfficientNetLite0(padding="torch", bn_eps=1e-5).eval()
    torch.save({named.get(n, n): v for n, v in module.state_dict().items()}, tmp_path / "a.pth")
    model = zoo.load("efficientnet_lite0_1.0_64", weights=tmp_path / "a.pth")
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model.module(x), module(x))
    assert model.preprocess is not None and model.preprocess.mean == IMAGENET.mean
    published = zoo.load("efficientnet_lite0").preprocess
    assert published is not None and published.mean == TF_LITE.mean == (127,) * 3
