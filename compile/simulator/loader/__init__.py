# SPDX-License-Identifier: Apache-2.0
"""From an object file or a library to an image of memory."""
