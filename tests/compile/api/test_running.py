# SPDX-License-Identifier: Apache-2.0
"""An artifact opened, loaded and asked, by folder or as it is."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from mnc.compile import api
from mnc.compile.artifact.store import Artifact
from mnc.model.preprocess import Preprocess
from mnc.support.errors import UserError
from tests.compile.conftest import SHAPE, Tiny

PREPROCESS = Preprocess(size=16, resize=16, mean=(127.5,) * 3, scale=(1 / 127.5,) * 3)


def test_a_session_knows_its_artifact(tiny_artifact: Artifact) -> None:
    session = api.load(str(tiny_artifact.folder), threads=1)
    assert session.artifact == api.open_artifact(tiny_artifact.folder)
    assert session.threads == 1
    assert api.load(tiny_artifact).artifact is tiny_artifact


def test_photographs_are_read_as_whole_batches_and_classified(tiny: Tiny, tmp_path: Path) -> None:
    tensor = msgspec.structs.replace(tiny.manifest.inputs[0], shape=(3, *SHAPE[1:]))
    manifest = msgspec.structs.replace(tiny.manifest, inputs=(tensor,), preprocess=PREPROCESS)
    plain = tiny.save(tmp_path / "tiny")
    three = Artifact(folder=plain.folder, manifest=manifest, labels=plain.labels)
    photo = tmp_path / "a.png"
    Image.new("RGB", (20, 30), (255, 0, 0)).save(photo)
    (batch,) = api.read_images(three, [photo])
    assert batch.shape == (3, *SHAPE[1:]) and (batch[0] == batch[2]).all()
    session = api.load(plain)
    (ranked,) = api.classify(session, [batch[:1]], top=2)
    (logits,) = session.run(batch[:1])
    assert ranked[0][0] == plain.labels[int(np.argmax(logits))] and len(ranked) == 2
    assert ranked[0][1] >= ranked[1][1]


def test_a_network_that_takes_no_images_is_told_how(
    tiny_artifact: Artifact, tmp_path: Path
) -> None:
    photo = tmp_path / "a.png"
    Image.new("RGB", (20, 30), (255, 0, 0)).save(photo)
    with pytest.raises(UserError, match="tiny does not say how it takes images"):
        api.read_images(tiny_artifact, [photo])
    (batch,) = api.read_images(tiny_artifact, [photo], mean=(255, 0, 0), scale=(0.5,))
    assert batch.shape == SHAPE and not batch.any()


def test_what_is_for_another_cpu_does_not_run_here(tiny: Tiny, tmp_path: Path) -> None:
    own = tiny.save(tmp_path / "own")
    arch = "aarch64" if tiny.manifest.target.arch == "x86_64" else "x86_64"
    platform = msgspec.structs.replace(tiny.manifest.target, arch=arch)
    manifest = msgspec.structs.replace(tiny.manifest, target=platform)
    other = Artifact(folder=own.folder, manifest=manifest, labels=())
    assert api.runs_here(own) and not api.runs_here(other)


def test_a_class_of_cores_is_a_device_s(tiny_artifact: Artifact) -> None:
    with pytest.raises(UserError, match="name one with --device"):
        api.load(tiny_artifact, cores="little")
