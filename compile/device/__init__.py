# SPDX-License-Identifier: Apache-2.0
"""Where kernels and networks run or are priced: this machine, a device over RPC, or a core model."""
