# SPDX-License-Identifier: Apache-2.0
"""A Relay module compiled with given records, its pairs fused where that pays.

Takes the module of a `Program` and `BestRecords`; gives TVM's graph executor factory. Nothing here imports
PyTorch: processes that only compile (`compile.measure.compile_worker`) start in a second.
"""

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import tvm
from tvm import relay

from mnc.compile.codegen.dispatch_context import BestRecords
from mnc.compile.frontend import fusion, strassen
from mnc.compile.frontend.fusion import Pair
from mnc.compile.frontend.integer_fusion import IntegerPair
from mnc.compile.records.family_choice import BLOCKED
from mnc.compile.records.trial import Trial, task_key
from mnc.compile.templates import op_strategy
from mnc.compile.templates.workload import Workload, replaced
from mnc.compile.toolchain import pass_context
from mnc.support import error_text
from mnc.support.errors import UserError


def fused(mod: Any, records: BestRecords) -> Any:
    """The module with those pairs fused, and those convolutions by Strassen's product, that pay."""
    by_strassen = {
        one.biased.convolution: _if_faster(one.workload, records) for one in strassen.products(mod)
    }
    mod = fusion.fuse(mod, lambda pair: _pays(pair, by_strassen.get(pair.convolution), records))
    return strassen.applied(mod, lambda one: _if_faster(one.workload, records) is not None)


def compiled(mod: Any, wanted: str, records: BestRecords, *, family: str = BLOCKED) -> Any:
    """The factory of a module laid out for `family`, for the TVM target string `wanted`. UserError for what
    TVM cannot compile.
    """
    is_ours = family == BLOCKED
    own = contextlib.nullcontext() if is_ours else op_strategy.stock()
    try:
        with records, own, pass_context.pass_context(blocked=is_ours):
            return relay.build(mod, target=tvm.target.Target(wanted))
    except tvm.TVMError as error:
        raise UserError(
            f"TVM cannot compile the network: {error_text.of_exception(error)}; leave out or write otherwise "
            "what this names"
        ) from error


def _pays(pair: Pair | IntegerPair, first: Trial | None, records: BestRecords) -> bool:
    """Whether to fuse: where the pair was measured to be faster, or nothing was, for untuned kernels gain by
    it too. What was tuned of the parts alone is not thrown away for an untuned pair. `first` is how its
    convolution is done where not by its own template.

    Of integers not where nothing was timed, for untuned pairs lose a little, nor by times of kernels alone:
    there a convolution writes sums of 32 bits, which in the network are stored in 8 as the pair's are.
    """
    together = records.best(task_key(*pair.workload))
    apart = _apart(pair.workload, records)
    apart = [first or apart[0], *apart[1:]]
    if isinstance(pair, IntegerPair) and any(apart) and together and not together.in_network:
        return False
    if together is None:
        return not (any(apart) or isinstance(pair, IntegerPair))
    return _is_faster(together, apart)


def _if_faster(workload: Workload, records: BestRecords) -> Trial | None:
    """The best record of one that takes another's place, where it is the faster."""
    found = records.best(task_key(*workload))
    return found if found and _is_faster(found, _apart(workload, records)) else None


def _apart(workload: Workload, records: BestRecords) -> list[Trial | None]:
    """Of what it takes the place of."""
    return [records.best(task_key(*part)) for part in replaced(*workload)]


def _is_faster(together: Trial, apart: Sequence[Trial | None]) -> bool:
    """Whether one is faster than all that it takes the place of."""
    # No device's cost compares with a model's, nor one within the network with one alone, nor one on more
    # threads: a pair, or a part, that was left out of the better kind of timing was far behind
    # (`mnc.compile.tuning.rerank_candidates`).
    found = [trial for trial in (together, *apart) if trial]
    kinds = [(trial.simulated, not trial.in_network, trial.threads) for trial in found]
    if len(set(kinds)) > 1:
        return kinds[0] == min(kinds)
    return together.cost <= sum(math.inf if trial is None else trial.cost for trial in apart)
