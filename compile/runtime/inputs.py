# SPDX-License-Identifier: Apache-2.0
"""What a network may be given: the same rule for a session here, one on a device and an exported library.

Takes arrays and the tensors of the signature; gives nothing, or a UserError that says what was wanted.
"""

from collections.abc import Sequence

import numpy as np

from mnc.compile.artifact.manifest import Tensor
from mnc.support.errors import UserError


def check_inputs(inputs: Sequence[object], wanted: Sequence[Tensor], *, name: str) -> None:
    """UserError unless `inputs` are numpy arrays of exactly the shapes and types that `name` takes. They need
    not be contiguous or aligned; nothing is converted, which might hide a mistake.
    """
    if len(inputs) != len(wanted):
        raise UserError(f"{name} takes {len(wanted)} input(s), not {len(inputs)}")
    for tensor, array in zip(wanted, inputs, strict=True):
        if not isinstance(array, np.ndarray):
            raise UserError(
                f"{name} takes {_text(tensor)} as {tensor.name}, not a {type(array).__name__}; make an "
                f"array of it, numpy.asarray(..., {tensor.dtype!r})"
            )
        if array.shape != tensor.shape or array.dtype != tensor.dtype:
            raise UserError(
                f"{name} takes {_text(tensor)} as {tensor.name}, not"
                f" {array.dtype} {'x'.join(map(str, array.shape))}; reshape or convert it"
            )


def _text(tensor: Tensor) -> str:
    layout = f" ({tensor.layout})" if tensor.layout else ""
    return f"{tensor.dtype} {'x'.join(map(str, tensor.shape))}{layout}"
