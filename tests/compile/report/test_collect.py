# SPDX-License-Identifier: Apache-2.0
"""What a report gathers: from a log, from a manifest, and by running a real artifact."""

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import torch

from mnc.compile import api, cli
from mnc.compile.artifact import store
from mnc.compile.artifact.manifest import KernelEntry
from mnc.compile.artifact.store import Artifact
from mnc.compile.artifact.writer import HALF_PRECISION
from mnc.compile.records.trial import task_key
from mnc.compile.report import before, collect, data
from mnc.compile.report.collect import curves_of, traffic_of
from mnc.compile.report.data import Curve
from mnc.compile.report.options import ReportOptions
from mnc.compile.report.page import page
from mnc.compile.templates import convolution_depthwise, pointwise
from mnc.model.half_precision.conversion import in_half
from mnc.support import progress
from mnc.support.errors import UserError
from mnc.targets import load
from tests.compile import tuning_tasks
from tests.compile.conftest import Tiny
from tests.compile.records.trials import failed, made, read, write
from tests.compile.report import samples
from tests.model.half_precision.networks import Loud
from tests.model.quantization.networks import SHAPE, model_of

DATA, WEIGHTS = ("TENSOR", (1, 2, 8, 8, 16), "float32"), ("TENSOR", (4, 2, 1, 1, 16, 16), "float32")
LAYOUT = ("NCHW16c", "NCHW16c", "float32")
KEY = task_key(pointwise.NAME, (DATA, WEIGHTS, (1, 1), (0,) * 4, (1, 1), *LAYOUT))
POINTWISE = 8 * 8 * 32 * 64
MOVED = 4 * (8 * 8 * 32 + 32 * 64 + 8 * 8 * 64)


def kernel(key: str = KEY, macs: int = POINTWISE) -> KernelEntry:
    return KernelEntry(
        key=key, kind="pointwise", shape="32->64 8x8", macs=macs, calls=1, tuned=False
    )


def test_a_curve_climbs_to_its_best() -> None:
    curve = samples.curve()
    steps = [rate for _, rate in curve.best_so_far]
    assert steps == sorted(steps) and steps[-1] == curve.best
    assert curve.share_after(80) == 1.0 and curve.share_after(81) is None
    assert curve.share_after(1) == pytest.approx(40 / (curve.best or 0))


def test_quality_is_the_best_so_far_of_the_best_known() -> None:
    def tried(*rates: float | None) -> Curve:
        return Curve("key", "pointwise", "", tuple(enumerate(rates, start=1)), {})

    curves = (tried(50.0, None, 100.0, 40.0), tried(96.0, 100.0), tried(None, 80.0, 100.0))
    found = data.quality((*curves, tried(None)), (1, 2, 3, 64))
    assert [(one.worst, one.median, one.near) for one in found] == [
        (0.0, 0.5, 1),
        (0.5, 0.8, 1),
        (1.0, 1.0, 3),
        (1.0, 1.0, 3),
    ]
    assert all(one.tasks == 3 for one in found)
    assert data.quality(()) == data.quality((tried(None),)) == ()


def test_traffic_is_read_off_a_task_s_key() -> None:
    assert traffic_of(kernel(KEY)) == MOVED
    for odd in ("", "name", "name[", "name[1,2]", KEY[:-1], KEY.replace("8,8", "8,-8")):
        assert traffic_of(kernel(odd)) == 0


def test_tasks_of_the_log_have_the_traffic_of_their_tensors() -> None:
    task = tuning_tasks.pointwise_task(tuning_tasks.host(), inputs=64, outputs=32, size=7)
    assert traffic_of(kernel(task.key, task.macs)) == 4 * (64 * 49 + 64 * 32 + 32 * 49)


def test_a_fused_task_s_traffic_leaves_out_what_stays_in_the_cache() -> None:
    bias, taps = (("TENSOR", shape, "float32") for shape in ((1, 4, 1, 1, 16), (4, 1, 3, 3, 1, 16)))
    strides = ((1, 1), (0,) * 4, (2, 2), (1,) * 4)
    args = (DATA, WEIGHTS, bias, taps, *strides, "relu", "float32")
    fused = kernel(task_key(convolution_depthwise.NAME, args))
    assert traffic_of(fused) == 4 * (8 * 8 * 32 + 32 * 64 + 64 * 9 + 4 * 4 * 64)


