# SPDX-License-Identifier: Apache-2.0
"""What is in a checkpoint's file, read without running any code of the file's.

Takes a .pth or .safetensors file; gives what was saved: tensors, and what trainers keep beside them.
"""

import argparse
import datetime
import pathlib
import pickle
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from mnc.support import error_text
from mnc.support.errors import UserError

# Making one of these runs no code of the file's.
_HARMLESS = (
    argparse.Namespace,
    types.SimpleNamespace,
    datetime.date,
    datetime.datetime,
    datetime.timedelta,
    datetime.timezone,
    *(bool, bytearray, complex, dict, float, frozenset, int, list, range, set, slice, str, tuple),
)
# By the names that they have had: a path of another system's cannot be made here.
_PATHS = {
    f"{home}.{name}": kind
    for home in ("pathlib", "pathlib._local")
    for name, kind in (
        ("PosixPath", pathlib.PurePosixPath),
        ("PurePosixPath", pathlib.PurePosixPath),
        ("WindowsPath", pathlib.PureWindowsPath),
        ("PureWindowsPath", pathlib.PureWindowsPath),
    )
}


def content(path: Path) -> Any:
    """What was saved at `path`. UserError for a missing file, one that needs code to be loaded, and one that
    is no checkpoint.
    """
    if not path.is_file():
        raise UserError(f"no weights file at {path}; check the path")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        with warnings.catch_warnings(), torch.serialization.safe_globals(_harmless()):
            warnings.simplefilter("ignore")  # of pickle protocols; what matters raises
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is not a plain checkpoint (loading it would run code, or it is damaged);"
            " save it as torch.save(module.state_dict(), path) or as .safetensors"
        ) from error
    except Exception as error:  # damaged zip, header or pickle: the readers raise many types
        raise UserError(
            f"{path} is not a checkpoint ({error_text.of_exception(error)}); give a .pth or .safetensors"
        ) from error


def _harmless() -> list[Any]:
    paths = [(kind, name) for name, kind in _PATHS.items()]
    return [*_HARMLESS, *paths, *_numpy_values()]


def _numpy_values() -> list[Any]:
    """What a pickle needs for numpy's scalars and arrays (an accuracy, a curve), by its names in numpy 1
    and 2.
    """
    makers: dict[str, Any] = {
        "scalar": np.float64(0).__reduce__()[0],
        "_reconstruct": np.empty(0).__reduce__()[0],
    }
    named = [
        (maker, f"numpy.{home}.multiarray.{name}")
        for name, maker in makers.items()
        for home in ("core", "_core")
    ]
    kinds = {type(np.dtype(code)) for code in np.typecodes["All"] if code != "O"}
    return [*named, np.ndarray, np.dtype, *kinds]
