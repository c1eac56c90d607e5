# SPDX-License-Identifier: Apache-2.0
"""Current TVM: the Relax virtual machine on the library that VARIANT names."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tvm
from network import Network
from tvm import relax


def load(folder: Path, threads: int) -> Network:
    """relax.so (default pipeline) or relax-tuned.so (MetaSchedule's best, weights packed here)."""
    os.environ["TVM_NUM_THREADS"] = str(threads)  # read when the pool starts
    variant = os.environ["VARIANT"]
    machine = relax.VirtualMachine(tvm.runtime.load_module(str(folder / variant)), tvm.cpu())
    weights = _weights(machine, folder / variant.replace(".so", ".params"))
    return Network(
        tvm.__version__,
        lambda image: machine["main"](image, *weights),
        prepare=tvm.runtime.tensor,
        finish=lambda output: (output if hasattr(output, "numpy") else output[0]).numpy(),
    )


def _weights(machine: Any, file: Path) -> Sequence[Any]:
    if not file.is_file():
        return ()
    named = tvm.runtime.load_param_dict_from_file(str(file))
    given = [named[str(index)] for index in range(len(named))]
    try:
        transform = machine["main_transform_params"]
    except (AttributeError, ValueError):
        return given
    return list(transform(given))
