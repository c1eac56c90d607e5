# SPDX-License-Identifier: Apache-2.0
"""A task's reference is worked out once, whatever asks for it; one that cannot be says why."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from mnc.compile.measure import reference
from mnc.compile.measure.messages import spec_of
from mnc.compile.measure.reference_cache import ReferenceCache
from mnc.compile.measure.worker_pool import WorkerPool
from tests.compile import tuning_tasks


def compilers(folder: Path) -> WorkerPool:
    return WorkerPool("compile", 1, scratch=folder, env={"TVM_NUM_THREADS": "1"})


def test_it_is_made_once_and_is_numpy_s(tmp_path: Path) -> None:
    tasks = [tuning_tasks.pointwise_task(tuning_tasks.host(), size=size) for size in (4, 7)]
    cache = ReferenceCache(tmp_path)
    with compilers(tmp_path) as pool:
        paths = [cache.path(spec_of(task), pool) for task in tasks]
    assert len(set(paths)) == 2
    for task, path in zip(tasks, paths, strict=True):
        inputs = reference.check_inputs(task)
        with np.load(path) as stored:
            np.testing.assert_array_equal(stored["output"], reference.expected(task, inputs))
        assert cache.path(spec_of(task), pool) == path  # the processes are gone


def test_a_task_that_cannot_be_made_is_no_config_s_fault(tmp_path: Path) -> None:
    spec = spec_of(tuning_tasks.pointwise_task(tuning_tasks.host(), size=4))
    unknown = msgspec.structs.replace(spec, name="no_such_template")
    with compilers(tmp_path) as pool, pytest.raises(RuntimeError, match="no_such_template"):
        ReferenceCache(tmp_path).path(unknown, pool)
