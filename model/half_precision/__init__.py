# SPDX-License-Identifier: Apache-2.0
"""What half precision does to a network: how large its maps are, and how far off its sums."""
