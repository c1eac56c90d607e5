# SPDX-License-Identifier: Apache-2.0
"""Packages that only some networks need, and that are not installed with mnc unless asked for."""

import importlib
from types import ModuleType

from mnc.support.errors import UserError


class MissingPackageError(UserError):
    """An optional package is not installed."""


def module(name: str, *, extra: str, needed_by: str) -> ModuleType:
    """The module of that name. MissingPackageError, with what to install, where it cannot be imported."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0].replace("_", "-")
        raise MissingPackageError(
            f"{needed_by} needs the package {package}: pip install 'mnc[{extra}]', or {package} alone"
        ) from error
