# SPDX-License-Identifier: Apache-2.0
"""`python -m compile` is the command `mnc`."""

from compile.cli import main

main()
