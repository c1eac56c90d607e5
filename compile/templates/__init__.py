# SPDX-License-Identifier: Apache-2.0
"""Our AutoTVM templates, registered beside the ones of TOPI. Importing this package registers them.

All work on the one blocked layout, NCHW{b}c with b the float32 lanes of the target: `pointwise` for 1x1
convolutions and the classifier, `depthwise`, and `direct` for the other convolutions (the first one).
"""

from mnc.compile.templates import (
    bilinear,
    convolution_depthwise,
    depthwise,
    direct,
    integer,
    integer_convolution_depthwise,
    op_strategy,
    pointwise,
    strassen,
)

TASK_NAMES = (
    pointwise.NAME,
    depthwise.NAME,
    direct.NAME,
    convolution_depthwise.NAME,
    integer_convolution_depthwise.NAME,
    strassen.NAME,
    *integer.NAMES,
)

op_strategy.register()

__all__ = ["TASK_NAMES", "bilinear"]
