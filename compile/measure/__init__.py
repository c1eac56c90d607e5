# SPDX-License-Identifier: Apache-2.0
"""Three ways to get a candidate's cost, behind one small interface."""
