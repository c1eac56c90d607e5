# SPDX-License-Identifier: Apache-2.0
"""An artifact at work: opened, loaded, asked what photographs show."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnc.compile.api import preprocessing
from mnc.compile.api.named import open_artifact
from mnc.compile.artifact.store import Artifact
from mnc.compile.device.opening import open_runner
from mnc.compile.device.options import DeviceOptions
from mnc.compile.rpc.address import Cores
from mnc.compile.runtime.session import Array, Session, can_run

if TYPE_CHECKING:
    from mnc.compile.api.named import AnyArtifact


def load(
    artifact: "AnyArtifact",
    *,
    threads: int | None = None,
    device: str | None = None,
    cores: Cores = "big",
    allow_failed: bool = False,
) -> Session:
    """Check an artifact's files by hash, load its native code, and give a Session to run it with.

    `session.run(array)` gives the outputs, `session.top(logits)` the likeliest labels. `threads` is all
    cores by default; with `device` it runs there, on `cores` of that class. What failed its comparison
    with PyTorch is refused, unless `allow_failed`. Only load artifacts from people you trust.
    """
    checked = open_artifact(artifact, allow_failed=allow_failed)
    options = DeviceOptions(address=device, threads=threads, cores=cores)
    return open_runner(checked.manifest.target.name, options).session(checked)


def runs_here(artifact: Artifact) -> bool:
    """Whether this machine's CPU can run it."""
    return can_run(artifact.manifest.target)


def read_images(
    artifact: Artifact,
    images: Sequence[Path],
    *,
    mean: Sequence[float] | None = None,
    scale: Sequence[float] | None = None,
    size: int | None = None,
) -> tuple[Array, ...]:
    """Photographs as the network takes them, each a whole batch of the same. UserError for no photograph.

    A network of one's own does not say how it takes them. `mean` and `scale`, one value or one a channel,
    make ``(x - mean) * scale`` of pixels x of 0..255; the shorter side is scaled to `size` (the network's own
    by default) and the middle kept. What is given goes before what the artifact says.
    """
    import numpy as np

    from mnc.model.preprocess import load_image

    manifest = artifact.manifest
    how = preprocessing.chosen(manifest, mean=mean, scale=scale, size=size)
    batch = manifest.inputs[0].shape[0]
    extent = preprocessing.extent_of(manifest)
    read = [np.repeat(load_image(path, how, extent), batch, axis=0) for path in images]
    if manifest.inputs[0].layout == "NHWC":
        return tuple(np.ascontiguousarray(image.transpose(0, 2, 3, 1)) for image in read)
    return tuple(read)


def classify(
    session: Session, images: Sequence[Array], *, top: int = 5
) -> tuple[tuple[tuple[str, float], ...], ...]:
    """The `top` likeliest labels of the first of each batch, with their probabilities."""
    outputs = [session.run(image)[0] for image in images]
    return tuple(tuple(session.top(logits[0], top)) for logits in outputs)
