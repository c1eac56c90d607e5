# SPDX-License-Identifier: Apache-2.0
"""What is worked out while a network is traced, and stands in the trace as a result: sizes, weights."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor


@contextlib.contextmanager
def known_now() -> Iterator[None]:
    """What is worked out within is a constant of the network: no trace has it, sizes are numbers, and
    values are there where tensors have sizes only (`control_flow`).
    """
    from torch._subclasses.fake_tensor import unset_fake_temporarily

    state = torch._C._get_tracing_state()
    torch._C._set_tracing_state(None)  # type: ignore[attr-defined]
    try:
        with unset_fake_temporarily(), torch.no_grad():
            yield
    finally:
        torch._C._set_tracing_state(state)  # type: ignore[attr-defined]


def shape_of(x: Tensor) -> list[int]:
    """Its sizes, as numbers."""
    with known_now():
        return [int(size) for size in x.shape]
