# SPDX-License-Identifier: Apache-2.0
"""From a PyTorch module to Relay in one blocked layout, and the tunable tasks in it."""
