# SPDX-License-Identifier: Apache-2.0
"""Networks of every kind compute what PyTorch computes: each a situation of a public report.

A network is a convolution, a function of its blocked output, a convolution: what padded lanes hold would
reach the last one. Networks of one table are compiled together, as one with many outputs.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import prune

from mnc.compile.frontend.importer import import_model
from mnc.model.zoo import Model
from mnc.support.errors import UserError
from mnc.targets import load
from tests.compile.frontend.comparing import SHAPE, errors, errors_of, lively_norm, named

Function = Callable[["Between", Tensor], Tensor]
CHANNELS = 12  # fill no whole vector of 8 or 16 lanes


class Between(nn.Module):
    """A convolution, a function of its output, a convolution."""

    def __init__(self, middle: Function, channels: int) -> None:
        super().__init__()
        self.middle = middle
        self.first = nn.Conv2d(3, channels, 3, padding=1)
        self.last = nn.Conv2d(channels, 8, 1)
        self.positive = nn.Conv2d(channels, channels, 1)
        nn.init.uniform_(self.positive.weight, 0.01, 0.1)
        self.positive.bias = nn.Parameter(torch.rand(channels) / 2 + 0.5)
        self.vector = nn.Parameter(torch.rand(channels, 1, 1) + 0.5)
        self.instance = nn.InstanceNorm2d(channels, affine=True)
        self.group = nn.GroupNorm(3, channels) if channels % 3 == 0 else nn.Identity()
        self.batch = nn.BatchNorm2d(channels, track_running_stats=False)
        self.layer = nn.LayerNorm((channels, 17, 19))
        self.plane = nn.Parameter(torch.rand(1, channels, 2, 19))
        self.rows = nn.LayerNorm((17, 19), elementwise_affine=False)
        self.spread = nn.ConvTranspose2d(channels, channels, 3, 1, 1, 1, dilation=2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 8, H', W')."""
        return self.last(self.middle(self, F.relu(self.first(x))))  # type: ignore[no-any-return]


# Zero, divided by zero or under a root or a logarithm, is NaN or Inf in the lanes that fill a vector.
PADDED: dict[str, Function] = {
    "divided by a vector": lambda net, y: y / net.vector,
    "divided by a map": lambda net, y: y / net.positive(y),
    "one over": lambda net, y: 1.0 / net.positive(y),
    "a negative power": lambda net, y: net.positive(y) ** -1.5,
    "rsqrt": lambda net, y: net.positive(y).rsqrt(),
    "logarithm": lambda net, y: net.positive(y).log(),
    "instance norm": lambda net, y: net.instance(y),
    "group norm": lambda net, y: net.group(y),
    "local response norm": lambda net, y: F.local_response_norm(y, 5),
    "normalised over channels": lambda net, y: F.normalize(y, dim=1),
    "over its deviation": lambda net, y: y / (y.std((2, 3), keepdim=True) + 1e-3),
}


def _columns_first(y: Tensor) -> Tensor:
    across, down = torch.arange(y.shape[3]), torch.arange(y.shape[2])
    return torch.meshgrid(across, down, indexing="xy")[0] / 19


