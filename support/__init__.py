# SPDX-License-Identifier: Apache-2.0
"""What every package leans on: errors meant for people, files written whole, things to close, packages."""
