# SPDX-License-Identifier: Apache-2.0
"""int8/model.ncnn.param and .bin from ncnn's own tools, where its wheel brings them: it does not.

Usage: python ncnn_int8.py FOLDER.
"""

import sys
from pathlib import Path


def main() -> None:
    """Say what is missing."""
    tools = [Path(sys.executable).with_name(name) for name in ("ncnn2table", "ncnn2int8")]
    if not all(tool.is_file() for tool in tools):
        raise RuntimeError("ncnn's wheel brings no quantizer: neither ncnn2table nor ncnn2int8")


if __name__ == "__main__":
    main()
