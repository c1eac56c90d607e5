# SPDX-License-Identifier: Apache-2.0
"""A race as Markdown: one table a network, then what was left out and how each runtime was set.

Takes a Race; gives text.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence

from bench.results import Contest, Entry, Race

OURS = ("mnc", "mnc-c")
IN_FLOAT = "-float32"  # ends the key of ours that races with those in integers
PRECISE = {
    "float32": "Float32, batch 1, the same weights and photographs; outputs within 1e-4 of PyTorch's, "
    "relative to the largest logit, before a time counts. The bound is multiply-adds over the measured FMA "
    "peak.",
    "int8": "8-bit integers, batch 1, the same weights; each runtime's own tools quantized them, all on the "
    "images that ours takes. Top-1 as float is the share of 200 crops of other photographs whose likeliest "
    "class is PyTorch's in float32; below 0.75 no time counts. Logit error is the root mean square "
    "difference of all logits, relative to theirs. The bound is multiply-adds over the measured FMA peak, or "
    "four times as much where the CPU has dot products of bytes.",
}


def markdown(race: Race, *, picture: str) -> str:
    """The page; `picture` is the name of the image beside it."""
    models = dict.fromkeys(contest.model for contest in race.contests)
    parts = [
        f"# Race of {race.started[:10]} on {race.machine.cpu}",
        "",
        *_about(race),
        "",
        f"![Median latencies]({picture})",
        *(line for model in models for line in _model(race, model)),
        *_left_out(race),
        *_settings(race),
    ]
    return "\n".join(parts) + "\n"


def _about(race: Race) -> list[str]:
    machine = race.machine
    dirty = " with uncommitted changes" if race.dirty else ""
    rounds = sorted({contest.rounds for contest in race.contests})
    return [
        f"{machine.cpu} ({machine.mcpu}), {machine.cores} cores"
        f"{', a virtual machine' if machine.virtual else ''}; {machine.caches}; "
        f"{machine.memory_bytes / 2**30:.0f} GiB; {machine.kernel}. "
        f"{f'{machine.hidden} are hidden from every runtime. ' if machine.hidden else ''}"
        f"Commit {race.commit[:10]}{dirty}, {race.started} to {race.finished}. "
        f"Made by `make bench-peers`; the figures are in race.json.",
        "",
        "Every runtime is a process of its own, pinned to the same processors, and frozen while another "
        f"runs. {' or '.join(map(str, rounds))} rounds; in each, in an order drawn anew, each makes 2 "
        "untimed and 10 timed calls (fewer where ten would take over 0.5 s). Spread is the interquartile "
        f"range over the median. {PRECISE[race.precision]}",
    ]


def _model(race: Race, model: str) -> Iterable[str]:
    contests = sorted((c for c in race.contests if c.model == model), key=lambda c: c.threads)
    yield from ("", f"## {model}", "")
    for contest in contests:
        yield from _verdict(race, contest)
    yield from _footprint(race, contests[0])
    yield ""
    heads = [f"{count(c.threads)}, ms (spread) | of bound" for c in contests]
    scaling = [f"{a.threads} to {b.threads}" for a, b in itertools.pairwise(contests)]
    columns = ["runtime", "version", *" | ".join(heads).split(" | ")]
    columns += [f"scaling {text}" for text in scaling]
    columns += _likeness_columns(race)
    columns += ["model MB", "library MB", "memory MB", "workspace MB"]
    yield from _table(columns, _rows(race, contests))


def _verdict(race: Race, contest: Contest) -> Iterable[str]:
    """One line: the bound, and our median against the best peer's."""
    rivals = [entry for entry in contest.timed() if not is_ours(entry.peer)]
    line = f"- {count(contest.threads)}: bound {_ms(contest.bound)} ms"
    unit = "GFLOP/s" if race.precision == "float32" else "GOP/s"
    line += f" ({contest.macs / 1e6:.1f}M multiply-adds at {contest.peak_gflops:.0f} {unit})"
    others = {rivals[0].peer: f"{race.titles[rivals[0].peer]}, the best peer"} if rivals else {}
    for key in OURS:
        for other, words in {**others, f"{key}{IN_FLOAT}": "itself in float32"}.items():
            ratio = contest.ratio(key, to=other)
            if ratio is not None:
                low, high = ratio[1:]
                line += (
                    f"; {race.titles[key]} takes {ratio[0]:.3f} [{low:.3f}, {high:.3f}] of {words}"
                )
    yield f"{line}. Other programs used {contest.others_busy:.1%} of the processors in the pauses."


