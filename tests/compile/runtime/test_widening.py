# SPDX-License-Identifier: Apache-2.0
"""An artifact that has its weights in half precision computes in float32, in either of its libraries."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from mnc.compile import api
from mnc.compile.artifact import writer
from mnc.compile.codegen import network
from mnc.compile.export import exporter, weights
from mnc.compile.frontend import rounded_weights
from mnc.compile.runtime.freestanding import Freestanding
from mnc.compile.runtime.session import Session
from mnc.compile.runtime.verify import verify
from mnc.compile.toolchain import stored_weights
from mnc.targets import load
from tests.compile.export.networks import two_heads


def test_both_libraries_widen_what_the_file_has_in_halves(tmp_path: Path) -> None:
    model, host = two_heads(), load("host")
    prepared = network.prepare(model, host)
    rounded = rounded_weights.rounded(prepared.program)
    built = network.compile_prepared(replace(prepared, program=rounded))
    made = writer.save(built, model, host, tmp_path / "artifact", weight_storage="fp16")
    artifact = api.open_artifact(made.folder)
    report = verify(artifact, session=Session(artifact), reference=model.reference())
    assert report.ok and report.checks[0].max_relative > 1e-5
    arrays = weights.read(artifact.library)
    halved = [one for one in arrays.values() if stored_weights.is_halved(one)]
    assert halved and all((one == one.astype(np.float16)).all() for one in halved)
    exported = exporter.export(artifact, tmp_path / "export", target=host)
    image = artifact.golden().inputs[0][0]
    with Freestanding(exported.shared) as library:
        for one, other in zip(library.run(image), Session(artifact).run(image), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)
