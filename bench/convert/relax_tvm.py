# SPDX-License-Identifier: Apache-2.0
"""Current TVM's Relax: relax.so without tuning, or relax-tuned.so by MetaSchedule's records.

Usage: python relax_tvm.py FOLDER [RECORDS [TRIALS]]. With TRIALS it searches first, that many trials a
task; what RECORDS holds already counts. The tuned one is TVM's own pipeline for static shapes, weights
packed ahead of time, as its documentation advises for CPUs.
"""

import json
import sys
from pathlib import Path
from typing import Any

import onnx
import tvm
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx
from tvm.s_tir import meta_schedule


def main(folder: Path, records: Path | None, trials: int) -> None:
    """Compile and write the library, and the weights beside it where they are its inputs."""
    target = machine(folder)
    network = onnx.load(str(folder / "model.onnx"))
    if records is None:
        module = from_onnx(network, keep_params_in_input=False)
        with target:
            tvm.compile(module, target=target).export_library(str(folder / "relax.so"))
        return
    module = from_onnx(network, keep_params_in_input=True)
    module, weights = relax.frontend.detach_params(module)
    tvm.runtime.save_param_dict_to_file(
        {str(index): weight for index, weight in enumerate(weights["main"])},
        str(folder / "relax-tuned.params"),
    )
    if trials:
        search(module, target, records, trials)
    with target:
        module = pipeline(target, records, total=0, each=None)(module)
        executable = tvm.compile(module, target=target)
    executable.export_library(str(folder / "relax-tuned.so"))


def search(module: Any, target: Any, records: Path, trials: int) -> None:
    """Fill `records` with `trials` trials a task, less what it holds."""
    records.mkdir(parents=True, exist_ok=True)
    ready = tvm.transform.Sequential(
        [
            relax.transform.DecomposeOpsForInference(),
            relax.transform.CanonicalizeBindings(),
            relax.get_pipeline("zero"),
            relax.transform.AttachAttrLayoutFreeBuffers(),
        ]
    )
    with target:
        tasks = meta_schedule.relax_integration.extract_tasks(ready(module), target)
    log = records / "database_tuning_record.json"
    done = len(log.read_text().splitlines()) if log.exists() else 0
    left = trials * len(tasks) - done
    print(f"{len(tasks)} tasks, {done} trials done, {max(left, 0)} to do", file=sys.stderr)
    if left > 0:
        pipeline(target, records, total=left, each=trials)(module)


def pipeline(target: Any, records: Path, *, total: int, each: int | None) -> Any:
    """TVM's pipeline; with `total` 0 it only applies what `records` holds."""
    return relax.get_pipeline(
        "static_shape_tuning",
        total_trials=total,
        target=target,
        work_dir=str(records),
        cpu_weight_prepack=True,
        max_trials_per_task=each,
    )


def machine(folder: Path) -> Any:
    """A target with this CPU's name and cores."""
    cpu = json.loads((folder / "cpu.json").read_text())
    return tvm.target.Target({"kind": "llvm", "mcpu": cpu["mcpu"], "num-cores": cpu["cores"]})


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        Path(sys.argv[2]) if len(sys.argv) > 2 else None,
        int(sys.argv[3]) if len(sys.argv) > 3 else 0,
    )
