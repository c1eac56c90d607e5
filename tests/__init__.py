# SPDX-License-Identifier: Apache-2.0
"""The tests: one folder a package, one module a module."""
