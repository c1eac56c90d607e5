# SPDX-License-Identifier: Apache-2.0
"""Networks in 8-bit integers: a float network becomes one with markers of where it is stored in 8 bits."""
