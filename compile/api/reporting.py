# SPDX-License-Identifier: Apache-2.0
"""Artifacts side by side on one HTML page."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnc.compile.api.listing import artifact_folders
from mnc.compile.api.named import LOGS, OUT, open_artifact
from mnc.compile.report.options import ReportOptions
from mnc.support.errors import UserError
from mnc.support.files import write_atomic
from mnc.targets.core_classes import fast_class

if TYPE_CHECKING:
    from mnc.compile.api.named import AnyArtifact
    from mnc.compile.report.data import Report


def report(
    artifacts: "Sequence[AnyArtifact]" = (),
    out: Path = Path("report.html"),
    *,
    threads: Sequence[int] | None = None,
    run: bool = True,
    before: bool = False,
    seconds: float = 3.0,
    logs: Path = LOGS,
) -> "Report":
    """Write the page of `artifacts` (none: all under build/) to `out`, and give what is on it.

    Unless `run` is false, those that this machine can run are timed, `seconds` for each contestant and on
    each number of `threads` (None: 1 and all cores); `before` also builds and times what there was before
    tuning.
    """
    chosen = tuple(artifacts) or artifact_folders()
    if not chosen:
        raise UserError(f"no artifact under {OUT}; make one with `mnc build`, or name its folder")
    checked = [open_artifact(one, allow_failed=True) for one in chosen]  # the page says it
    counts = threads or sorted({1, fast_class().cores})
    from mnc.compile.report import collect
    from mnc.compile.report.page import page

    options = ReportOptions(
        logs=logs,
        threads=tuple(dict.fromkeys(counts)) if run else (),
        seconds=seconds,
        before=before,
    )
    gathered = collect.report(checked, options)
    write_atomic(out, page(gathered).encode())
    return gathered
