# SPDX-License-Identifier: Apache-2.0
"""Fuzzed manifests, target files, logs, images and weights through the command line: one clear line each."""

import io
import json
import os
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mnc.compile.artifact.manifest import MANIFEST
from mnc.compile.artifact.store import Artifact
from mnc.compile.records import line_codec
from tests.compile.records.trials import made
from tests.faults.conftest import MANY, Mnc

ROOT = Path(__file__).parents[2]
ODD = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)
NEAR = st.integers(-2, 300) | st.sampled_from(["", "host", "../x", "/etc/passwd", "a\nb", "[red]"])


def altered(data: st.DataObject, fields: Any) -> Any:
    """A JSON value with one place in it replaced, removed, or nudged."""
    place = fields
    while True:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        deeper = isinstance(place[key], dict | list) and place[key]
        if not (deeper and data.draw(st.booleans())):
            break
        place = place[key]
    if data.draw(st.booleans()):
        place[key] = data.draw(NEAR | ODD)
    else:
        del place[key]
    return fields


def damaged(data: st.DataObject, content: bytes) -> bytes:
    """Bytes flipped, cut off, or put in at drawn places."""
    result = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(result) - 1)))
        way = data.draw(st.sampled_from(["flip", "cut", "insert", "drop"]))
        if way == "flip" and result:
            result[at] ^= data.draw(st.integers(1, 255))
        elif way == "cut":
            del result[at:]
        elif way == "insert":
            result[at:at] = data.draw(st.binary(max_size=20))
        else:
            del result[at : at + data.draw(st.integers(1, 40))]
    return bytes(result)


VERBS = (["verify"], ["bench", "--seconds", "0.1"], ["profile", "--runs", "1"])


@MANY
@given(data=st.data())
def test_manifests(mnc: Mnc, small: Artifact, data: st.DataObject) -> None:
    path = small.folder / MANIFEST
    good = path.read_bytes()
    try:
        if data.draw(st.booleans()):
            path.write_bytes(json.dumps(altered(data, json.loads(good))).encode())
        else:
            path.write_bytes(damaged(data, good))
        out = small.folder.parent / "page.html"
        if data.draw(st.booleans()):
            mnc(*data.draw(st.sampled_from(VERBS)), small.folder)
        else:
            logs = small.folder.parent / "logs"
            mnc("report", small.folder, "--no-run", "--out", out, "--logs", logs)
    finally:
        path.write_bytes(good)


@MANY
@given(data=st.data())
def test_target_files(mnc: Mnc, tmp_path: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["rpi4", "rk3399", "armv7", "x86"]))
    path = tmp_path / "device.toml"
    text = (ROOT / "targets" / f"{name}.toml").read_bytes()
    if data.draw(st.booleans()):
        path.write_bytes(damaged(data, text))
    else:  # one value replaced
        lines = text.decode().splitlines()
        with_values = [
            number for number, line in enumerate(lines) if " = " in line and line[0] != "#"
        ]
        number = data.draw(st.sampled_from(with_values))
        value = data.draw(NEAR.map(json.dumps) | ODD.map(json.dumps))
        lines[number] = f"{lines[number].split(' = ')[0]} = {value}"
        path.write_text("\n".join(lines))
    mnc("tasks", "mobilenet_v1_28", "--target", path, "--logs", tmp_path / "logs")


@MANY
@given(data=st.data())
def test_logs(mnc: Mnc, small: Artifact, data: st.DataObject) -> None:
    logs = small.folder.parent / "logs"
    path = logs / small.manifest.target.name / "tiny.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    target = small.manifest.target.tvm_target
    good = line_codec.encode_line(made(0, target=target))
    lines = [good, json.dumps(altered(data, json.loads(good))).encode(), damaged(data, good)]
    path.write_bytes(b"\n".join(data.draw(st.permutations(lines))))
    before = path.read_bytes()
    said = mnc(
        "report", small.folder, "--no-run", "--out", small.folder.parent / "p.html", "--logs", logs
    )
    assert said.status == 0 and path.read_bytes() == before


