# SPDX-License-Identifier: Apache-2.0
"""Operators that PyTorch makes up of others, and that the compiler's importer lacks: it takes them apart."""

from typing import Any

NAMES = (
    "__or__ __xor__ absolute adjoint arccos arccosh arcsin arcsinh arctan arctan2 arctanh atleast_1d "
    "atleast_2d atleast_3d chain_matmul clip column_stack concat concatenate cross divide "
    "dsplit dstack fix fliplr flipud float_power ger gradient gru_cell hsplit hstack inner kron "
    "linalg_multi_dot linalg_norm lstm_cell mH mT moveaxis msort multiply negative outer "
    "pairwise_distance positive ravel special_erf special_exp2 special_expit special_expm1 "
    "special_log1p special_logit special_softmax special_xlogy subtract swapdims take_along_dim "
    "tensor_split tensordot vsplit vstack"
)
COMPOSITES = frozenset(f"aten::{name}" for name in NAMES.split())


def taken_apart(overload: Any, positional: list[Any], keywords: dict[str, Any]) -> Any:
    """What the operator gives, by those that it is made up of: a trace records these."""
    return overload.decompose(*positional, **keywords)
