# SPDX-License-Identifier: Apache-2.0
"""The Python API from end to end: tune a small network a little, build it, run it, compare, time.

    python examples/quickstart.py [FOLDER]

Everything goes into FOLDER (default: quickstart/). It takes about half a minute, and less the second time:
the trials are in the log.
"""

import sys
from pathlib import Path

from mnc import build, load, tune
from mnc.compile.api import bench, verify

MODEL = (
    "mobilenet_v1_28"  # trained on Fashion-MNIST, 28x28 pixels; any name of `mnc models` will do
)


def main(folder: Path) -> None:
    """Tune, build, load, run, verify, bench."""
    summary = tune(MODEL, trials=32, tasks=["pointwise"], logs=folder / "logs")
    print(f"{summary.trials} new trials, failures: {summary.failures or 'none'}")

    artifact = build(MODEL, out=folder / "build", logs=folder / "logs")
    tuned = sum(kernel.tuned for kernel in artifact.manifest.kernels)
    print(f"{artifact.folder}: {tuned} of {len(artifact.manifest.kernels)} tasks tuned")

    session = load(artifact.folder, threads=1)
    image = artifact.golden().inputs[0][0]  # (1, 1, 28, 28), float32, as the manifest says
    (logits,) = session.run(image)
    for label, probability in session.top(logits, 3):
        print(f"  {probability:6.1%}  {label}")

    for check in verify(artifact, threads=1).checks:
        print(f"against {check.against}: largest relative error {check.max_relative:.1e}")
        assert check.ok

    for runtime, latency in bench(artifact, threads=1, seconds=0.5).latencies.items():
        median, p90 = latency.median * 1e6, latency.p90 * 1e6
        print(f"{runtime}: median {median:.0f} us, 90% within {p90:.0f} us")


if __name__ == "__main__":  # tune starts processes, which import this file
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("quickstart"))
