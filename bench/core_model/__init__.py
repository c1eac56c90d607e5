# SPDX-License-Identifier: Apache-2.0
"""The simulator against real boards: published tuning records replayed, their costs compared."""
