# SPDX-License-Identifier: Apache-2.0
"""The report by the API: of the artifacts named, or of all under build/."""

from pathlib import Path

import pytest

from mnc.compile import api
from mnc.support.errors import UserError
from tests.compile.conftest import Tiny


def test_without_names_all_that_was_built_is_shown(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no artifact under build; make one with `mnc build`"):
        api.report(run=False)
    for place in ("x86/one", "x86/two"):
        tiny.save(tmp_path / "build" / place)
    shown = api.report(run=False, logs=tmp_path / "logs")
    assert [Path(one.folder).name for one in shown.subjects] == ["one", "two"]
    assert not any(one.timings for one in shown.subjects)
    assert "</html>" in (tmp_path / "report.html").read_text("utf-8")
