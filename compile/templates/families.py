# SPDX-License-Identifier: Apache-2.0
"""Families of kernels that a whole network can be built from: our templates, or those of TVM's own."""

BLOCKED = "blocked"
FAMILIES = {
    BLOCKED: "our templates, one layout NCHW{b}c, no transforms",
    "spatial-pack": "TVM's templates for NCHW (arm_cpu's spatial pack on ARM)",
    "nchwc": "TVM's x86-style templates, a channel block for each layer",
    "nhwc": "TVM's templates for NHWC",
}
