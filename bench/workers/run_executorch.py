# SPDX-License-Identifier: Apache-2.0
"""ExecuTorch with its XNNPACK delegate, float32."""

from importlib.metadata import version
from pathlib import Path

import torch
from executorch.extension.pybindings import portable_lib
from network import Network


def load(folder: Path, threads: int) -> Network:
    """The .pte file on `threads` threads."""
    portable_lib._threadpool_get_thread_count()  # starts the pool, or says that there is none
    portable_lib._unsafe_reset_threadpool(threads)
    program = portable_lib._load_for_executorch(str(folder / "model.pte"))
    return Network(
        version("executorch"),
        program.forward,
        prepare=lambda image: (torch.from_numpy(image),),
        finish=lambda outputs: outputs[0].numpy(),
    )
