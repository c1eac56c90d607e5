# SPDX-License-Identifier: Apache-2.0
"""What is compiled: the networks, their trained weights and their data. PyTorch only, no TVM."""
