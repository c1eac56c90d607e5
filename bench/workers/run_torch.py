# SPDX-License-Identifier: Apache-2.0
"""PyTorch, BN folded, under inference mode; the variant is in the environment variable VARIANT."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from network import Network


def load(folder: Path, threads: int) -> Network:
    """eager; channels_last; script (frozen, optimize_for_inference); inductor (frozen, C++ wrapper)."""
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    variant = os.environ["VARIANT"]
    layout = torch.contiguous_format if variant in ("eager", "script") else torch.channels_last
    model = _model(folder, variant, layout)

    def call(image: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return model(image)

    return Network(
        torch.__version__,
        call,
        prepare=lambda image: torch.from_numpy(image).to(memory_format=layout),
        finish=lambda output: output.numpy(),
    )


def _model(folder: Path, variant: str, layout: torch.memory_format) -> Callable[..., Any]:
    if variant == "script":
        script = torch.jit.freeze(torch.jit.load(str(folder / "model.pt")).eval())
        return torch.jit.optimize_for_inference(script)
    module = torch.export.load(str(folder / "model.pt2")).module().to(memory_format=layout)
    if variant != "inductor":
        return module
    import torch._inductor.config as inductor

    inductor.freezing = True
    inductor.cpp_wrapper = True
    return torch.compile(module)
