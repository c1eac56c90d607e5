# SPDX-License-Identifier: Apache-2.0
"""One script a format: each makes a model file of the exchanged network in its own environment."""
