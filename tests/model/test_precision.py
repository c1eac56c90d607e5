# SPDX-License-Identifier: Apache-2.0
"""Files in half, bf16 and double become float32 through and through: weights, constants, casts."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mnc.model import prepare, zoo

SHAPE = (1, 3, 8, 7)


class Mixed(nn.Module):
    """Weights, a buffer, constants and casts of the type that the weights have."""

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        # A kernel of 5 is the same number in the graph as the type half.
        self.first, self.last = nn.Conv2d(3, 12, 5, padding=2), nn.Linear(12, 5)
        self.norm = nn.BatchNorm2d(12)
        self.register_buffer("scale", torch.rand(12, 1, 1) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 5)."""
        y = self.norm(self.first(x.to(self.scale.dtype))) * self.scale
        kernel = torch.full([12, 1, 5, 5], 0.04, dtype=y.dtype)
        y = torch.conv2d(y.float().to(self.scale.dtype), kernel, padding=2, groups=12)
        y = y + torch.tensor([0.5, 1.5], dtype=y.dtype).mean()
        return self.last(y.mean((2, 3)))  # type: ignore[no-any-return]


def save(module: nn.Module, form: str, example: Tensor, folder: Path) -> Path:
    """In one of the forms that networks come in."""
    if form in ("exported", "decomposed"):
        program = torch.export.export(module, (example,))
        file = folder / "net.pt2"
        torch.export.save(program if form == "exported" else program.run_decompositions(), file)
        return file
    made = torch.jit.script(module) if form == "scripted" else torch.jit.trace(module, example)  # type: ignore[no-untyped-call]
    made.save(folder / "net.pt")
    return folder / "net.pt"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("form", ["traced", "scripted", "exported", "decomposed"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_a_file_of_another_precision_is_the_network_in_float32(
    dtype: torch.dtype, form: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    module = Mixed().eval().to(dtype)
    x = torch.randn(SHAPE)
    file = save(module, form, x.to(dtype), tmp_path)
    model = zoo.load(str(file), input_shape=SHAPE)
    with torch.no_grad():
        wanted = module.float()(x)
        for run in (model.module, prepare.trace(model)):
            torch.testing.assert_close(run(x), wanted, rtol=1e-4, atol=1e-5)
    graph = str(prepare.trace(model).inlined_graph)
    assert not any(word in graph for word in ("Half(", "BFloat16(", "Double("))
