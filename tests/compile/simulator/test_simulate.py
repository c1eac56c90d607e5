# SPDX-License-Identifier: Apache-2.0
"""simulate: deterministic, exact where arithmetic tells the answer, and plain about what it does not know."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.simulate import Kernel, Simulation, simulate
from mnc.targets import load
from tests.compile.simulator import aarch64_kernels
from tests.compile.simulator.aarch64_kernels import ONE_BUFFER, compiled

TARGET = load("rk3399")
ONCE_MORE = """
import pickle, sys
from mnc.compile.simulator.simulate import simulate
from mnc.targets import load
kernel = pickle.load(open(sys.argv[1], "rb"))
found = [simulate(kernel, load("rk3399"), threads=2, state=state) for state in ("warm", "cold")]
print([(one.cycles.hex(), one.causes, one.misses, one.listing) for one in found])
"""


@pytest.fixture(scope="module")
def pointwise(tmp_path_factory: pytest.TempPathFactory) -> Kernel:
    """Sixteen channels to sixteen on 14x14 pixels."""
    workload = aarch64_kernels.workloads(14)["pointwise"]
    return aarch64_kernels.build(workload, TARGET, 1, tmp_path_factory.mktemp("kernel"))


def test_counts_what_the_workload_asks_for(pointwise: Kernel) -> None:
    found = simulate(pointwise, TARGET, threads=1)
    assert found.flops == 2 * 16 * 16 * 14 * 14
    assert found.cycles >= found.flops / 8  # one multiply-add of four lanes a cycle
    assert found.seconds == found.cycles / 1.8e9
    assert sum(cycles for _, cycles in found.causes) == pytest.approx(found.cycles)
    assert sum(one.cycles for one in found.listing) == pytest.approx(found.cycles, rel=0.01)


def test_a_task_of_two_does_half(pointwise: Kernel) -> None:
    alone, shared = (simulate(pointwise, TARGET, threads=threads) for threads in (1, 2))
    assert shared.flops * 2 == alone.flops


@pytest.mark.slow
def test_the_same_in_another_process(pointwise: Kernel, tmp_path: Path) -> None:
    stored = tmp_path / "kernel"
    stored.write_bytes(pickle.dumps(pointwise))
    said = [
        subprocess.run(
            [sys.executable, "-c", ONCE_MORE, str(stored)],
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": "", "HOME": str(Path.home()), "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]
    assert len(said[0]) > 1000


def test_reading_cold_weights_costs_more_than_warm_ones(tmp_path: Path) -> None:
    kernel = compiled(tmp_path, _SUM)
    weights, rest = ((1, 1, 4096), "float32", False), ((64,), "float32", False)
    large = Kernel(kernel.code, (weights, rest, *ONE_BUFFER))
    warm, cold = _seconds(large, "warm"), _seconds(large, "cold")
    assert cold > 1.5 * warm


def test_a_pair_of_loads_may_have_its_base_among_its_registers(tmp_path: Path) -> None:
    stored = 'asm volatile ("str x0, [x0, #8]\\n ldp x9, x0, [x0]\\n ldp x0, x10, [x0]\\n str x10, [x10]"'
    pointer = 'register void *data asm("x0") = *(void **)args[0]; '
    kernel = compiled(
        tmp_path, f'{pointer}{stored} : : "r"(data) : "x9", "x10", "memory"); return 0;'
    )
    assert simulate(kernel, TARGET).instructions > 4


def test_memory_that_was_never_written_is_one_page(tmp_path: Path) -> None:
    kernel = compiled(tmp_path, _SUM)
    arguments = (((1, 1, 1 << 18), "float32", False), ((64,), "float32", True))
    written = simulate(Kernel(kernel.code, arguments), TARGET)
    zeros = simulate(Kernel(kernel.code, arguments, unwritten=(0,)), TARGET)
    assert written.instructions == zeros.instructions
    assert zeros.misses[0] < written.misses[0] / 10


_SUM = """
    float *data = *(float **)args[0]; int64_t *shape = ((int64_t **)args[0])[3];
    for (int64_t i = 0; i < shape[2]; i += 4) ((volatile float *)data)[i];
    return 0;
"""


def _seconds(kernel: Kernel, state: str) -> float:
    found: Simulation = simulate(kernel, TARGET, state=state)  # type: ignore[arg-type]
    return found.seconds


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return *(*(volatile float **)args[0]) > 1;", "floating-point"),
        ("return ((char **)args[0])[0x7fffffff] [0];", "outside its memory"),
        ('__asm__ volatile("dc zva, x0"); return 0;', "dc zva"),
        ("return 1;", "the kernel failed"),
        ("return (int)*(*(volatile float **)args[0]);", "vector"),
    ],
)
def test_says_what_it_does_not_know(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        simulate(compiled(tmp_path, body), TARGET)


def test_refuses_another_architecture(pointwise: Kernel) -> None:
    with pytest.raises(SimulationError, match="aarch64 code"):
        simulate(pointwise, load("armv7"))


@pytest.mark.parametrize("damaged", [b"", b"\x7fELF" + bytes(60), b"MZ" * 100])
def test_refuses_what_is_no_object(damaged: bytes) -> None:
    with pytest.raises(SimulationError, match="object file"):
        simulate(Kernel(damaged, ONE_BUFFER), TARGET)
