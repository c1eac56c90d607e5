# SPDX-License-Identifier: Apache-2.0
"""The verb explain: where a kernel's cycles go on a target's cores, by the core model."""

from pathlib import Path
from typing import Any

import click

from mnc.compile import api
from mnc.compile.api import Explanation, ModelSpec
from mnc.compile.cli.common import (
    as_json_option,
    console,
    logs_option,
    model_options,
    print_json,
    table,
    target_option,
    threads_option,
)

LOOPS = 3  # shown at most, until they make up SHOWN of the cycles
SHOWN = 0.9


@click.command()
@model_options
@target_option
@click.option(
    "--layer",
    metavar="N|NAME",
    help="Number in the list that is printed without this, or part of a name.",
)
@click.option(
    "--lines",
    type=click.IntRange(min=1),
    default=40,
    show_default=True,
    help="Of a loop to show; the hottest are kept.",
)
@threads_option("every fast core")
@logs_option
@as_json_option
def explain(
    model: ModelSpec,
    target_name: str,
    layer: str | None,
    lines: int,
    threads: int | None,
    logs: Path,
    as_json: bool,
) -> None:
    """Say where a target's cores spend MODEL's cycles.

    Multiply-adds, loads, dependence chains, caches and memory, loop overhead, spills, launch; the bound and
    what is reached of it; the hottest loops with each instruction's count and cycles. It is worked out by the
    core model from the machine code of the log's best config, or of the default where the log has none.
    """
    found = api.explain(model, target_name, layer=layer, threads=threads, logs=logs)
    if as_json:
        print_json(found if layer is None else found[0])
    elif layer is None:
        table([_row(number, one) for number, one in enumerate(found, start=1)], as_json=False)
        console.note(f"{found[0].threads}x {found[0].core}, {found[0].model}; --layer N shows one")
        total = api.explained_total(found)
        console.note(f"an inference, no pair fused: {total}; {total.basis}")
    else:
        _show(found[0], lines)


def _row(number: int, one: Explanation) -> dict[str, Any]:
    top = one.causes[0]
    return {
        "layer": number,
        "kind": one.kind,
        "shape": one.shape,
        "calls": one.calls,
        "us": one.seconds * 1e6,
        "GFLOP/s": one.gflops,
        "bound": one.bound.resource,
        "% of bound": 100 * one.share_of_bound,
        "most cycles go to": f"{top.cause} ({100 * top.share:.0f} %)",
        "tuned": not one.origin.startswith("the default"),
    }


def _show(one: Explanation, lines: int) -> None:
    say = console.result
    say(f"{one.kind} {one.shape}, {one.calls} call(s), on {one.threads}x {one.core} ({one.model})")
    say(f"config: {one.config} ({one.origin})")
    say(
        f"time: {one.seconds * 1e6:.1f} us a call, {one.cycles:,.0f} cycles, {one.instructions:,} "
        f"instructions on the busiest core; {one.gflops:.1f} GFLOP/s"
    )
    for bound in one.bounds:
        mark = " <- the bound" if bound == one.bound else ""
        share = 100 * bound.seconds / one.seconds
        say(
            f"bound: {bound.resource}: {bound.seconds * 1e6:.1f} us ({bound.of}), {share:.0f} % reached{mark}"
        )
    rows = [
        {"cycles go to": share.cause, "cycles": round(share.cycles), "%": 100 * share.share}
        for share in one.causes
    ]
    table(rows, as_json=False)
    misses = ", ".join(f"{count:,} beyond {level}" for level, count in one.misses if count)
    say(f"spills: {one.spills:,} loads and stores of the stack, {one.spill_cycles:,.0f} cycles")
    say(f"lines fetched: {misses or 'none'}")
    shown = 0.0
    for loop in one.loops[:LOOPS]:
        if shown < SHOWN * one.cycles:
            show_loop(loop, one.cycles, lines)
            shown += loop.cycles


def show_loop(loop: Any, cycles: float, lines: int) -> None:
    """Print a loop, of whose instructions `lines` at most, beside the `cycles` of the whole."""
    first = loop.lines[0].address
    console.result("")
    console.result(
        f"loop at {first:#x}: {len(loop.lines)} instructions, {loop.passes:,} passes of {loop.each:.1f} "
        f"cycles, {100 * loop.cycles / cycles:.0f} % of all"
    )
    hottest = sorted(loop.lines, key=lambda line: -line.cycles)[:lines]
    kept = {line.address for line in hottest}
    rows = [
        {
            "address": f"{line.address:#x}",
            "count": line.count,
            "cycles each": line.each,
            "%": 100 * line.cycles / cycles,
            "why": line.cause,
            "instruction": line.text,
        }
        for line in loop.lines
        if line.address in kept
    ]
    table(rows, as_json=False)
    if (rest := len(loop.lines) - len(rows)) > 0:
        console.result(f"({rest} more that hold up less; --lines shows them)")


VERBS = (explain,)
