# SPDX-License-Identifier: Apache-2.0
"""A file that was traced or exported in training mode is refused by name, in use it is not."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mnc.model import prepare, zoo
from mnc.support.errors import UserError

SHAPE = (2, 3, 12, 12)


class Trained(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.whole, self.drop = nn.BatchNorm2d(8, track_running_stats=False), nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.drop(self.whole(self.norm(self.convolution(x))))
        return found


def traced(module: nn.Module, path: Path) -> None:
    made = torch.jit.trace(module, torch.rand(SHAPE), check_trace=False)  # type: ignore[no-untyped-call]
    made.save(str(path))


def exported(module: nn.Module, path: Path) -> None:
    torch.export.save(torch.export.export(module, (torch.rand(SHAPE),)), path)


@pytest.mark.parametrize(("save", "suffix"), [(traced, ".pt"), (exported, ".pt2")])
def test_a_file_in_training_mode_is_refused_and_one_in_use_is_not(
    save: object, suffix: str, tmp_path: Path
) -> None:
    assert callable(save)
    path = tmp_path / f"net{suffix}"
    save(Trained().train(), path)
    with pytest.raises(UserError, match=r"net is in training mode \(batch_norm, dropout\)"):
        prepare.trace(zoo.load(str(path), input_shape=SHAPE))
    save(Trained().eval(), path)
    prepare.trace(zoo.load(str(path), input_shape=SHAPE))


def test_a_script_follows_the_mode_that_it_is_set_to(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.jit.script(Trained().train()).save(str(path))  # type: ignore[no-untyped-call]
    prepare.trace(zoo.load(str(path), input_shape=SHAPE))
