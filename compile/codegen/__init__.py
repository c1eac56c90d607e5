# SPDX-License-Identifier: Apache-2.0
"""From a program and the log's records to compiled kernels."""
