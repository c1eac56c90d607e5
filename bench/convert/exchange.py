# SPDX-License-Identifier: Apache-2.0
"""The network as PyTorch hands it on: BN folded, as TorchScript and as an exported program.

Usage: python exchange.py FOLDER MODEL. Writes model.pt, model.pt2, inputs.npy (examples), expected.npy
(PyTorch's answers) and cpu.json (what TVM's targets need to know of this machine).
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from mnc.model import prepare, zoo
from mnc.model.examples import examples
from mnc.targets import load


def main(folder: Path, name: str) -> None:
    """Write the files."""
    model = zoo.load(name)
    inputs, _ = examples(model.input_shape, model.preprocess)
    with torch.no_grad():
        outputs = [model.module(torch.from_numpy(one)).numpy() for one in inputs]
    np.save(folder / "inputs.npy", inputs)
    np.save(folder / "expected.npy", np.stack(outputs))
    torch.jit.save(prepare.trace(model), str(folder / "model.pt"))
    folded = prepare.fold_batch_norm(model.module)
    program = torch.export.export(folded, prepare.example_inputs(model))
    torch.export.save(program, folder / "model.pt2")
    host = load("host")
    cpu = {"mcpu": host.mcpu, "cores": sum(core.count for core in host.cores)}
    (folder / "cpu.json").write_text(json.dumps(cpu))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