FOOTPRINTS: tuple[tuple[str, Callable[[Entry], int | None]], ...] = (
    ("memory at its peak", lambda entry: entry.peak_growth),
    ("model and libraries", lambda entry: entry.shipped_bytes),
    ("model alone", lambda entry: entry.model_bytes),
)


def _footprint(race: Race, contest: Contest) -> Iterable[str]:
    """One line: what the smaller of ours takes, against the peer that takes least."""
    parts = []
    for name, size in FOOTPRINTS:
        known = [(size(entry) or 0, entry) for entry in contest.timed() if size(entry) is not None]
        ours = min((n for n, entry in known if is_ours(entry.peer)), default=None)
        rivals = [(n, race.titles[entry.peer]) for n, entry in known if not is_ours(entry.peer)]
        if ours is not None and rivals:
            least, title = min(rivals)
            parts.append(f"{name} {_mb(ours)} MB, {ours / least:.2f} of {title}'s {_mb(least)}")
    if parts:
        yield f"- Against the peer with least, {count(contest.threads)}: {'; '.join(parts)}."


def _rows(race: Race, contests: Sequence[Contest]) -> Iterable[list[str]]:
    first = contests[0]
    order = [entry.peer for contest in contests for entry in contest.timed()]
    for key in dict.fromkeys(order):
        entries = [contest.entry(key) for contest in contests]
        times: list[str] = []
        for contest, entry in zip(contests, entries, strict=True):
            times += _time(entry, contest.bound)
        known = first.entry(key) or next(entry for entry in entries if entry)
        scaling = [_scaling(a, b) for a, b in itertools.pairwise(entries)]
        name = f"**{race.titles[key]}**" if is_ours(key) else race.titles[key]
        sizes = (known.model_bytes, known.library_bytes, known.peak_growth, known.workspace_bytes)
        yield [
            name,
            _short(known.version),
            *times,
            *scaling,
            *_likeness(race, known),
            *map(_mb, sizes),
        ]


def _likeness_columns(race: Race) -> list[str]:
    return ["error"] if race.precision == "float32" else ["top-1 as float", "logit error"]


def _likeness(race: Race, entry: Entry) -> list[str]:
    if race.precision == "float32":
        return ["-" if entry.error is None else f"{entry.error:.0e}"]
    agreement, error = entry.agreement, entry.logit_error
    return [
        "-" if agreement is None else f"{agreement:.3f}",
        "-" if error is None else f"{error:.3f}",
    ]


def _time(entry: Entry | None, bound: float) -> list[str]:
    if entry is None or entry.median is None:
        return ["-", "-"]
    return [f"{_ms(entry.median)} ({entry.spread or 0:.1%})", f"{entry.median / bound:.2f}"]


def _scaling(one: Entry | None, more: Entry | None) -> str:
    if one is None or more is None or one.median is None or more.median is None:
        return "-"
    return f"{one.median / more.median:.2f}"


def _left_out(race: Race) -> Iterable[str]:
    rows = [
        [race.titles[entry.peer], contest.model, str(contest.threads), entry.why.replace("|", "/")]
        for contest in race.contests
        for entry in contest.entries
        if entry.why
    ]
    if rows:
        yield from ("", "## Left out", "")
        yield from _table(["runtime", "network", "threads", "why"], rows)


def _settings(race: Race) -> Iterable[str]:
    yield from ("", "## Settings", "")
    yield from (f"- **{race.titles[key]}**: {text}" for key, text in race.settings.items())
    yield from (
        "",
        "Model MB is what is loaded from the model's files (for mnc the library with its weights), library "
        "MB the shared libraries of the runtime's Python package that were mapped, memory MB the peak "
        "growth of the process by loading and running at the smallest thread count, the import of the "
        "package not counted, workspace MB what is kept for tensors between layers, where a runtime tells.",
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def is_ours(key: str) -> bool:
    """Whether a runtime is this project."""
    return key.removesuffix(IN_FLOAT) in OURS


def count(threads: int) -> str:
    """ "1 thread", "2 threads"."""
    return f"{threads} thread{'' if threads == 1 else 's'}"


def _short(version: str) -> str:
    return version.split("-", maxsplit=1)[0].split("+", maxsplit=1)[0]


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3f}" if seconds < 0.01 else f"{seconds * 1e3:.2f}"


def _mb(size: int | None) -> str:
    return "-" if size is None else f"{size / 1e6:.1f}"