LACKING: dict[str, Function] = {
    "coordinates of pixels": lambda net, y: y * torch.linspace(-1, 1, y.shape[3]),
    "coordinates by columns": lambda net, y: y * _columns_first(y),
    "mish": lambda _, y: F.mish(y - 0.5),
    "gelu by tanh": lambda _, y: F.gelu(y - 0.5, approximate="tanh"),
    "hardshrink": lambda _, y: F.hardshrink(y - 0.5, 0.2),
    "softshrink": lambda _, y: F.softshrink(y - 0.5, 0.2),
    "channel shuffle": lambda _, y: F.channel_shuffle(y, 3),
    "circular padding": lambda _, y: F.pad(y, (2, 1, 0, 3), mode="circular"),
    "average with a divisor": lambda _, y: F.avg_pool2d(y, 3, 2, divisor_override=5),
    "average, ceil": lambda _, y: F.avg_pool2d(y, 3, 2, 1, ceil_mode=True),
    "average, ceil, without padding": lambda _, y: F.avg_pool2d(y, 4, 3, 1, True, False),
    "maximum, ceil": lambda _, y: F.max_pool2d(y, 3, 2, 1, ceil_mode=True),
    "maximum, ceil, a window beyond": lambda _, y: F.max_pool2d(y, 2, 2, 1, ceil_mode=True),
    "batch norm without statistics": lambda net, y: net.batch(y),
    "layer norm over three axes": lambda net, y: net.layer(y),
    "layer norm over two axes": lambda net, y: net.rows(y),
    "transposed and dilated": lambda net, y: net.spread(y),
    "windows": lambda _, y: F.unfold(y, (3, 2), 2, 1, (1, 2)).unsqueeze(3)[:, :CHANNELS],
    "windows back": lambda _, y: F.fold(
        F.unfold(y, 3, 2, 1, 2), (17, 19), 3, dilation=2, padding=1, stride=2
    ),
    "random leaky, of no training": lambda _, y: F.rrelu(y - 0.5),
    "cosines": lambda _, y: y * F.cosine_similarity(y, y.flip(1), dim=1).unsqueeze(1),
    "distances": lambda _, y: torch.cdist(y, y.flip(2)),
    "powers of two": lambda _, y: torch.exp2(y),
    "between": lambda _, y: torch.lerp(y, y * 2, 0.3),
    "numbers for NaN": lambda _, y: torch.nan_to_num((y - 0.5).log(), 0.5),
    "differences": lambda _, y: torch.diff(y, dim=3),
    "how many are positive": lambda _, y: y * (y > 0.5).sum(1, keepdim=True),
    "rounded down": lambda _, y: torch.div(y, 0.7, rounding_mode="floor"),
    "exponential less one": lambda _, y: torch.expm1(y - 0.5),
    "either": lambda _, y: y * ((y > 1) | (y < 0.5)),
    "in double precision": lambda _, y: (y.double() * 2).float(),
    "below the diagonal": lambda _, y: y.tril(-1),
    "in unequal parts": lambda _, y: torch.cat(y.chunk(5, 1)[::-1], 1),
    "in one part": lambda _, y: torch.split(y, CHANNELS, 1)[0],
    "joined to a weight, twice": lambda net, y: (
        torch.cat([y, net.plane], 2) * torch.cat([y * 2, net.plane], 2)
    ),
    "by a mask": lambda _, y: y[:, torch.arange(CHANNELS) % 12 < 12],
    "root mean square": lambda _, y: F.rms_norm(y, (17, 19)),
    "group norm without weights": lambda _, y: F.group_norm(y, 3),
    "less the median": lambda _, y: y - y.median(3, keepdim=True)[0],
    "less quantiles": lambda _, y: y - y.quantile(0.3, 1, keepdim=True) - y[0, 0].quantile(0.5),
    "products so far": lambda _, y: (y + 0.5).cumprod(3),
    "distances of two": lambda _, y: y * F.pairwise_distance(y, y + 1).unsqueeze(3),
    "moved and turned": lambda _, y: torch.rot90(y.movedim(1, 3), 1, (1, 2)).movedim(-1, 1),
}
RESIZED: dict[str, Function] = {
    "bilinear by a fraction": lambda _, y: F.interpolate(y, scale_factor=1.7, mode="bilinear"),
    "nearest by a fraction": lambda _, y: F.interpolate(y, scale_factor=1.7),
    "nearest-exact by a fraction": lambda _, y: F.interpolate(
        y, scale_factor=1.7, mode="nearest-exact"
    ),
    "bicubic by a fraction": lambda _, y: F.interpolate(y, scale_factor=0.6, mode="bicubic"),
    "bilinear, antialiased": lambda _, y: F.interpolate(
        y, size=(7, 5), mode="bilinear", antialias=True
    ),
    "bicubic, antialiased": lambda _, y: F.interpolate(
        y, size=(23, 5), mode="bicubic", antialias=True
    ),
    "bilinear to one column": lambda _, y: F.interpolate(
        y, size=(9, 1), mode="bilinear", align_corners=True
    ),
    "linear, of rows": lambda _, y: F.interpolate(
        y.flatten(2), scale_factor=1.3, mode="linear"
    ).unsqueeze(3),
    "bilinear to a size": lambda _, y: F.interpolate(y, size=(40, 33), mode="bilinear"),
}

# All of them meet NaN and both infinities.
DAMAGED: dict[str, Function] = {
    "relu6": lambda _, y: F.relu6(1 - y),
    "hardswish": lambda _, y: F.hardswish(1 - y),
    "clamped from below": lambda _, y: (1 - y).clamp(min=-0.5),
    "clamped by a tensor": lambda net, y: torch.clamp(1 - y, -net.vector, net.vector),
    "threshold": lambda _, y: F.threshold(1 - y, 0.1, 0.2),
    "hardshrink": lambda _, y: F.hardshrink(1 - y, 0.2),
    "maximum, ceil": lambda _, y: F.max_pool2d(y, 3, 2, 1, ceil_mode=True),
    "gelu": lambda _, y: F.gelu(1 - y),
    "bilinear by two": lambda _, y: F.interpolate(y, scale_factor=2, mode="bilinear"),
    "bicubic by a fraction": lambda _, y: F.interpolate(y, scale_factor=1.7, mode="bicubic"),
    "less the median": lambda _, y: y - y.median(3, keepdim=True)[0],
    "log of summed exponentials": lambda _, y: y.logsumexp(1, keepdim=True) - y,
    "squeeze and excite": lambda _, y: y * F.hardsigmoid(y.mean((2, 3), keepdim=True)),
}


