# SPDX-License-Identifier: Apache-2.0
"""Compares what was just built with PyTorch, also what is for another CPU, and writes that into its manifest.

Takes what a build made, its `Artifact` and PyTorch's function; gives a `BuildCheck`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mnc.compile.artifact import store
from mnc.compile.artifact.manifest import Comparison
from mnc.compile.artifact.store import Artifact
from mnc.compile.codegen.network import Built
from mnc.compile.runtime.session import Session, can_run
from mnc.compile.runtime.stand_in import StandIn, compiled_here
from mnc.compile.runtime.verify import Check, VerifyReport, verify
from mnc.model.reference import Reference
from mnc.support import error_text

Place = Literal["device", "host"]


@dataclass(frozen=True)
class BuildCheck:
    """`artifact` with the comparison in its manifest, and each of its `checks`: none where it did not run.
    `note` says why nothing was compared, where nothing was.
    """

    artifact: Artifact
    checks: tuple[Check, ...] = ()
    note: str = ""


def check_build(artifact: Artifact, built: Built, reference: Reference) -> BuildCheck:
    """Compare the artifact itself where this machine runs it, else its program compiled for this machine."""
    if can_run(artifact.manifest.target):
        return _recorded(artifact, "device", lambda: Session(artifact), reference)
    try:
        factory = compiled_here(built, family=artifact.manifest.family)
    except Exception as error:  # TVM raises anything; over there it may be right all the same
        return BuildCheck(artifact, note=f"this machine cannot: {error_text.of_exception(error)}")
    return _recorded(artifact, "host", lambda: StandIn(artifact, factory), reference)


def _recorded(
    artifact: Artifact, on: Place, session: Callable[[], Session], reference: Reference
) -> BuildCheck:
    try:
        report = verify(artifact, session=session(), reference=reference)
    except Exception as error:  # other shapes, or a run that ends in an error: wrong in any case
        reason = error_text.of_exception(error)
        failed = Comparison(on=on, passed=False, reason=reason)
        return BuildCheck(store.record(artifact, failed))
    return BuildCheck(store.record(artifact, _comparison(report, on)), report.checks)


def _comparison(report: VerifyReport, on: Place) -> Comparison:
    held_to = (check for check in report.checks if math.isfinite(check.tolerance))
    worst = max(check.max_relative for check in held_to)
    return Comparison(on=on, passed=report.ok, max_relative=worst if math.isfinite(worst) else None)
