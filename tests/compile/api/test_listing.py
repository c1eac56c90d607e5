# SPDX-License-Identifier: Apache-2.0
"""What the API lists, and that names alone cost nothing."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mnc.compile import api
from mnc.compile.artifact.store import Artifact
from mnc.model.zoo import Model
from mnc.support.errors import UserError
from tests.compile.conftest import SHAPE, Tiny


def test_names_need_neither_torch_nor_tvm() -> None:
    code = (
        "import sys; from mnc.compile import api;"
        "print('rk3399' in api.target_names(), 'mobilenet_v1_28' in api.model_names(),"
        "{'torch', 'tvm'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True set()\n"


def test_artifacts_are_found_where_builds_put_them(tiny: Tiny, tmp_path: Path) -> None:
    made = [tiny.save(tmp_path / place).folder for place in ("x/b", "x/a", "arm/c")]
    (tmp_path / "x" / "none").mkdir()
    assert api.artifact_folders(tmp_path) == tuple(sorted(made))
    assert api.artifact_folders(tmp_path / "nowhere") == ()


def test_torchscript_hides_what_its_layers_cost(tiny: Tiny, tiny_artifact: Artifact) -> None:
    model = Model("tiny", tiny.module, SHAPE, None, (), "random", "", spec="tiny.pt")
    assert len(api.layers(model).layers) == 4
    script = torch.jit.script(tiny.module)
    hidden = Model("tiny", script, SHAPE, None, (), "random", "", spec="tiny.pt")
    with pytest.raises(UserError, match=r"tiny\.pt: TorchScript hides its layers, so they cannot"):
        api.layers(hidden)


def test_a_log_s_best_is_shown_with_what_gave_it() -> None:
    rows = api.tasks("mobilenet_v1_1.0_224", "rk3399")
    assert rows and all(row.best_gflops for row in rows if row.kind == "pointwise")
    assert any(row.simulated for row in rows)  # no board was at hand for the committed log
    assert sum(row.share for row in rows if row.kind != "fused") == pytest.approx(1)
