# SPDX-License-Identifier: Apache-2.0
"""How a network becomes a tuned, verified library: one module a stage."""
