# SPDX-License-Identifier: Apache-2.0
"""Whether a runtime computes the network: its outputs beside those that PyTorch gives in float32.

Takes a loaded runtime and the folder of examples; gives a `Likeness`. What is wrong has no time.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.worker_process import Worker
from mnc.model.names import Precision
from mnc.support.errors import UserError

TOLERANCE = 1e-4  # of the largest logit; the product's own (compile/runtime/verify.py)
AGREEMENT = 0.75  # of the crops' likeliest classes: a network in 8-bit integers that is off in more is wrong

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Likeness:
    """`error` is the largest difference of any example, relative to that example's largest logit;
    `logit_error` the root of the mean square of all differences, relative to that of all logits;
    `agreement` the share of examples with the same likeliest class. Errors are infinite for what is no
    number.
    """

    error: float
    logit_error: float
    agreement: float


def judge(worker: Worker, folder: Path, precision: Precision) -> Likeness:
    """Compare; UserError for outputs that are too far off to be the network's in this precision."""
    with tempfile.TemporaryDirectory() as scratch:
        outputs = Path(scratch) / "outputs.npy"
        worker.ask("check", inputs=str(folder / "inputs.npy"), outputs=str(outputs))
        found = np.load(outputs, allow_pickle=False)
    truth = np.load(folder / "expected.npy", allow_pickle=False)
    if found.size != truth.size:
        raise UserError(f"wrong: gave {found.shape}, not {truth.shape}")
    alike = likeness(truth, found.reshape(truth.shape))
    if precision == "float32" and not alike.error <= TOLERANCE:
        raise UserError(f"wrong: differs from PyTorch by {alike.error:.1e} of the largest logit")
    if precision == "int8" and not alike.agreement >= AGREEMENT:
        raise UserError(
            f"wrong: the likeliest class is float32's in {alike.agreement:.0%} of the crops,"
            f" relative error of logits {alike.logit_error:.2f}"
        )
    return alike


def likeness(truth: Array, found: Array) -> Likeness:
    """Of arrays whose first axis is the example."""
    rows, others = (a.reshape(len(a), -1).astype(np.float64) for a in (truth, found))
    if not np.isfinite(others).all():
        return Likeness(float("inf"), float("inf"), 0.0)
    off = np.abs(rows - others)
    return Likeness(
        error=float((off.max(1) / np.abs(rows).max(1)).max()),
        logit_error=float(np.sqrt((off**2).mean() / (rows**2).mean())),
        agreement=float((rows.argmax(1) == others.argmax(1)).mean()),
    )
