# SPDX-License-Identifier: Apache-2.0
"""`python -m mnc` is the command `mnc`."""

from mnc.compile.cli import main

if __name__ == "__main__":
    main()
