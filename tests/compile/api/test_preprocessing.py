# SPDX-License-Identifier: Apache-2.0
"""How photographs go into networks that do not say it, and into those that do."""

from typing import Any

import msgspec
import pytest

from mnc.compile.api import preprocessing
from mnc.compile.artifact.manifest import Manifest
from mnc.model.preprocess import Preprocess
from mnc.support.errors import UserError
from tests.compile.conftest import Tiny

NOTHING: dict[str, Any] = {"mean": None, "scale": None, "size": None}


def of(tiny: Tiny, *shape: int, told: Preprocess | None = None) -> Manifest:
    tensor = msgspec.structs.replace(tiny.manifest.inputs[0], shape=shape)
    return msgspec.structs.replace(tiny.manifest, inputs=(tensor,), preprocess=told)


def test_what_is_given_serves_a_network_that_says_nothing(tiny: Tiny) -> None:
    how = preprocessing.chosen(of(tiny, 2, 3, 16, 16), mean=(127.5,), scale=(1, 2, 3), size=20)
    assert how == Preprocess(size=16, resize=20, mean=(127.5,) * 3, scale=(1, 2, 3))
    gray = preprocessing.chosen(of(tiny, 1, 1, 8, 8), mean=(0.0,), scale=(1,), size=None)
    assert gray == Preprocess(size=8, resize=8, mean=(0,), scale=(1,), channels="gray")
    wide = of(tiny, 1, 1, 8, 32)
    assert preprocessing.chosen(wide, mean=(0.0,), scale=(1,), size=None) == gray
    assert preprocessing.extent_of(wide) == (8, 32)


def test_what_is_given_goes_before_what_the_artifact_says(tiny: Tiny) -> None:
    told = Preprocess(size=16, resize=18, mean=(1,) * 3, scale=(2,) * 3, crop="squash")
    manifest = of(tiny, 1, 3, 16, 16, told=told)
    assert preprocessing.chosen(manifest, **NOTHING) == told
    changed = msgspec.structs.replace(told, mean=(5, 6, 7), resize=32)
    assert preprocessing.chosen(manifest, mean=(5, 6, 7), scale=None, size=32) == changed


@pytest.mark.parametrize(
    ("shape", "given", "words"),
    [
        ((1, 3, 16, 16), {}, "give --mean and --scale"),
        ((1, 3, 16, 16), {"mean": (1,)}, "give --mean and --scale"),
        (
            (1, 3, 16, 16),
            {"mean": (1, 2), "scale": (1,)},
            "--mean 1,2: give one finite number, or 3",
        ),
        (
            (1, 1, 16, 16),
            {"mean": (1,), "scale": (1, 1, 1)},
            "--scale 1,1,1: give one finite number",
        ),
        ((1, 3, 16, 16), {"mean": (float("nan"),), "scale": (1,)}, "--mean nan"),
        ((1, 3, 16, 16), {"mean": (1,), "scale": (1,), "size": 15}, "--size 15 is outside of 16"),
        ((1, 4, 16, 16), {"mean": (1,), "scale": (1,)}, "takes 1x4x16x16, which a photograph"),
        ((1, 10), {}, "takes 1x10, which a photograph"),
    ],
)
def test_what_does_not_fit_is_refused(
    tiny: Tiny, shape: tuple[int, ...], given: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError) as caught:
        preprocessing.chosen(of(tiny, *shape), **NOTHING | given)
    assert words in str(caught.value)
