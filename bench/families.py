# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.families`: the mobile networks of torchvision and timm, in each form, against PyTorch.

Weights are random, BN statistics those of noise, jittered, so that one folded into the wrong place shows.
Prints a line for each network and form: the largest relative error, seconds to build, convolutions and dense
layers that are left to TVM's own kernels.
"""

import importlib
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor, nn

from bench import environments
from mnc.compile import api
from mnc.compile.toolchain import graph
from mnc.model import zoo
from mnc.model.outputs import tensors_of
from mnc.support.errors import UserError

ENVIRONMENT = "families"  # the packages of bench/requirements/families.txt
FORMS = ("module", "traced", "scripted", "exported", "decomposed")
WEIGHTY = re.compile(r"conv|dense|matmul")
# Where each comes from, and the side of the image it takes.
NETWORKS = {
    "mobilenet_v2": ("torchvision", 224),
    "mobilenet_v3_small": ("torchvision", 224),
    "mobilenet_v3_large": ("torchvision", 224),
    "mobilenetv4_conv_small": ("timm", 224),
    "mnasnet1_0": ("torchvision", 224),
    "efficientnet_lite0": ("timm", 224),
    "efficientnet_b0": ("timm", 224),
    "mobileone_s0": ("timm", 224),
    "fbnetc_100": ("timm", 224),
    "shufflenet_v2_x1_0": ("torchvision", 224),
    "ssdlite320_mobilenet_v3_large": ("torchvision.detection", 320),
    "deeplabv3_mobilenet_v3_large": ("torchvision.segmentation", 224),
    "lraspp_mobilenet_v3_large": ("torchvision.segmentation", 224),
}


class Heads(nn.Module):
    """A detector up to its heads' outputs: boxes are chosen by code that no compiler of ours takes."""

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.backbone, self.head = detector.backbone, detector.head

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Scores and offsets of all boxes."""
        features: dict[str, Tensor] = self.backbone(x)
        return self.head(list(features.values()))  # type: ignore[no-any-return]


def make(name: str) -> nn.Module:
    """The network in eval mode; the same for the same name."""
    package, size = NETWORKS[name]
    torch.manual_seed(0)
    if package == "timm":
        network: nn.Module = importlib.import_module("timm").create_model(name)
    else:
        models = importlib.import_module(package.replace("torchvision", "torchvision.models"))
        given = {} if package == "torchvision" else {"weights": None, "weights_backbone": None}
        network = getattr(models, name)(**given)
    network = Heads(network) if package.endswith("detection") else network
    return _lively(network, torch.randn(4, 3, size, size))


def _lively(network: nn.Module, noise: Tensor) -> nn.Module:
    """No activation dies, and no statistic is trivial."""
    norms: list[Any] = [one for one in network.modules() if isinstance(one, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = None
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.2)
        network.train()(noise)
        for norm in norms:
            norm.running_mean += 0.1 * torch.randn_like(norm.running_mean) * norm.running_var.sqrt()
            norm.running_var *= torch.rand_like(norm.running_var) / 2 + 0.75
    return network.eval()


def saved(network: nn.Module, form: str, example: Tensor, folder: Path) -> Path:
    """The network as a file in one of the forms that have one."""
    if form in ("exported", "decomposed"):
        program = torch.export.export(network, (example,))
        file = folder / "net.pt2"
        torch.export.save(program if form == "exported" else program.run_decompositions(), file)
        return file
    made: Any = (
        torch.jit.script(network)
        if form == "scripted"
        else torch.jit.trace(network, example, strict=False)  # type: ignore[no-untyped-call]
    )
    made.save(folder / "net.pt")
    return folder / "net.pt"


def measured(name: str, form: str) -> tuple[float, float, list[str]]:
    """Of one network in one form: error, seconds, kernels of weight that are TVM's own."""
    network, size = make(name), NETWORKS[name][1]
    x = torch.randn(1, 3, size, size)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if form == "module":
            digest = zoo.weights_hash(network)
            model: Any = zoo.Model(name, network, tuple(x.shape), None, (), "random", digest)
        else:
            file = saved(network, form, x, folder)
            model = api.ModelSpec(str(file), input_shape=tuple(x.shape))
        made = api.build(model, "host", out=folder, logs=folder, quick_tune=0)
        found = api.load(made, allow_failed=True).run(x.numpy())
        calls = graph.load(made.folder, weights=()).calls
    with torch.no_grad():
        wanted = [one.numpy() for one in tensors_of(network(x))]
    pairs = zip(found, wanted, strict=True)
    error = max(float(np.abs(one - other).max() / np.abs(other).max()) for one, other in pairs)
    stock = [call.kernel for call in calls if call.task is None and WEIGHTY.search(call.kernel)]
    return error, made.seconds, stock


def rows(networks: tuple[str, ...], forms: tuple[str, ...]) -> Iterator[str]:
    """A line of the table for each."""
    yield "| network | form | max relative error | seconds to build | stock operators of weight |"
    yield "|---|---|---|---|---|"
    for name in networks:
        for form in forms:
            try:
                error, seconds, stock = measured(name, form)
            except UserError as refused:
                yield f"| {name} | {form} | {refused} | | |"
                continue
            yield f"| {name} | {form} | {error:.1e} | {seconds:.0f} | {len(stock) or 'none'} |"


def prepare() -> None:
    """Make torchvision and timm importable beside the project's own torch, whose operators the wheel of
    torchvision is not built for: none is called, but two must be known.
    """
    sys.path.append(str(environments.overlay(ENVIRONMENT)))
    for name in ("nms", "qnms"):
        schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        torch.library.define(f"torchvision::{name}", schema)


@click.command()
@click.option("--networks", default=",".join(NETWORKS), help="Networks, comma-separated.")
@click.option("--forms", default=",".join(FORMS), show_default=True)
def main(networks: str, forms: str) -> None:
    """Build each network in each form and compare with PyTorch."""
    prepare()
    for line in rows(tuple(networks.split(",")), tuple(forms.split(","))):
        click.echo(line)


if __name__ == "__main__":
    main()
