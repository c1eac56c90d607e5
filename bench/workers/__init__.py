# SPDX-License-Identifier: Apache-2.0
"""One module a runtime, each run by `serve.py` inside that runtime's own environment."""
