# SPDX-License-Identifier: Apache-2.0
"""A model of a core and its memory that prices a kernel's real machine code, with no device attached."""
