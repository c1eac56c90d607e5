# SPDX-License-Identifier: Apache-2.0
"""The interpreter and the core model, in C, and what they are told of a target."""
