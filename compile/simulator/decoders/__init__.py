# SPDX-License-Identifier: Apache-2.0
"""From machine code to micro-ops, one architecture a family of files."""
