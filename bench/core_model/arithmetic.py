# SPDX-License-Identifier: Apache-2.0
"""What a model must beat: guesses from a convolution's operations and bytes alone.

Takes a `LoggedConvolution` and a `Target`; gives seconds.
"""

from bench.core_model.convolution import LoggedConvolution
from mnc.targets import Target


def roofline(convolution: LoggedConvolution, target: Target, *, threads: int) -> float:
    """Operations at the peak of `threads` fast cores or bytes at the memory's bandwidth, whichever is longer.

    Each tensor moves once. Weights count too: what a record's kernel kept in its cache is a model's to know.
    """
    peak = target.fast.peak_gflops(threads)
    if peak is None:
        raise ValueError(f"target {target.name} has no clock")
    moved = convolution.input_bytes + convolution.weight_bytes + convolution.output_bytes
    memory = target.memory
    bandwidth = memory.core_bandwidth_gb_s if threads == 1 else memory.bandwidth_gb_s
    return max(convolution.flops / peak, moved / bandwidth) * 1e-9


def proportional(convolution: LoggedConvolution, target: Target, *, threads: int) -> float:
    """Operations at the peak."""
    peak = target.fast.peak_gflops(threads)
    if peak is None:
        raise ValueError(f"target {target.name} has no clock")
    return convolution.flops / peak * 1e-9
