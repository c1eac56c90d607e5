# SPDX-License-Identifier: Apache-2.0
"""Our AutoTVM templates, registered beside the ones of TOPI."""
