# SPDX-License-Identifier: Apache-2.0
"""A small network in 8-bit integers with every kind of operator that integers have rules for."""

import torch
from torch import Tensor, fx, nn

from mnc.model.quantization.operators import fake_quantize, quantized_weight
from mnc.model.zoo import Model


class Quantized(nn.Module):
    """A convolution with marked weights; `at` are stride, padding, dilation and groups."""

    def __init__(
        self, shape: tuple[int, ...], at: tuple[int, int, int, int] = (1, 0, 1, 1)
    ) -> None:
        super().__init__()
        weight = torch.randn(shape)
        scale = weight.abs().amax((1, 2, 3)) / 127
        self.register_buffer(
            "numbers", (weight / scale[:, None, None, None]).round().to(torch.int8)
        )
        self.register_buffer("scale", scale)
        self.bias = nn.Parameter(torch.randn(shape[0]))
        self.at = at

    def forward(self, x: Tensor) -> Tensor:
        """As conv2d."""
        weight = quantized_weight(self.numbers, self.scale)  # type: ignore[arg-type]
        return nn.functional.conv2d(x, weight, self.bias, *self.at)


class QuantizedDense(Quantized):
    """A dense layer; `shape` is that of its weights as a 1x1 convolution's."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.register_buffer("numbers", self.get_buffer("numbers").flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        """As linear."""
        weight = quantized_weight(self.numbers, self.scale)  # type: ignore[arg-type]
        return nn.functional.linear(x, weight, self.bias)


class Net(nn.Module):
    """Residual sums, squeeze and excitation, hard swish, strides, groups; (1, 3, 32, 32) to (1, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Quantized((24, 3, 3, 3), (2, 0, 1, 1))
        self.depthwise = Quantized((24, 1, 3, 3), (1, 1, 1, 24))
        self.narrow = Quantized((40, 24, 1, 1))
        self.again = Quantized((40, 40, 1, 1))
        self.summed = Quantized((40, 40, 1, 1))
        self.wide = Quantized((40, 1, 5, 5), (2, 2, 1, 40))
        self.grouped = Quantized((40, 10, 3, 3), (1, 2, 2, 4))
        self.squeeze = Quantized((16, 40, 1, 1))
        self.excite = Quantized((40, 16, 1, 1))
        self.last = Quantized((10, 40, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Every map that is stored is marked."""
        relu, relu6 = nn.functional.relu, nn.functional.relu6
        x = nn.functional.pad(fake_quantize(x, 0.02, 120), (0, 1, 0, 1))  # as TensorFlow has it
        x = fake_quantize(relu(self.first(x)), 0.08, 0)
        x = fake_quantize(
            self.narrow(fake_quantize(relu6(self.depthwise(x)), 6 / 255, 0)), 0.5, 131
        )
        x = fake_quantize(x + fake_quantize(self.again(x), 2.0, 100), 2.1, 121)
        x = fake_quantize(x + self.summed(x), 9.0, 124)
        x = fake_quantize(self.wide(fake_quantize(nn.functional.hardswish(x), 1.3, 3)), 20.0, 100)
        x = fake_quantize(self.grouped(x), 200.0, 110)
        pooled = fake_quantize(x.mean((2, 3), keepdim=True), 20.0, 100)
        pooled = fake_quantize(relu(self.squeeze(pooled)), 30.0, 0)
        gate = fake_quantize(self.excite(pooled), 30.0, 128)
        x = fake_quantize(
            x * fake_quantize(nn.functional.hardsigmoid(gate), 1 / 255, 0), 150.0, 100
        )
        x = fake_quantize(nn.functional.adaptive_avg_pool2d(x, 1), 9.0, 90)
        return self.last(x).flatten(1)  # type: ignore[no-any-return]


class Heads(nn.Module):
    """As detectors end: sums that nothing stores, their axes moved, (1, 3, 32, 32) to (1, 256, 10);
    and a hidden dense layer, to (1, 6).
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = Quantized((10, 3, 3, 3), (2, 1, 1, 1))
        self.hidden = QuantizedDense((8, 10, 1, 1))
        self.last = QuantizedDense((6, 8, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both outputs."""
        sums = self.first(fake_quantize(x, 0.02, 120))
        pooled = fake_quantize(fake_quantize(sums, 0.1, 128).mean((2, 3)), 0.05, 110)
        hidden = fake_quantize(torch.relu(self.hidden(pooled)), 0.05, 0)
        return sums.permute(0, 2, 3, 1).reshape(1, 256, 10), self.last(hidden)


class _Tracer(fx.Tracer):
    """Marked weights are constants to fx unless their module is a leaf."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Quantized) or super().is_leaf_module(m, module_qualified_name)


def model(kind: type[nn.Module] = Net) -> Model:
    """A network, seeded."""
    torch.manual_seed(0)
    net = kind().eval()
    return Model(
        name="tiny_int8",
        network=fx.GraphModule(net, _Tracer().trace(net)),
        input_shape=(1, 3, 32, 32),
        preprocess=None,
        labels=(),
        weights="random",
        weights_hash="0" * 64,
        precision="int8",
    )
