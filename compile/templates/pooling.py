# SPDX-License-Identifier: Apache-2.0
"""Pooling of whole maps in blocks of channels: one vector of sums a block, read as it lies in memory.

Takes the outputs of TVM's adaptive pooling, or of sums of integers; gives a schedule. TVM's own for x86 sums
one channel after the other, each with the stride of a block: 10 times as slow on maps of 28x28. The sums are
in the same order.
"""

from collections.abc import Callable
from typing import Any

from tvm import te, topi
from tvm.topi import tag

BLOCKED = 5  # axes of N x C/b x H x W x b


def in_float32(compute: Callable[..., Any]) -> Callable[..., Any]:
    """TVM's `compute` of a pool, of which sums of halves are taken in float32."""

    def widened(attrs: Any, inputs: Any, out_type: Any) -> Any:
        if inputs[0].dtype != "float16":
            return compute(attrs, inputs, out_type)
        made = compute(attrs, [topi.cast(inputs[0], "float32")], out_type)
        return [topi.cast(one, "float16") for one in made]

    return widened


def applies(outs: Any) -> bool:
    """Whether the outputs are blocked pools, and element-wise work on them at most."""
    return len(outs) == 1 and len(outs[0].shape) == BLOCKED and _pool(outs[0].op) is not None


def schedule(outs: Any) -> Any:
    """A parallel loop over images and blocks of channels, vectors over a block."""
    (out,) = outs
    made, pool = te.create_schedule(out.op), _pool(out.op)
    source = pool.input_tensors[0].op
    widening = [source] if isinstance(source, te.ComputeOp) else []
    for op in (*_between(out.op, pool), *widening):
        made[op].compute_inline()
    images, blocks, rows, columns, lanes = made[out].op.axis
    outer = made[out].fuse(images, blocks)
    made[out].parallel(outer)
    made[out].vectorize(lanes)
    if pool != out.op:
        made[pool].compute_at(made[out], outer)
        rows, columns, lanes = made[pool].op.axis[2:]
        made[pool].vectorize(lanes)
    made[pool].reorder(rows, columns, *made[pool].op.reduce_axis, lanes)
    return made


def _pool(op: Any) -> Any:
    """The pooling that element-wise `op` follows, or `op` itself; None for anything else."""
    if op.tag.startswith("adaptive_pool") or _sums_maps(op):
        return op
    if not tag.is_broadcast(op.tag):
        return None
    before = [_pool(one.op) for one in op.input_tensors if isinstance(one.op, te.ComputeOp)]
    pools = [one for one in before if one is not None]
    return pools[0] if pools and all(one == pools[0] for one in pools) else None


def _sums_maps(op: Any) -> bool:
    """Whether `op` sums integers over rows and columns."""
    if op.tag != tag.COMM_REDUCE or not op.output(0).dtype.startswith("int"):
        return False
    shape = topi.utils.get_const_tuple(op.output(0).shape)
    return len(shape) == BLOCKED and shape[2:4] == (1, 1) and len(op.reduce_axis) == 2


def _between(op: Any, pool: Any) -> list[Any]:
    """What is computed after `pool` and before `op`."""
    before = [one.op for one in op.input_tensors if isinstance(one.op, te.ComputeOp)]
    return [one for inner in before if inner != pool for one in (inner, *_between(inner, pool))]
