# SPDX-License-Identifier: Apache-2.0
"""Variables that hold for a while are put back, whatever happened meanwhile."""

import os

import pytest

from mnc.support.environment import variables


def test_they_hold_meanwhile_and_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNC_KNOWN", "before")
    monkeypatch.delenv("MNC_NEW", raising=False)
    with pytest.raises(KeyError), variables(MNC_KNOWN="1", MNC_NEW="2"):
        assert (os.environ["MNC_KNOWN"], os.environ.pop("MNC_NEW")) == ("1", "2")
        raise KeyError
    assert os.environ["MNC_KNOWN"] == "before" and "MNC_NEW" not in os.environ
