# SPDX-License-Identifier: Apache-2.0
"""A process that does not come up is said in one line, for nothing is wrong with what it was asked."""

from pathlib import Path

import pytest

from mnc.compile.measure import worker_pool
from mnc.compile.measure.messages import ReferenceJob, spec_of
from mnc.compile.measure.worker_pool import WorkerPool
from mnc.support.errors import UserError
from tests.compile import tuning_tasks


def test_one_that_is_too_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "START_SECONDS", 0.0)
    spec = spec_of(tuning_tasks.pointwise_task(tuning_tasks.host(), size=4))
    job = ReferenceJob(spec, str(tmp_path / "reference.npz"))
    pool = WorkerPool("compile", 1, scratch=tmp_path, env={})
    with pool, pytest.raises(UserError, match=r"compile process did not start .* too busy"):
        list(pool.run([job], timeout=60))
