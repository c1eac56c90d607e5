# SPDX-License-Identifier: Apache-2.0
"""What is compiled for: one TOML a device, and the code that reads them."""
