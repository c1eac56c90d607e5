# SPDX-License-Identifier: Apache-2.0
"""Machine code of 32-bit ARM."""