def photographs() -> dict[str, bytes]:
    """One of each format, and of each way that a pixel can be."""
    pixels = np.random.default_rng(0).integers(0, 255, (24, 20, 3), np.uint8)
    colour = Image.fromarray(pixels)
    gray = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    floats = Image.fromarray(pixels[..., 0].astype(np.float32) / 255)
    several: dict[str, Any] = {"save_all": True, "append_images": [colour.rotate(90)]}
    kinds: list[tuple[str, Image.Image, dict[str, Any]]] = [
        *((kind, colour, {}) for kind in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")),
        *((kind, colour, several) for kind in ("PNG", "GIF", "TIFF", "WEBP")),
        *((kind, gray, {}) for kind in ("PNG", "TIFF", "PPM")),
        *((kind, colour.convert("RGBA"), {}) for kind in ("PNG", "TIFF", "WEBP")),
        ("PNG", colour.quantize(16), {"transparency": 3}),
        ("JPEG", colour.convert("CMYK"), {"progressive": True}),
        ("TIFF", floats, {"compression": "tiff_deflate"}),
        ("TIFF", colour, {"compression": "tiff_lzw"}),
        ("TIFF", colour.convert("YCbCr"), {"compression": "jpeg"}),
        ("TIFF", colour.convert("1"), {"compression": "group4"}),
    ]
    made = {}
    for kind, image, options in kinds:
        out = io.BytesIO()
        image.save(out, kind, **options)
        made[f"{kind} {image.mode} {sorted(options)}"] = out.getvalue()
    return made


PHOTOGRAPHS = photographs()
NUMBERS = st.text("0123456789.,-+eEinfa ", max_size=12)


@MANY
@given(data=st.data())
def test_images(mnc: Mnc, small: Artifact, data: st.DataObject) -> None:
    path = small.folder.parent / "photo.png"
    kind = data.draw(st.sampled_from(sorted(PHOTOGRAPHS)))
    path.write_bytes(PHOTOGRAPHS[kind])
    assert mnc("run", small.folder, "--image", path, "--threads", "1").status == 0
    path.write_bytes(damaged(data, PHOTOGRAPHS[kind]))
    flag = data.draw(st.sampled_from(["--mean", "--scale", "--size"]))
    flags = [f"{flag}={data.draw(NUMBERS)}"] if data.draw(st.booleans()) else []
    mnc("run", small.folder, "--image", path, "--threads", "1", *flags)


TRAINED = ROOT / "model/data/mobilenet_v1_28_mnist.safetensors"


def checkpoint() -> bytes:
    out = io.BytesIO()
    torch.save(dict(list(safetensors.torch.load(TRAINED.read_bytes()).items())[:3]), out)
    return out.getvalue()


CHECKPOINT = checkpoint()


@MANY
@given(data=st.data())
def test_weights(mnc: Mnc, tmp_path: Path, data: st.DataObject) -> None:
    good = TRAINED.read_bytes()
    if data.draw(st.booleans()):
        path = tmp_path / "net.safetensors"
        length = int.from_bytes(good[:8], "little")
        head = damaged(data, good[8 : 8 + length])
        path.write_bytes(len(head).to_bytes(8, "little") + head + good[8 + length :])
    else:
        path = tmp_path / "net.pth"
        path.write_bytes(damaged(data, CHECKPOINT))
    mnc("tasks", "mobilenet_v1_28", "--weights", path, "--logs", tmp_path / "logs")


@MANY
@given(
    verb=st.sampled_from(["models", "verify", "run", "completion", "report", "tasks"]),
    words=st.lists(st.text(max_size=12), max_size=3),
)
def test_words(mnc: Mnc, tmp_path: Path, verb: str, words: list[str]) -> None:
    plain = [word.replace("\0", "").replace(":", "") for word in words]  # no module is imported
    if verb == "tasks":
        mnc(verb, "mobilenet_v1_28", "--target", "".join(plain) + "?", "--logs", tmp_path)
    else:  # without words a report is of what is under build/
        mnc(verb, "--", *(f"{tmp_path}/{word}" for word in plain or ["none"]))


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("way", ["pickle", "torch"])
def test_no_weights_are_unpickled(mnc: Mnc, tmp_path: Path, way: str) -> None:
    path, mark = tmp_path / "net.pth", tmp_path / "unpickled"
    if way == "pickle":
        path.write_bytes(pickle.dumps({"stem.conv.weight": Bomb(mark)}))
    else:
        torch.save({"stem.conv.weight": Bomb(mark)}, path)
    assert mnc("tasks", "mobilenet_v1_28", "--weights", path).status == 1
    assert not mark.exists()


def test_a_log_of_a_hundred_thousand_lines_with_every_kind_of_garbage(
    mnc: Mnc, small: Artifact, tmp_path: Path
) -> None:
    target = small.manifest.target.tvm_target
    good = json.loads(line_codec.encode_line(made(0, target=target)))
    other = {
        "other TVM": good | {"tvm_version": "0.8.0"},
        "NaN": good | {"result": [[float("nan")], 0, 1.0, 1.0]},
        "negative": good | {"result": [[-1.0], 0, 1.0, 1.0]},
        "infinite": good | {"result": [[float("inf")], 0, 1.0, 1.0]},
        "none": good | {"result": [[], 0, 1.0, 1.0]},
        "other device": good
        | {"input": [target.replace("-model=", "-model=a-"), *good["input"][1:]]},
    }
    lines = [json.dumps(line).encode() for line in other.values()]
    lines += [b"\x00\xff\x80", b"{" * 500, b"[]", b"null", b'{"input": ', "ü".encode() * 99]
    count = 100_000 // (len(lines) + 1)
    whole = [line_codec.encode_line(made(i, target=target)).rstrip(b"\n") for i in range(count)]
    everything = whole + lines * count
    random.Random(0).shuffle(everything)
    path = tmp_path / "logs" / small.manifest.target.name / "tiny.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\n".join(everything) + b"\n")
    words = ("report", small.folder, "--no-run", "--out", tmp_path / "p.html", "--json")
    said = mnc(*words, "--logs", tmp_path / "logs")
    (subject,) = json.loads(said.out)["subjects"]
    assert f"{count} trials in the log" in dict(subject["facts"])["tuned tasks"]
    assert sum(subject["skipped"].values()) == count * len(lines)
