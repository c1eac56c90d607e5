# SPDX-License-Identifier: Apache-2.0
"""Reports to draw: a full one with numbers made up by rule, and an empty one."""

from mnc.compile.machine.roofs import Roof
from mnc.compile.report.data import Curve, Parity, Report, Row, Subject, Timing

KINDS = (
    "first conv",
    "depthwise",
    "pointwise",
    "depthwise",
    "pointwise",
    "dense",
    "layout transform",
)
HOSTILE = "</style><script>console.error('run')</script><img src=http://a.example/x> $\\frac{1}{2}$ \u202e"


def roof() -> Roof:
    """A machine with three levels of memory."""
    return Roof(
        gflops=100.0,
        bandwidths={"L1": 400.0, "L2": 150.0, "DRAM": 15.0},
        capacities={"L1": 32 << 10, "L2": 1 << 20},
        threads=1,
        origin="measured on this machine",
    )


def curve(kind: str = "pointwise", count: int = 80) -> Curve:
    """Rates that rise and fall, every seventh trial a failure."""
    rates = [None if n % 7 == 6 else 40 + (n * 37 % 50) for n in range(count)]
    return Curve(
        key=f"{kind} key",
        kind=kind,
        shape="64->128 56x56",
        trials=tuple(enumerate(rates, start=1)),
        failures={"compile": 7, "wrong": 3, "timeout": 1},
    )


def full(name: str = "mobilenet_v1_1.0_224", target: str = "host") -> Subject:
    """Everything measured."""
    limits = roof()
    rows = []
    for number, kind in enumerate(KINDS):
        macs = 0 if kind == "layout transform" else 3_000_000 * (number + 1)
        traffic = 400_000 // (number + 1)
        bound = limits.bound(macs, traffic)
        rows.append(
            Row(
                kind=kind,
                shape=f"1x{number + 1}x112x112x16 -> 1x4x112x112x16",
                macs=macs,
                traffic=traffic,
                calls=1,
                seconds=bound * (1.2 + 0.3 * number),
                bound=bound,
                is_transform=not macs,
            )
        )
    names = {"mnc": 1.0, "PyTorch": 2.1, "TVM as it comes": 3.4, "mnc untuned": 1.5}
    return Subject(
        title=f"{name} on {target}",
        model=name,
        target=target,
        folder=f"build/{target}/{name}",
        is_measured=True,
        facts=(("weights", "ImageNet"), ("weights' SHA-256", "0e41" * 16)),
        machine=(("device", "a CPU"), ("float32 peak", "100 GFLOP/s")),
        roof=limits,
        rows=tuple(rows),
        rows_origin="measured within the network on this machine",
        curves=(curve(), curve("depthwise"), curve("dense", 3)),
        timings=tuple(
            Timing(name, threads, 0.013 * ratio / threads, 0.014, 0.012, 100, ratio)
            for threads in (1, 2)
            for name, ratio in names.items()
        ),
        parity=(Parity("golden outputs", 8, 8, 2e-6, 3e-7, 1e-4, 8, 8, ok=True),),
        untuned=("first conv 3->32 3x3/2 224x224->112x112",),
        kernels=20,
        reproduce=("make setup", "mnc report"),
    )


def bare(text: str = "rk3399") -> Subject:
    """Nothing but a manifest was there, and whatever text was in it."""
    return Subject(
        title=f"net on {text}",
        model="net",
        target=text,
        folder=text,
        is_measured=False,
        facts=((text, text),),
        machine=((text, text),),
        roof=None,
        rows=(Row(text, text, 1000, 1000, 1, None, None, tuned=False),),
        rows_origin=text,
        curves=(Curve(text, text, text, ((1, None), (2, 3.0)), {"wrong": 1}),),
        timings=(),
        parity=(),
        untuned=(text,),
        kernels=1,
        reproduce=(text,),
        notes=(text,),
        skipped={text: 3},
    )


def report(*subjects: Subject) -> Report:
    """A page's worth."""
    return Report(created="2026-01-01 00:00 UTC", versions="mnc 0", subjects=subjects)
