# SPDX-License-Identifier: Apache-2.0
"""Reads published tuning logs of boards: TopHub's, in the format of 2018 (`i`, `r`) and the later one.

Takes files of JSON lines; gives `BoardLog`s of `BoardRecord`s. What cannot be replayed, a broken line too,
is counted with its reason; a log with nothing to replay is a UserError.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench.core_model.convolution import LoggedConvolution
from mnc.support.errors import UserError

SPATIAL_PACK = "conv2d_nchw_spatial_pack.arm_cpu"
DEPTHWISE = "depthwise_conv2d_nchw.arm_cpu"
# Names of 2018, with the template of the record's "t", and today's name of the same template.
TEMPLATES = {
    ("topi_nn_conv2d", "direct"): SPATIAL_PACK,
    ("topi_nn_depthwise_conv2d_nchw", "direct"): DEPTHWISE,
    (SPATIAL_PACK, ""): SPATIAL_PACK,
    (DEPTHWISE, ""): DEPTHWISE,
}
KNOBS = {
    SPATIAL_PACK: ["tile_co", "tile_oh", "tile_ow", "reorder_0", "ann_reduce", "ann_spatial"],
    DEPTHWISE: ["tile_c", "tile_h", "tile_w", "ann"],
}
OPTION = re.compile(r"-([a-z-]+)=(\S+)")


class BoardRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One measured config. `knobs` is AutoTVM's list of [name, kind, value] as JSON text.

    `seconds` is the mean of the record's costs, `template` a name of TVM 0.19's.
    """

    model: str
    triple: str
    mcpu: str | None
    mattr: tuple[str, ...]
    template: str
    convolution: LoggedConvolution
    knobs: str
    seconds: float
    source: str  # file:line


class BoardLog(msgspec.Struct, frozen=True):
    """A file's records of one board, and (reason, count) of what was left out."""

    path: Path
    model: str
    records: tuple[BoardRecord, ...]
    left_out: tuple[tuple[str, int], ...]


class _LeftOutError(Exception):
    """A sound record that is not replayed, and why."""


def read_logs(
    paths: Sequence[Path], *, tell: Callable[[str], None] | None = None
) -> tuple[BoardLog, ...]:
    """Every log among `paths`: files, and the *.log of folders; `tell` is given why one cannot be used.

    Raises UserError when there is none that can.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(path.glob("*.log"))
        else:
            files.append(path)
    if not files:
        places = ", ".join(map(str, paths)) or "no path given"
        raise UserError(f"no tuning log (*.log) found: {places}; give a log or a folder of logs")
    logs: list[BoardLog] = []
    refused: list[UserError] = []
    for file in files:
        try:
            logs += read_log(file)
        except UserError as error:
            refused.append(error)
    if not logs:
        raise refused[0]
    if tell is not None:
        for why in refused:
            tell(str(why))
    return tuple(logs)


def read_log(path: Path) -> tuple[BoardLog, ...]:
    """The log at `path`, one `BoardLog` for each board in it. Raises UserError as the module says."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the log {path}: {error}; give a text file") from error
    records: list[BoardRecord] = []
    left_out: Counter[str] = Counter()
    broken: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            records.append(_record(line, f"{path.name}:{number}"))
        except _LeftOutError as reason:
            left_out[str(reason)] += 1
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            said = " ".join(str(error).split())
            broken.append(f"line {number}: not a record of AutoTVM, {type(error).__name__}: {said}")
    if broken:
        left_out[f"broken (the first: {broken[0]})"] = len(broken)
    if not records:
        why = "; ".join(f"{count} {reason}" for reason, count in left_out.items()) or "it is empty"
        raise UserError(f"{path}: no record to replay: {why}; give a log of arm_cpu convolutions")
    models = dict.fromkeys(record.model for record in records)
    skipped = tuple(left_out.items())
    return tuple(
        BoardLog(path, model, tuple(r for r in records if r.model == model), skipped)
        for model in models
    )


def _record(line: str, source: str) -> BoardRecord:
    fields = json.loads(line)
    if "input" in fields:
        target, name, args = fields["input"][:3]
        config, result, kind = fields["config"]["entity"], fields["result"], ""
    else:
        target, name, args = fields["i"][:3]
        config, result, kind = fields["i"][5]["e"], fields["r"], fields["i"][5].get("t") or "direct"
    template = TEMPLATES.get((name, kind))
    if template is None:
        raise _LeftOutError(f"of template {name}{f' ({kind})' if kind else ''}")
    if result[1] != 0:
        raise _LeftOutError("of a failed measurement")
    if sorted(knob[0] for knob in config) != sorted(KNOBS[template]):
        raise _LeftOutError(f"of {name} with knobs of another version")
    costs = [float(cost) for cost in result[0]]
    seconds = sum(costs) / len(costs)
    if not 0.0 < seconds < 3600.0:
        raise ValueError(f"a cost of {seconds} seconds")
    options = _options(target)
    return BoardRecord(
        template=template,
        convolution=_convolution(args, depthwise=template == DEPTHWISE),
        knobs=json.dumps(config, separators=(",", ":")),
        seconds=seconds,
        source=source,
        **options,
    )


def _options(target: str | dict[str, Any]) -> dict[str, Any]:
    """What matters of a target: a string of options (-target= is the -mtriple= of 2018), or JSON."""
    if isinstance(target, str) and target.lstrip().startswith("{"):
        target = json.loads(target)
    if isinstance(target, dict):
        words = {key: ",".join(value) if key == "mattr" else value for key, value in target.items()}
        found = {key: value for key, value in words.items() if isinstance(value, str)}
    else:
        found = dict(OPTION.findall(target))
    triple = found.get("mtriple") or found.get("target")
    if "model" not in found or triple is None:
        raise ValueError(f"target {target!r} names no -model or no triple")
    mattr = tuple(found["mattr"].split(",")) if "mattr" in found else ()
    return {"model": found["model"], "triple": triple, "mcpu": found.get("mcpu"), "mattr": mattr}


def _convolution(args: list[Any], *, depthwise: bool) -> LoggedConvolution:
    """Of a template's arguments: two tensors, stride, padding, perhaps dilation, then layout and dtype."""
    data, weights, *rest = args
    if {data[2], weights[2]} != {"float32"} or "float32" not in rest:
        raise _LeftOutError("of another type than float32")
    if any(isinstance(word, str) and word not in ("NCHW", "float32") for word in rest):
        raise _LeftOutError("of another layout than NCHW")
    batch, inputs, height, width = map(int, data[1])
    outputs, depth, *kernel = map(int, weights[1])
    if depthwise and depth != 1:
        raise _LeftOutError("of a depthwise convolution with a multiplier")
    numbers = [_pair(value) for value in rest if not isinstance(value, str)]
    stride, padding, dilation = (*numbers, (1, 1))[:3]
    around = padding if len(padding) == 4 else padding * 2
    return LoggedConvolution(
        depthwise=depthwise,
        inputs=inputs,
        height=height,
        width=width,
        outputs=outputs,
        kernel=(kernel[0], kernel[1]),
        stride=(stride[0], stride[1]),
        padding=(around[0], around[1], around[2], around[3]),
        dilation=(dilation[0], dilation[1]),
        batch=batch,
    )


def _pair(value: Any) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(map(int, value))
