# SPDX-License-Identifier: Apache-2.0
"""How a network becomes a tuned, verified library: one package a stage, `docs/architecture.md` in order."""

import os

# Before tvm is imported anywhere: TopHub would be downloaded at the first build; offline that is two
# time-outs, and on ARM an error that nothing catches.
os.environ["TOPHUB_LOCATION"] = "NONE"
