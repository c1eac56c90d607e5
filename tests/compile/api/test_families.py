# SPDX-License-Identifier: Apache-2.0
"""Families of kernels are chosen from where there is a choice."""

from pathlib import Path

import pytest

from mnc.compile import api
from mnc.model.quantization import imported
from mnc.support.errors import UserError
from tests.model.quantization import quantized_forms
from tests.model.quantization.networks import model_of


def test_only_our_own_kernels_are_of_integers(tmp_path: Path) -> None:
    model = imported.with_its_scales(model_of(quantized_forms.trained(), (1, 3, 32, 32)))
    with pytest.raises(UserError, match=r"is in 8-bit integers, for which only mnc's own kernels"):
        api.choose_family(model, "rpi4", simulate=True, logs=tmp_path)
    assert not list(tmp_path.rglob("*.json"))
