# SPDX-License-Identifier: Apache-2.0
"""stock.so: TVM 0.19 as its tutorial compiles a network, with its own templates and layouts.

Usage: python stock_tvm.py FOLDER [LOG]. With an AutoTVM log, stock-tuned.so by its best records.
Nothing of this project takes part but the model, whose BN is folded already.
"""

import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

os.environ["TOPHUB_LOCATION"] = "NONE"  # no downloads
import tvm
from tvm import autotvm, relay


def main(folder: Path, log: Path | None) -> None:
    """Compile and write the library."""
    module, params, target = network(folder)
    # LLVM 22 refuses the debug records that this pass's vectors get.
    config = {"tir.disable_cse_tir": True}
    best = autotvm.apply_history_best(str(log)) if log else nullcontext()
    with best, tvm.transform.PassContext(opt_level=3, config=config):
        library = relay.build(module, target=target, params=params)
    library.export_library(str(folder / ("stock-tuned.so" if log else "stock.so")))


def network(folder: Path) -> tuple[Any, Any, Any]:
    """(Relay module, parameters, target with this CPU's name)."""
    shape = np.load(folder / "inputs.npy").shape[1:]
    traced = torch.jit.load(str(folder / "model.pt"))
    module, params = relay.frontend.from_pytorch(traced, [("input", shape)])
    cpu = json.loads((folder / "cpu.json").read_text())["mcpu"]
    return module, params, tvm.target.Target(f"llvm -mcpu={cpu}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
