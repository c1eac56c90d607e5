# SPDX-License-Identifier: Apache-2.0
"""Which build of PyTorch pip is about to install, and how large it is, in one line for `make setup`.

Takes the report of `pip install --dry-run --report - torch` on standard input; prints nothing when PyTorch is
there already. Runs before anything is installed: the standard library only.
"""

import json
import sys
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

LIMIT = 10.0  # seconds for a registry's answer
ADVICE = "with MNC_TORCH_INDEX=ADDRESS, of an index that has CPU builds, it would be a tenth"


def line(report: Mapping[str, Any]) -> str | None:
    """What to say of pip's report."""
    taken = {package["metadata"]["name"].lower(): package for package in report["install"]}
    if "torch" not in taken:
        return None
    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(_bytes, [one["download_info"]["url"] for one in taken.values()]))
    known = [size for size in sizes if size is not None]
    size = f"{'' if len(known) == len(sizes) else 'over '}{sum(known) / 1e9:.1f} GB to fetch"
    said = f"setup: PyTorch {taken['torch']['metadata']['version']}, {len(taken)} packages, {size}"
    if not any(name.startswith("nvidia") for name in taken):
        return f"{said}: a build for CPUs"
    return f"{said}, twice that on disk: a build for CUDA, for none else was found; {ADVICE}"


def _bytes(url: str) -> int | None:
    """The size of a file, here or at a registry, or None."""
    try:
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=LIMIT) as answer:
            return int(answer.headers["Content-Length"])
    except (OSError, ValueError, TypeError):
        return None


if __name__ == "__main__":
    said = line(json.load(sys.stdin))
    if said is not None:
        print(said, file=sys.stderr)
