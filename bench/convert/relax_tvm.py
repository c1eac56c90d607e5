# SPDX-License-Identifier: Apache-2.0
"""Current TVM's Relax: relax.so without tuning, or relax-tuned.so by MetaSchedule's records.

Usage: python relax_tvm.py FOLDER [RECORDS [TRIALS]]. With TRIALS it searches first, that many trials a
task; what RECORDS holds already counts. The tuned one is TVM's own pipeline for static shapes, weights
packed ahead of time, as its documentation advises for CPUs.
"""

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import torch
import tvm
from tvm import relax
from tvm.relax.frontend.torch import from_exported_program
from tvm.s_tir import meta_schedule
from tvm_ffi import structural_hash

FINISHED = "finished.txt"  # bench/recipes.py looks for it: a network tuned in part is nobody's best
BUILD_LIMIT = 600.0  # seconds


def main(folder: Path, records: Path | None, trials: int) -> None:
    """Compile and write the library, and the weights beside it where they are its inputs."""
    target = machine(folder)
    program = torch.export.load(folder / "model.pt2")
    if records is None:
        module = from_exported_program(program, unwrap_unit_return_tuple=True)
        with target:
            tvm.compile(module, target=target).export_library(str(folder / "relax.so"))
        return
    module = from_exported_program(
        program, keep_params_as_input=True, unwrap_unit_return_tuple=True
    )
    module, weights = relax.frontend.detach_params(module)
    tvm.runtime.save_param_dict_to_file(
        {str(index): weight for index, weight in enumerate(weights["main"])},
        str(folder / "relax-tuned.params"),
    )
    if trials:
        search(module, target, records, trials)
    with target:
        module = pipeline(target, records)(module)
        executable = tvm.compile(module, target=target)
    executable.export_library(str(folder / "relax-tuned.so"))


def search(module: Any, target: Any, records: Path, trials: int) -> None:
    """Fill `records` with `trials` trials a task, less what it holds.

    What the pipeline does when it is given trials, but with more time for a build, and with workers that do
    not import PyTorch, as TVM does where it finds it: half a minute is too little for that on a busy machine.
    """
    records.mkdir(parents=True, exist_ok=True)
    path = [str(_without_torch(records)), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    ready = tvm.transform.Sequential(
        [
            relax.transform.DecomposeOpsForInference(),
            relax.transform.CanonicalizeBindings(),
            relax.get_pipeline("zero"),
            relax.transform.AttachAttrLayoutFreeBuffers(),
        ]
    )
    with target:
        module = ready(module)
        tasks = meta_schedule.relax_integration.extract_tasks(module, target)
    left = unfinished(tasks, records, trials)
    print(f"{len(tasks)} tasks, {len(left)} of them short of {trials} trials", file=sys.stderr)
    contexts, weights = meta_schedule.relax_integration.extracted_tasks_to_tune_contexts(
        left, str(records)
    )
    for context, weight in zip(contexts, weights, strict=True):
        # One at a time: a scheduler of many keeps what it measured to itself until it comes back to a task,
        # so that a search that is stopped would lose everything.
        meta_schedule.tune.tune_tasks(
            tasks=[context],
            task_weights=[weight],
            work_dir=str(records),
            max_trials_global=trials,
            max_trials_per_task=trials,
            builder=meta_schedule.builder.LocalBuilder(timeout_sec=BUILD_LIMIT),
        )
    (records / FINISHED).write_text(f"{trials} trials a task\n")


def unfinished(tasks: Any, records: Path, trials: int) -> list[Any]:
    """The tasks with fewer than `trials` records; where a space holds fewer it is tried again."""
    database = meta_schedule.database.JSONDatabase(work_dir=str(records))
    tried = Counter(
        structural_hash(record.workload.mod) for record in database.get_all_tuning_records()
    )
    return [task for task in tasks if tried[structural_hash(task.dispatched[0])] < trials]


def _without_torch(folder: Path) -> Path:
    """A folder that hides PyTorch from the processes whose path begins with it."""
    hiding = folder / "without-torch"
    hiding.mkdir(exist_ok=True)
    (hiding / "torch.py").write_text('raise ImportError("not needed in a build worker")\n')
    return hiding


def pipeline(target: Any, records: Path) -> Any:
    """TVM's pipeline for static shapes, applying what `records` holds."""
    return relax.get_pipeline(
        "static_shape_tuning",
        total_trials=0,
        target=target,
        work_dir=str(records),
        cpu_weight_prepack=True,
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
