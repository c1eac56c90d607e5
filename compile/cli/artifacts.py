# SPDX-License-Identifier: Apache-2.0
"""Verbs on an artifact: run, verify, export."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import click

from mnc.compile import api
from mnc.compile.api import (
    STORAGES,
    Agreement,
    Check,
    Cores,
    InputType,
    OutputType,
    WeightStorage,
)
from mnc.compile.cli import complete
from mnc.compile.cli.common import (
    as_json_option,
    console,
    numbers,
    print_json,
    stack,
    table,
    threads_option,
)

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
        type=click.Choice(get_args(Cores)),
        default="big",
        show_default=True,
        help="Which class of the device's cores to use.",
    ),
    threads_option("all cores"),
)
allow_failed_option = click.option(
    "--allow-failed", is_flag=True, help="Take it though its outputs were not PyTorch's when built."
)


@click.command()
@artifact_argument
@click.option(
    "--image",
    "images",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="A photograph (JPEG, PNG, WebP, TIFF, BMP, GIF, PPM); may be given again.",
)
@click.option(
    "--mean",
    metavar="M[,M,M]",
    callback=numbers,
    help="Of pixels of 0..255, one or one a channel. [default: the artifact's]",
)
@click.option(
    "--scale",
    metavar="S[,S,S]",
    callback=numbers,
    help="The network takes (pixel - mean) * scale. [default: the artifact's]",
)
@click.option(
    "--size",
    type=click.IntRange(min=1),
    help="Scale the shorter side to this, keep the middle. [default: the artifact's, or its input's]",
)
@click.option(
    "--top", type=click.IntRange(min=1), default=5, show_default=True, help="Labels of each."
)
@device_option
@allow_failed_option
@as_json_option
def run(
    folder: Path,
    images: tuple[Path, ...],
    mean: tuple[float, ...] | None,
    scale: tuple[float, ...] | None,
    size: int | None,
    top: int,
    device: str | None,
    cores: Cores,
    threads: int | None,
    allow_failed: bool,
    as_json: bool,
) -> None:
    """Classify photographs: the likeliest labels of each.

    A network of your own does not say how it takes them: give --mean and --scale.
    """
    artifact = api.open_artifact(folder, allow_failed=allow_failed)
    inputs = api.read_images(artifact, images, mean=mean, scale=scale, size=size)
    session = api.load(
        artifact, threads=threads, device=device, cores=cores, allow_failed=allow_failed
    )
    answers = list(zip(images, api.classify(session, inputs, top=top), strict=True))
    if as_json:
        print_json([{"image": str(path), "top": ranked} for path, ranked in answers])
        return
    for path, ranked in answers:
        console.result(str(path))
        for label, share in ranked:
            console.result(f"  {share:7.2%}  {label}")


@click.command()
@artifact_argument
@device_option
@click.option(
    "--model", "model_spec", help="PyTorch model to compare with, when it is not of the zoo."
)
@as_json_option
@click.pass_context
def verify(
    context: click.Context,
    folder: Path,
    device: str | None,
    cores: Cores,
    threads: int | None,
    model_spec: str | None,
    as_json: bool,
) -> None:
    """Compare with PyTorch; exit 1 when out of tolerance.

    The golden outputs, which PyTorch gave when the artifact was built, always; PyTorch itself where it is
    installed and the model can be rebuilt. A network in 8-bit integers must equal its reference in every bit.
    How far it, or one in half precision, agrees with float32 is said besides, on crops of photographs or
    Fashion-MNIST's test images.
    """
    report = api.verify(folder, threads=threads, device=device, cores=cores, model=model_spec)
    if report.note:
        console.note(report.note)
    rows, found = check_rows(report.checks), report.agreement
    if as_json:
        print_json([*rows, *([dataclasses.asdict(found)] if found else [])])
    else:
        table(rows, as_json=False)
        if found is not None:
            console.result(_agreement(found))
    if not report.ok:
        context.exit(VERIFY_FAILED)


def _agreement(found: Agreement) -> str:
    words = (
        f"as in float32 on {found.examples:,} {found.on}: top-1 {found.top1:.2%}, among five"
        f" {found.top5:.2%}, relative error of logits {found.logit_error:.3f}"
    )
    if found.right is None:
        return words
    return f"{words}; right {found.right:.2%}, in float32 {found.right_in_float:.2%}"


def check_rows(checks: Sequence[Check]) -> list[dict[str, Any]]:
    """Rows of errors, one for each thing compared with."""
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
        for check in checks
    ]


@click.command()
@artifact_argument
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder to write. [default: ARTIFACT's, with -export after it]",
)
@click.option("--prefix", default="mnc", show_default=True, help="What every C name begins with.")
@click.option(
    "--inputs",
    type=click.Choice(get_args(InputType)),
    default="float32",
    show_default=True,
    help="What it takes: the network's floats, pixels of 0 to 255, or int8 on the network's grid.",
)
@click.option(
    "--outputs",
    type=click.Choice(get_args(OutputType)),
    default="float32",
    show_default=True,
    help="What it gives: the network's floats, or int8 on a grid that the header states.",
)
@click.option(
    "--weight-storage",
    type=click.Choice(STORAGES),
    help="How the file has weights of float32; fp16 is half of it, widened once when it is loaded."
    "  [default: as the artifact]",
)
@click.option("--cc", help="C compiler to use, instead of the target's default.")
@click.option("--target", "target_name", help="The artifact's target, when it has a file of yours.")
@allow_failed_option
@as_json_option
@click.pass_context
def export(
    context: click.Context,
    folder: Path,
    out: Path | None,
    prefix: str,
    inputs: InputType,
    outputs: OutputType,
    weight_storage: WeightStorage | None,
    cc: str | None,
    target_name: str | None,
    allow_failed: bool,
    as_json: bool,
) -> None:
    """Make a C library of an artifact that needs no TVM.

    One header, one .so and one .a, weights and runtime inside; docs/deploying.md shows how to call it.
    """
    made = api.export(
        folder,
        out,
        prefix=prefix,
        inputs=inputs,
        outputs=outputs,
        weight_storage=weight_storage,
        cc=cc,
        target=target_name,
        allow_failed=allow_failed,
    )
    library, check = made.library, made.check
    if made.note:
        console.note(made.note)
    row = {
        "library": str(library.shared),
        "header": str(library.header),
        "weights MB": library.weight_bytes / 1e6,
        "memory at run MB": library.peak_bytes / 1e6,
        "needs": " ".join(library.needed),
        "max relative": check.max_relative if check else None,
        "ok": check.ok if check else None,
    }
    table([row], as_json=as_json)
    if check is not None and not check.ok:
        context.exit(VERIFY_FAILED)


VERBS = (run, verify, export)
