# SPDX-License-Identifier: Apache-2.0
"""The header that an app includes: what the library is, takes and gives, in words and macros.

Takes `Contents`; gives the text of `PREFIX.h`, from the template in runtime/.
"""

import string
import textwrap

import numpy as np

from mnc.compile.artifact.manifest import Tensor as Port
from mnc.compile.export.source import MAX_THREADS, RUNTIME, STACK_BYTES, Contents, quote

C_TYPES = {"float32": "float", "uint8": "uint8_t", "int8": "int8_t"}


def header(contents: Contents) -> str:
    """The text of `PREFIX.h`."""
    manifest, prefix = contents.manifest, contents.prefix
    commit = (manifest.source.commit or "")[:12]
    numbers = {
        "weight_bytes": contents.weight_offsets()[1],
        "arena_bytes": contents.layout.size,
        "scratch_bytes": contents.scratch_bytes,
        "stack_bytes": STACK_BYTES,
        "fixed_bytes": contents.fixed_bytes,
        "max_threads": MAX_THREADS,
        "input_size": sum(_elements(port) for port in manifest.inputs),
        "output_size": sum(_elements(port) for port in manifest.outputs),
    }
    return string.Template((RUNTIME / "header.h").read_text()).substitute(
        prefix=prefix,
        PREFIX=prefix.upper(),
        summary=_comment(f"{manifest.network.name} for {manifest.target.description}"),
        version=_harmless(manifest.versions.mnc),
        commit=f" (commit {commit}{', changed' if manifest.source.dirty else ''})"
        if commit
        else "",
        link=f"-l{prefix} -lm -lpthread",
        version_text=quote(manifest.versions.mnc),
        model_text=quote(manifest.network.name),
        input_type=C_TYPES[contents.numbers.inputs],
        output_type=C_TYPES[contents.numbers.outputs],
        inputs=_comment(f"`in`: {_ports(contents.inputs)}{_pixels(contents)}."),
        outputs=_comment(f"`out`: {_ports(contents.outputs)}."),
        reading=_comment(_reading(contents)),
        **{name: str(value) for name, value in numbers.items()},
    )


def _elements(port: Port) -> int:
    return int(np.prod(port.shape))


def _ports(ports: tuple[Port, ...]) -> str:
    return "; then ".join(map(_port, ports))


def _port(port: Port) -> str:
    size = " x ".join(map(str, port.shape))
    each = "floats" if port.dtype == "float32" else f"numbers of {C_TYPES[port.dtype]}"
    words = f"{_elements(port)} {each}, {port.name}, {size} ({port.layout})"
    if port.grid is None:
        return words
    return f"{words}, y standing for (y - ({port.grid.zero_point})) * {port.grid.scale:.9g}"


def _pixels(contents: Contents) -> str:
    how = contents.manifest.preprocess
    if how is None:
        return ""
    if contents.numbers.inputs == "uint8":
        return f": {how.channels} pixels of 0..255 as they are"
    mean, scale = (", ".join(f"{v:.9g}" for v in values) for values in (how.mean, how.scale))
    return f": {how.channels} pixels x of 0..255 as (x - mean) * scale, mean {mean}, scale {scale}"


def _reading(contents: Contents) -> str:
    """How `in` is read, and what becomes of what is no number."""
    if contents.numbers.inputs != "float32":
        return "Neither needs an alignment beyond its type's. Nothing may write to `in` meanwhile."
    nan = (
        "NaN and infinities go through the network as they do in PyTorch, and an output that depends on a "
        "NaN is NaN; that is no error."
    )
    if contents.manifest.dtype == "int8":
        nan = "in 8-bit integers there is no NaN, so that outputs of a NaN mean nothing; that is no error."
    return (
        "Neither needs an alignment beyond a float's (4 bytes); an `in` that is aligned to 64 bytes is read "
        f"where it is, which saves a copy. Nothing may write to it meanwhile. Values are not checked: {nan}"
    )


def _comment(text: str) -> str:
    """Lines of a comment that has begun."""
    return textwrap.fill(
        _harmless(text),
        width=100,
        initial_indent=" * ",
        subsequent_indent=" * ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _harmless(text: str) -> str:
    """One line that cannot end the comment it stands in."""
    return " ".join(text.replace("*/", "* /").replace("/*", "/ *").split())
