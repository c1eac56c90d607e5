# SPDX-License-Identifier: Apache-2.0
"""A PyTorch module as a function of numpy arrays: the truth that artifacts are compared and raced with."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from mnc.model.reference import Array, Reference


def torch_reference(module: Callable[..., object]) -> Reference:
    """A PyTorch module as a function of numpy arrays."""
    import torch

    from mnc.model.outputs import tensors_of

    def run(*inputs: Array) -> tuple[Array, ...]:
        with one_thread(), torch.inference_mode():
            outputs = module(*(torch.from_numpy(np.ascontiguousarray(x)) for x in inputs))
        return tuple(output.detach().numpy() for output in tensors_of(outputs))

    return Reference("PyTorch", run)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread: several spin where they wait for one another, and on a machine that is busy an
    inference takes fifty times as long.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def torch_call(module: Any, inputs: Sequence[Array], threads: int) -> Callable[[], object]:
    """One inference of a PyTorch module on `threads` threads, as a contestant of `runner.bench`."""
    import torch

    tensors = [torch.from_numpy(array) for array in inputs]

    def call() -> object:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        with torch.inference_mode():
            return module(*tensors)

    return call