def test_curves_are_of_one_measurer(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    trials = [made(index, costs=(0.001 * (6 - index),)) for index in range(6)]
    write(path, *trials, failed(6), made(7, costs=(1e-9,), measurer="another"))
    tuning_log = read(path)
    key = tuning_log.trials[0].key
    curves, notes = curves_of(tuning_log, [kernel(key)])
    assert len(curves) == 1 and len(curves[0].trials) == 7
    assert curves[0].failures == {"wrong": 1}
    assert curves[0].best == pytest.approx(2e-9 * POINTWISE / 0.001)
    assert len(notes) == 1 and "2 measurers" in notes[0]
    assert curves_of(tuning_log, [kernel("another task")])[0] == ()


def test_an_artifact_of_this_machine_is_run(tiny_artifact: Artifact, tmp_path: Path) -> None:
    said: list[str] = []

    @contextlib.contextmanager
    def working(text: str) -> Iterator[None]:
        said.append(text)
        yield

    options = ReportOptions(logs=tmp_path, threads=(1,), seconds=0.05)
    with progress.shown_by(working):
        report = collect.report([tiny_artifact], options)
    (subject,) = report.subjects
    assert subject.is_measured and subject.latency and all(check.ok for check in subject.parity)
    assert {row.kind for row in subject.rows} >= {"depthwise", "pool"}
    assert subject.seconds and subject.bound and 0 < subject.bound < subject.seconds
    assert [t.name for t in subject.timings] == ["mnc"]  # tiny is not of the zoo
    assert any("PyTorch is not measured" in note for note in subject.notes)
    assert any(text.startswith("timing tiny") for text in said)
    assert "not measured" in page(report)


def test_nothing_is_run_when_asked_or_for_another_cpu(tiny: Tiny, tmp_path: Path) -> None:
    target = load("rpi4")
    platform = msgspec.structs.replace(
        tiny.manifest.target, name="rpi4", arch="aarch64", tvm_target=target.tvm_target()
    )
    foreign = store.save(
        tmp_path / "rpi4",
        msgspec.structs.replace(tiny.manifest, target=platform, kernels=(kernel(),)),
        library=tiny.write,
        golden=tiny.golden,
    )
    own = tiny.save(tmp_path / "own")
    options = ReportOptions(logs=tmp_path, threads=(1,), seconds=0.05)
    (other,) = collect.report([foreign], options).subjects
    assert other.roof is not None and "rpi4.toml" in other.roof.origin
    assert not other.is_measured and other.rows[0].traffic == MOVED and other.rows[0].bound
    assert any("this artifact is for aarch64" in note for note in other.notes)
    (still,) = collect.report([own], ReportOptions(logs=tmp_path, threads=())).subjects
    assert not still.timings and any("nothing was run" in note for note in still.notes)


def test_what_half_precision_does_is_told(tiny: Tiny, tmp_path: Path) -> None:
    half = in_half(model_of(Loud()), [torch.ones(SHAPE)]).half
    assert half is not None

    def write(library: Path) -> None:
        tiny.write(library)
        (library.parent / HALF_PRECISION).write_bytes(msgspec.json.encode(half))

    manifest = msgspec.structs.replace(tiny.manifest, dtype="fp16")
    made = store.save(tmp_path / "fp16", manifest, library=write, golden=tiny.golden)
    report = collect.report([made], ReportOptions(logs=tmp_path, threads=()))
    (subject,) = report.subjects
    assert subject.half == half  # of numbers that JSON has
    part = page(report).partition("<h3>Half precision</h3>")[2].partition("<h3>")[0]
    assert "loud stays in float32: up to" in part and "float16 ends at 65,504" in part
    assert part.count("<tr>") == 1 + sum(one.sums is not None for one in half.layers)
    assert all("--precision fp16" in line for line in subject.reproduce if "mnc build" in line)


def test_the_verb_writes_the_page_whole(
    tiny_artifact: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a page ü.html"
    words = [
        "report",
        str(tiny_artifact.folder),
        "--out",
        str(out),
        "--no-run",
        "--logs",
        str(tmp_path),
    ]
    assert cli.run(words) == 0
    assert capsys.readouterr().out == f"{out}\n" and out.read_text().startswith("<!doctype html>")
    assert cli.run([*words, "--json"]) == 0
    assert (
        json.loads(capsys.readouterr().out)["subjects"][0]["title"]
        == f"tiny on {load('host').name}"
    )
    assert cli.run(["report", str(tmp_path / "none")]) == 1
    assert "no artifact at" in capsys.readouterr().err
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    assert cli.run([*words[:3], str(blocked / "page.html"), *words[4:]]) == 1
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.slow
def test_a_real_network_next_to_pytorch_and_stock(tmp_path: Path) -> None:
    """Tuned a little, built, and timed in turns with PyTorch, stock TVM and itself with no log."""
    logs = tmp_path / "logs"
    api.tune(
        "mobilenet_v1_28",
        trials=24,
        tasks=("pointwise",),
        tuner="random",
        reranking=False,
        logs=logs,
    )
    built = api.build("mobilenet_v1_28", out=tmp_path / "build", logs=logs)
    options = ReportOptions(logs=logs, threads=(1,), seconds=0.2, before=True)
    (subject,) = collect.report([built], options).subjects
    assert [t.name for t in subject.timings] == ["mnc", "PyTorch", before.STOCK, before.UNTUNED]
    assert subject.trials == 24 and subject.curves and len(subject.untuned) < subject.kernels
    assert all(check.ok for check in subject.parity) and not subject.notes
    assert all(math.isfinite(t.median) and t.median > 0 for t in subject.timings)
    text = page(collect.report([built], options))
    assert (
        "best" in text
        and f".venv/bin/mnc tune mobilenet_v1_28 --target {load('host').name}" in text
    )


@pytest.mark.slow
def test_what_was_before_cannot_be_built_for_an_unknown_network(tiny: Tiny) -> None:
    with pytest.raises(UserError, match=r"cannot be built: .*unknown model 'tiny'"):
        before.library(tiny.manifest, before.STOCK)
