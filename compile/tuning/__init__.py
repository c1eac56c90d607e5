# SPDX-License-Identifier: Apache-2.0
"""The search: what to try next, for how long, on whose experience, and the last step in the real network."""
