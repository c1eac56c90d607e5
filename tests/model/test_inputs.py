# SPDX-License-Identifier: Apache-2.0
"""Networks of several inputs: what a person gives, in order or by name, becomes what they are called with."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mnc.model import zoo
from mnc.model.inputs import Input, InputShapes
from mnc.support.errors import UserError

IMAGE, MASK = (1, 3, 9, 8), (1, 1, 9, 8)
INPUTS = (Input("image", IMAGE), Input("mask", MASK))


class Masked(nn.Module):
    """A convolution of one input times another."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 5, 1)

    def forward(self, image: Tensor, mask: Tensor, bias: Tensor | None = None) -> Tensor:
        """(N, 5, H, W)."""
        y: Tensor = self.layer(image) * mask
        return y if bias is None else y + bias


def examples() -> tuple[Tensor, Tensor]:
    return torch.zeros(IMAGE), torch.zeros(MASK)


def traced(path: Path) -> None:
    torch.jit.trace(Masked(), examples()).save(path)  # type: ignore[no-untyped-call]


def scripted(path: Path) -> None:
    torch.jit.script(Masked()).save(path)  # type: ignore[no-untyped-call]


def exported(path: Path) -> None:
    torch.export.save(torch.export.export(Masked(), examples()), path)


def by_keyword(path: Path) -> None:
    image, mask = examples()
    torch.export.save(torch.export.export(Masked(), (image,), {"mask": mask}), path)


FORMS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "traced": ("net.pt", traced),
    "scripted": ("net.pt", scripted),
    "exported": ("net.pt2", exported),
    "exported by keyword": ("net.pt2", by_keyword),
}
GIVEN: tuple[InputShapes, ...] = ((IMAGE, MASK), {"mask": MASK, "image": IMAGE})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("form", FORMS)
def test_shapes_go_to_inputs_in_order_or_by_name(form: str, tmp_path: Path) -> None:
    name, save = FORMS[form]
    save(tmp_path / name)
    given = (*GIVEN, None) if name == "net.pt2" else GIVEN
    for shapes in given:
        model = zoo.load(str(tmp_path / name), input_shape=shapes)
        assert model.inputs == INPUTS and model.input_shape == IMAGE
        assert model.module(*examples()).shape == (1, 5, 9, 8)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "shapes", [IMAGE, (IMAGE, MASK, MASK, MASK), {"image": IMAGE, "veil": MASK}, {"mask": MASK}]
)
def test_other_shapes_than_it_takes_are_refused_by_name(
    shapes: InputShapes, tmp_path: Path
) -> None:
    scripted(tmp_path / "net.pt")
    said = (
        "takes 2 inputs, image, mask, and may take bias: give the shape of each, as in --input-sh"
    )
    with pytest.raises(UserError, match=said):
        zoo.load(str(tmp_path / "net.pt"), input_shape=shapes)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_optional_input_may_be_left_out_or_given(tmp_path: Path) -> None:
    scripted(tmp_path / "net.pt")
    model = zoo.load(str(tmp_path / "net.pt"), input_shape=(IMAGE, MASK, MASK), batch=2)
    assert [one.name for one in model.inputs] == ["image", "mask", "bias"]
    assert [one.shape[0] for one in model.inputs] == [2, 2, 2]