class Only(nn.Module):
    """A function of a convolution's output."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.inner = Between(function, 8)

    def forward(self, x: Tensor) -> Tensor:
        """As the function has it."""
        return self.inner.middle(self.inner, self.inner.first(x))


class Together(nn.Module):
    """Several networks of one input."""

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks.values())

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """One output of each."""
        return tuple(network(x) for network in self.networks)


@pytest.mark.parametrize("table", [PADDED, LACKING, RESIZED], ids=["padded", "lacking", "resized"])
def test_a_function_between_convolutions_is_right(table: Mapping[str, Function]) -> None:
    torch.manual_seed(0)
    networks = {name: Between(middle, CHANNELS) for name, middle in table.items()}
    found = dict(zip(networks, errors(Together(networks)), strict=True))
    assert {name: error for name, error in found.items() if error > 1e-4} == {}


def test_a_size_that_a_trace_works_out_is_a_number() -> None:
    torch.manual_seed(0)
    half = Only(
        lambda _, y: F.interpolate(y, scale_factor=0.5, mode="area", recompute_scale_factor=True)
    )
    assert max(errors(half)) < 1e-4


def test_nan_and_infinities_come_out_where_pytorch_has_them() -> None:
    torch.manual_seed(0)
    networks = {name: Between(middle, CHANNELS) for name, middle in DAMAGED.items()}
    found = dict(zip(networks, errors(Together(networks), damage=True), strict=True))
    assert {name: error for name, error in found.items() if error > 1e-4} == {}


def test_padded_lanes_reach_nothing_at_another_vector_width() -> None:
    """24 channels fill vectors of 4 and 8 lanes, not of 16; 10 fill none."""
    torch.manual_seed(0)
    middle = PADDED["divided by a map"]
    networks = {str(channels): Between(middle, channels) for channels in (9, 24)}
    assert max(errors(Together(networks), target="rpi4")) < 1e-4


class SharedConvolution(nn.Module):
    """One convolution for two levels, a BatchNorm for each."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.shared = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3, padding=1)
        self.norms = nn.ModuleList([lively_norm(16), lively_norm(16)])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Two maps of 16 channels."""
        high = self.first(x)
        low = F.max_pool2d(high, 2)
        return self.norms[0](self.shared(high)), self.norms[1](self.shared(low))


class ActivatedNorm(nn.BatchNorm2d):
    """A BatchNorm with the activation inside, as timm's."""

    def forward(self, x: Tensor) -> Tensor:
        """The shape of `x`."""
        return F.relu(super().forward(x))


def weighed() -> nn.Module:
    layer = torch.nn.utils.weight_norm(nn.Conv2d(3, 8, 3))
    return nn.Sequential(layer, lively_norm(8), nn.ReLU())


def parametrized() -> nn.Module:
    layer = torch.nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3))
    return nn.Sequential(layer, lively_norm(8))


def pruned() -> nn.Module:
    layer = nn.Conv2d(3, 8, 3)
    prune.l1_unstructured(layer, "weight", 0.4)  # type: ignore[no-untyped-call]
    return nn.Sequential(layer, lively_norm(8))


class DenseRows(nn.Module):
    """A dense layer along the rows, and a BatchNorm over as many channels: torch itself folds it, wrongly."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = nn.Linear(19, 3), lively_norm(3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 3, H, 3)."""
        return self.norm(self.layer(x))  # type: ignore[no-any-return]


NORMS: dict[str, Callable[[], nn.Module]] = {
    "shared convolution": SharedConvolution,
    "dropout between": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.Dropout2d(0.1), lively_norm(8)),
    "synchronised": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), lively_norm(8, nn.SyncBatchNorm)),
    "with its activation": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), lively_norm(8, ActivatedNorm)),
    "old weight norm": weighed,
    "new weight norm": parametrized,
    "pruned": pruned,
    "after a dense layer over rows": DenseRows,
}


def test_batch_norms_are_folded_where_they_belong() -> None:
    torch.manual_seed(0)
    networks = {name: make().eval() for name, make in NORMS.items()}
    assert max(errors(Together(networks))) < 1e-4


@pytest.mark.parametrize("kind", [SharedConvolution, DenseRows])
@pytest.mark.parametrize("script", [True, False], ids=["scripted", "traced"])
def test_batch_norms_of_torchscript_are_folded_where_they_belong(
    script: bool, kind: type[nn.Module]
) -> None:
    torch.manual_seed(0)
    module = kind().eval()
    made: Any = torch.jit.script(module) if script else torch.jit.trace(module, torch.zeros(SHAPE))  # type: ignore[no-untyped-call]
    assert max(errors(made)) < 1e-4


