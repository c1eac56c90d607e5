# SPDX-License-Identifier: Apache-2.0
"""An AutoTVM log of stock TVM 0.19: XGBTuner on every convolution and dense task, as its tutorial does.

Usage: python tune_stock_tvm.py FOLDER LOG TRIALS. Goes on where an earlier run stopped: tasks that
have their trials in the log are skipped. Kernels are timed on one thread with the caches flushed.
"""

import os
import sys
from collections import Counter
from pathlib import Path

from stock_tvm import network  # sets TVM up

os.environ["TVM_NUM_THREADS"] = "1"
from tvm import autotvm
from tvm.autotvm.tuner import XGBTuner


def main(folder: Path, log: Path, trials: int) -> None:
    """Tune each task with `trials` trials, appending to `log`."""
    module, params, target = network(folder)
    tasks = autotvm.task.extract_from_program(module["main"], target=target, params=params)
    log.touch()
    done = Counter(str(given.task) for given, _ in autotvm.record.load_from_file(str(log)))
    build = {"build_option": {"tir.disable_cse_tir": True}}
    option = autotvm.measure_option(
        builder=autotvm.LocalBuilder(build_kwargs=build, n_parallel=1),
        runner=autotvm.LocalRunner(number=1, repeat=10, enable_cpu_cache_flush=True),
    )
    for index, task in enumerate(tasks, 1):
        count = min(trials, len(task.config_space))
        print(f"[{index}/{len(tasks)}] {task.name}: {count} trials", file=sys.stderr, flush=True)
        if done[str(task)] >= count:
            continue
        XGBTuner(task, loss_type="reg").tune(
            n_trial=count,
            measure_option=option,
            callbacks=[autotvm.callback.log_to_file(str(log))],
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
