# SPDX-License-Identifier: Apache-2.0
"""The artifact: a folder with all that is needed to run a network and to trust it."""
