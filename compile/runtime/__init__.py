# SPDX-License-Identifier: Apache-2.0
"""An artifact at work: sessions here and on devices, times, layers, comparison with PyTorch."""