class Attention(nn.Module):
    """An encoder layer over the pixels: torch fuses it into one operator."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.encoder = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, pixels, 16)."""
        return self.encoder(self.patches(x).flatten(2).transpose(1, 2))  # type: ignore[no-any-return]


class Several(nn.Module):
    """A dict with a tuple in it, a weight and the input itself among the outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 8, 3)
        self.register_buffer("anchors", torch.rand(3, 4))

    def forward(self, x: Tensor) -> dict[str, Any]:
        """Four tensors."""
        y = self.layer(x)
        return {"out": F.relu(y), "aux": (y * 2, self.anchors), "image": x}


@pytest.mark.parametrize("form", ["module", "traced", "scripted"])
def test_attention_is_right(form: str) -> None:
    torch.manual_seed(0)
    made: Any = Attention().eval()
    with torch.no_grad():  # or else torch does not fuse
        if form == "traced":
            made = torch.jit.trace(made, torch.zeros(SHAPE))  # type: ignore[no-untyped-call]
        elif form == "scripted":
            made = torch.jit.script(made)
    assert max(errors(made)) < 1e-4


class Exported(nn.Module):
    """What torch.export's decompositions leave as operators that nobody else writes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.group, self.rows = nn.Conv2d(3, 6, 3), nn.GroupNorm(2, 6), nn.LayerNorm(17)
        self.around = nn.Conv2d(6, 6, 3, padding=1, padding_mode="circular")
        self.within = nn.Conv2d(6, 6, 3, padding="valid")

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Seven tensors."""
        y = self.first(x)
        pooled = F.adaptive_avg_pool2d(y, (4, 5))
        given = (F.selu(self.group(y)), F.celu(self.rows(y), 0.7), torch.softmax(y, 1))
        return *given, pooled.float(), F.instance_norm(y), self.around(y), self.within(y)


def test_what_export_leaves_is_right() -> None:
    torch.manual_seed(0)
    program = torch.export.export(Exported().eval(), (torch.zeros(SHAPE),))
    made: Any = program.run_decompositions().module()
    assert max(errors_of(Model("net", made, SHAPE, None, (), "random", "0" * 64))) < 1e-4


def test_outputs_may_be_nested_or_not_worked_out_at_all() -> None:
    torch.manual_seed(0)
    assert len(found := errors(Several())) == 4 and max(found) < 1e-4


def test_even_kernels_are_padded_the_same() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 16, 4, padding="same"), nn.Conv2d(16, 8, 3, padding="same", dilation=2)]
    assert max(errors(nn.Sequential(*layers))) < 1e-4


class DataBranch(nn.Module):
    """Takes one way or the other by what the image holds."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 8, H, W)."""
        if x.mean() > 0:
            return self.layer(x)  # type: ignore[no-any-return]
        return -self.layer(x)  # type: ignore[no-any-return]


class SizeBranch(DataBranch):
    """Takes one way or the other by the image's size, which is settled."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, 8, H, W)."""
        if x.shape[2] % 2 == 1:
            x = x[:, :, 1:]
        return self.layer(x)  # type: ignore[no-any-return]


@pytest.mark.parametrize("script", [False, True], ids=["module", "scripted"])
def test_a_branch_on_the_data_is_refused_by_its_line(script: bool) -> None:
    module: Any = torch.jit.script(DataBranch()) if script else DataBranch()
    with pytest.raises(UserError, match="net decides by its data, in ") as told:
        import_model(named(module), load("host"))
    assert "test_right_answers.py:" in str(told.value)
    assert script or "`if x.mean() > 0:`" in str(told.value)


def test_a_branch_on_the_size_is_none() -> None:
    assert max(errors(SizeBranch())) < 1e-4


class Deaf(nn.Module):
    """Gives the same whatever it is given."""

    def forward(self, x: Tensor) -> Tensor:
        """(3,)"""
        return torch.ones(3) * 2


def test_what_stops_an_import_is_said() -> None:
    with pytest.raises(UserError, match=r"^net does not read its input: there is nothing to comp"):
        import_model(named(Deaf()), load("host"))
    refused: dict[str, Function] = {
        r"cannot be imported: it has aten::fft_rfft2; write ": lambda _, y: torch.fft.rfft2(
            y
        ).abs(),
        r"decides by its data how much it gives, in index \(.*\.py:\d+\): ": lambda _, y: y[y > 0],
        r"cannot be imported: PyTorch runs max_unpool2d and cannot trace it ": lambda _, y: (
            F.max_unpool2d(*F.max_pool2d(y[..., :16, :16], 2, return_indices=True), [2, 2])
        ),
    }
    for reason, middle in refused.items():
        with pytest.raises(UserError, match=f"^net {reason}"):
            import_model(named(Only(middle)), load("host"))
