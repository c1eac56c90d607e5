# SPDX-License-Identifier: Apache-2.0
"""Attention, which PyTorch has in one operator each, in terms of products and softmax.

Take an ATen operator's arguments, in its schema's order; give what the operator gives.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mnc.model.trace_constants import known_now, shape_of


def scaled_dot_product(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    *_: Any,
) -> Tensor:
    """Of (..., length, features) each; a mask of booleans is true where a query may look."""
    scores = torch.matmul(query, key.transpose(-2, -1))
    scores = scores * (1 / math.sqrt(shape_of(query)[-1]) if scale is None else scale)
    if is_causal:
        with known_now():
            allowed = torch.ones(query.shape[-2], key.shape[-2]).tril()
            later = torch.where(allowed > 0, 0.0, -math.inf)
        scores = scores + later
    if mask is not None:
        as_bias = torch.where(mask, 0.0, -math.inf) if mask.dtype == torch.bool else mask
        scores = scores + as_bias
    return torch.matmul(torch.softmax(scores, -1), value)


def native_multi_head(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    features: int,
    heads: int,
    in_weight: Tensor,
    in_bias: Tensor,
    out_weight: Tensor,
    out_bias: Tensor,
    mask: Tensor | None = None,
    need_weights: bool = True,
    average: bool = True,
    *_: Any,
) -> Any:
    """What a trace has of `nn.MultiheadAttention`: (batch, length, features), and the heads' weights."""
    if mask is not None:
        return NotImplemented
    with known_now():
        layers = list(zip(in_weight.chunk(3), in_bias.chunk(3), strict=True))
    apart = [
        F.linear(x, *layer).reshape([*shape_of(x)[:2], heads, features // heads]).transpose(1, 2)
        for x, layer in zip((query, key, value), layers, strict=True)
    ]
    scores = torch.matmul(apart[0], apart[1].transpose(-2, -1)) / math.sqrt(features // heads)
    weights = torch.softmax(scores, -1)
    joined = torch.matmul(weights, apart[2]).transpose(1, 2).reshape(shape_of(query))
    seen = (weights.mean(1) if average else weights) if need_weights else None
    return F.linear(joined, out_weight, out_bias), seen


def transformer_encoder_layer(
    x: Tensor,
    features: int,
    heads: int,
    in_weight: Tensor,
    in_bias: Tensor,
    out_weight: Tensor,
    out_bias: Tensor,
    use_gelu: bool,
    norm_first: bool,
    eps: float,
    *rest: Any,
) -> Any:
    """What a trace in eval mode has of `nn.TransformerEncoderLayer`. `rest`: weight and bias of two norms
    and two dense layers, then a mask.
    """
    *weights, mask = rest[:9]
    if mask is not None:
        return NotImplemented
    norm_1, norm_2, wide, narrow = zip(weights[::2], weights[1::2], strict=True)
    activation = F.gelu if use_gelu else F.relu

    def norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.layer_norm(x, [features], weight, bias, eps)

    def attend(x: Tensor) -> Tensor:
        projections = (in_weight, in_bias, out_weight, out_bias)
        made: Tensor = native_multi_head(x, x, x, features, heads, *projections)[0]
        return made

    def feed(x: Tensor) -> Tensor:
        return F.linear(activation(F.linear(x, *wide)), *narrow)

    if norm_first:
        x = x + attend(norm(x, *norm_1))
        return x + feed(norm(x, *norm_2))
    x = norm(x + attend(x), *norm_1)
    return norm(x + feed(x), *norm_2)
