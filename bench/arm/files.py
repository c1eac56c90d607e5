# SPDX-License-Identifier: Apache-2.0
"""Model files for the emulated runtimes: the peers' as in x86's race, ours exported for the target."""

import functools
from pathlib import Path

import click

from bench.arm.runtimes import Runtime
from bench.peer import home
from bench.recipes import ModelFiles
from mnc.model.names import Precision
from mnc.support.errors import UserError
from mnc.support.files import cache_dir
from mnc.targets import Target, load


@functools.cache
def _model_files(model: str) -> ModelFiles:
    from mnc.model import zoo

    network = zoo.load(model)
    say = functools.partial(click.echo, err=True)
    return ModelFiles(network.name, network.weights_hash, load("host").model, say)


def model_folder(model: str, runtime: Runtime) -> Path:
    """Where the runtime's files of a model are, made when absent. UserError with what hinders it."""
    files = _model_files(model)
    files.make(runtime.recipe)
    if runtime.recipe in files.failures:
        raise UserError(f"{runtime.title}: {files.failures[runtime.recipe]}")
    return home(files.folder, runtime.precision)


def exported_folder(model: str, target: Target, precision: Precision) -> Path:
    """Our library of a model for a target, made anew, with the examples beside it."""
    from mnc.compile import api
    from mnc.compile.api.named import ModelSpec

    files = _model_files(model)
    files.make("exchange")
    folder = cache_dir("peers", "arm", f"{model}-{target.name}-{precision}")
    spec = ModelSpec(model, precision=precision)
    built = api.build(spec, target, out=folder / "artifacts", check=False)
    api.export(built, folder / "exported")
    for name in ("inputs.npy", "expected.npy"):
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(files.folder / name)
    return folder
