# SPDX-License-Identifier: Apache-2.0
"""What an inference takes by the simulated costs that an artifact's kernels were chosen by.

Takes a `Manifest`; gives a `Total`, with the range that published boards support.
"""

from mnc.compile.artifact.manifest import Manifest
from mnc.compile.simulator.totals import Total, total_by


def simulated_total(manifest: Manifest) -> Total | None:
    """All kernels with all their calls. None unless every one has a cost, all of one core model."""
    measurers = {kernel.measurer or "" for kernel in manifest.kernels}
    costs = [kernel.cost for kernel in manifest.kernels]
    if len(measurers) != 1 or None in costs:
        return None
    calls = [kernel.calls for kernel in manifest.kernels]
    seconds = sum((cost or 0.0) * count for cost, count in zip(costs, calls, strict=True))
    return total_by(measurers.pop(), seconds)
