# SPDX-License-Identifier: Apache-2.0
"""Benches that are no part of the product: the race against other runtimes (`make bench-peers`)."""
