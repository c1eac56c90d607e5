# SPDX-License-Identifier: Apache-2.0
"""Verbs on an artifact: run, verify, export."""

from pathlib import Path
from typing import Any

import click

from mnc.compile.cli import complete
from mnc.compile.cli.common import as_json_option, console, print_json, stack, table, threads_option
from mnc.model import torch_run
from mnc.support.errors import UserError

VERIFY_FAILED = 1
artifact_argument = click.argument(
    "folder",
    metavar="ARTIFACT",
    type=click.Path(path_type=Path, file_okay=True),
    shell_complete=complete.artifacts,
)
device_option = stack(
    click.option(
        "--device", metavar="rpc://HOST:PORT/KEY", help="Use this device instead of this machine."
    ),
    click.option(
        "--cores",
        type=click.Choice(["big", "little", "all"]),
        default="big",
        show_default=True,
        help="Which class of the device's cores to use.",
    ),
)


@click.command()
@artifact_argument
@click.option(
    "--image",
    "images",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="A photograph; may be given again.",
)
@click.option(
    "--top", type=click.IntRange(min=1), default=5, show_default=True, help="Labels of each."
)
@device_option
@threads_option
@as_json_option
def run(
    folder: Path,
    images: tuple[Path, ...],
    top: int,
    device: str | None,
    cores: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Classify photographs: the likeliest labels of each."""
    from mnc.model.preprocess import load_image

    artifact = load_artifact(folder)
    preprocess = artifact.manifest.preprocess
    if preprocess is None:
        raise UserError(f"{artifact.manifest.network.name} does not say how it takes images")
    inputs = [(path, _fill_batch(load_image(path, preprocess), artifact)) for path in images]
    session = open_session(artifact, device, threads, cores)
    answers: list[tuple[Path, list[tuple[str, float]]]] = []
    for path, array in inputs:
        (logits, *_) = session.run(array)
        answers.append((path, session.top(logits[0], top)))
    if as_json:
        print_json([{"image": str(path), "top": ranked} for path, ranked in answers])
        return
    for path, ranked in answers:
        console.result(str(path))
        for label, share in ranked:
            console.result(f"  {share:7.2%}  {label}")


def _fill_batch(image: Any, artifact: Any) -> Any:
    """One image as a whole batch of the network's size: the answer read is the first's."""
    import numpy as np

    shape = artifact.manifest.inputs[0].shape
    return np.repeat(image, shape[0], axis=0) if image.shape[0] != shape[0] else image


@click.command()
@artifact_argument
@device_option
@threads_option
@click.option(
    "--model", "model_spec", help="PyTorch model to compare with, when it is not of the zoo."
)
@as_json_option
@click.pass_context
def verify(
    context: click.Context,
    folder: Path,
    device: str | None,
    cores: str,
    threads: int | None,
    model_spec: str | None,
    as_json: bool,
) -> None:
    """Compare with PyTorch; exit 1 when out of tolerance.

    The golden outputs, which PyTorch gave when the artifact was built, always; PyTorch itself where it is
    installed and the model can be rebuilt.
    """
    artifact = load_artifact(folder)
    module = None
    if model_spec is not None:
        from mnc.model import zoo

        shape = artifact.manifest.inputs[0].shape
        module = zoo.load(model_spec, input_shape=shape, batch=shape[0]).module
    session = open_session(artifact, device, threads, cores)
    rows = compared(artifact, session, reference=module)
    table(rows, as_json=as_json)
    if not all(row["ok"] for row in rows):
        context.exit(VERIFY_FAILED)


def compared(artifact: Any, session: Any, *, reference: Any) -> list[dict[str, Any]]:
    """Rows of errors, one for each thing compared with."""
    from mnc.compile.runtime import verify as parity

    function = torch_run.torch_reference(reference) if reference is not None else None
    with console.working(f"comparing {artifact.manifest.network.name} with PyTorch"):
        report = parity.verify(artifact, session=session, reference=function)
    if report.note:
        console.note(report.note)
    return [
        {
            "compared with": check.against,
            "examples": check.examples,
            "max absolute": check.max_absolute,
            "max relative": check.max_relative,
            "tolerance": check.tolerance,
            "top-1": f"{check.top1}/{check.predictions}",
            "top-5": f"{check.top5}/{check.predictions}",
            "ok": check.ok,
        }
        for check in report.checks
    ]


@click.command()
@artifact_argument
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder to write. [default: ARTIFACT's, with -export after it]",
)
@click.option("--prefix", default="mnc", show_default=True, help="What every C name begins with.")
@click.option("--cc", help="C compiler to use, instead of the target's default.")
@click.option("--target", "target_name", help="The artifact's target, when it has a file of yours.")
@as_json_option
@click.pass_context
def export(
    context: click.Context,
    folder: Path,
    out: Path | None,
    prefix: str,
    cc: str | None,
    target_name: str | None,
    as_json: bool,
) -> None:
    """Make a C library of an artifact that needs no TVM.

    One header, one .so and one .a, weights and runtime inside; docs/deploying.md shows how to call it.
    """
    from mnc.compile.export import exporter, loading
    from mnc.targets import load

    artifact = load_artifact(folder)
    target = load(target_name or artifact.manifest.target.name)
    out = out or folder.with_name(f"{folder.name}-export")
    with console.working(f"linking {artifact.manifest.network.name} into a C library"):
        made = exporter.export(artifact, out, target=target, prefix=prefix, cc=cc)
    check, note = loading.verify_here(artifact, made)
    if note:
        console.note(note)
    row = {
        "library": str(made.shared),
        "header": str(made.header),
        "weights MB": made.weight_bytes / 1e6,
        "memory at run MB": made.peak_bytes / 1e6,
        "needs": " ".join(made.needed),
        "max relative": check.max_relative if check else None,
        "ok": check.ok if check else None,
    }
    table([row], as_json=as_json)
    if check is not None and not check.ok:
        context.exit(VERIFY_FAILED)


def load_artifact(folder: Path) -> Any:
    from mnc.compile.artifact import store

    return store.load(folder)


def open_session(artifact: Any, device: str | None, threads: int | None, cores: str = "big") -> Any:
    """A session on this machine, or on a device over RPC, on the `cores` of that class there."""
    if device is not None:
        from mnc.compile.runtime.remote_session import RemoteSession

        chosen: Any = cores
        return RemoteSession(artifact, device, threads=threads, cores=chosen)
    if cores != "big":
        raise UserError(f"--cores {cores} chooses on a device: name one with --device")
    from mnc.compile.runtime.session import Session

    return Session(artifact, threads=threads)


VERBS = (run, verify, export)
