# SPDX-License-Identifier: Apache-2.0
"""Where an inference's time goes, layer by layer; what the device could do, and what the log foretold."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mnc.compile.api.named import open_artifact
from mnc.compile.device.opening import open_runner
from mnc.compile.device.options import DeviceOptions
from mnc.compile.machine.roofs import in_precision
from mnc.compile.report.simulated import simulated_total
from mnc.compile.rpc.address import Cores
from mnc.compile.runtime.layer_profile import Profile
from mnc.compile.simulator.totals import Total
from mnc.support.errors import UserError

if TYPE_CHECKING:
    from mnc.compile.api.named import AnyArtifact
    from mnc.compile.artifact.manifest import Manifest
    from mnc.compile.machine.roofs import Roof


@dataclass(frozen=True)
class ProfileReport(Profile):
    """A `Profile` of `network`. `predicted` is the seconds that the log's costs of its kernels add up to, all
    calls; None where one is not tuned, or was on another number of threads; `simulated` is the same with its
    range, where they are a core model's. `roof` is what so many threads of the device `target` can do; None
    where too little is known.
    """

    network: str
    target: str
    predicted: float | None
    simulated: Total | None
    roof: "Roof | None"


def profile(
    artifact: "AnyArtifact",
    *,
    threads: int | None = None,
    device: str | None = None,
    cores: Cores = "big",
    runs: int = 30,
    allow_failed: bool = False,
) -> ProfileReport:
    """Time each layer within `runs` inferences. The other options are as `load` takes them."""
    checked = open_artifact(artifact, allow_failed=allow_failed)
    options = DeviceOptions(address=device, threads=threads, cores=cores)
    runner = open_runner(checked.manifest.target.name, options)
    made = runner.profile(checked, runs=runs)
    roof = runner.roof(made.threads)
    predicted = _predicted(checked.manifest, made.threads)
    return ProfileReport(
        layers=made.layers,
        threads=made.threads,
        network=checked.manifest.network.name,
        target=runner.target.name,
        predicted=predicted,
        simulated=simulated_total(checked.manifest) if predicted else None,
        roof=roof and in_precision(roof, runner.target, checked.manifest.dtype),
    )


def draw_roofline(report: ProfileReport, path: Path) -> None:
    """Draw the layers under the roofline, as an SVG file. UserError where the roof is not known."""
    from mnc.compile.report import plots
    from mnc.compile.report.measured import rows_of
    from mnc.support.files import write_atomic

    svg = plots.roofline(rows_of(report), report.roof, title=report.network)
    if not svg:
        raise UserError(
            f"what {report.target} can do is not known, so there is no roofline to draw"
        )
    write_atomic(path, plots.standalone(svg).encode())


def _predicted(manifest: "Manifest", threads: int) -> float | None:
    seconds = 0.0
    for kernel in manifest.kernels:
        if kernel.cost is None or f"threads={threads}" not in str(kernel.measurer).split():
            return None
        seconds += kernel.cost * kernel.calls
    return seconds or None
