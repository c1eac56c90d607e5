# SPDX-License-Identifier: Apache-2.0
"""What a search asks for: the default config first, then nothing that it knows already."""

from mnc.compile.tuning.search import Search, default_config
from tests.compile import tuning_tasks
from tests.compile.templates.workloads import CASES


def test_a_search_asks_for_nothing_it_knows() -> None:
    task = tuning_tasks.pointwise_task(tuning_tasks.host(), inputs=64, outputs=128).task
    search = Search(task, tuner="ga")
    asked = [config.index for _ in range(6) for config in search.ask(10)]
    assert len(asked) == len(set(asked)) == 60


def test_the_default_config_is_tried_first() -> None:
    for task in CASES.values():
        wanted = default_config(task.task)
        assert wanted is not None, task.shape
        assert Search(task.task, tuner="random").ask(3)[0].index == wanted.index
