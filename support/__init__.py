# SPDX-License-Identifier: Apache-2.0
"""What every room leans on: errors meant for people, files written whole, things to close, packages."""
