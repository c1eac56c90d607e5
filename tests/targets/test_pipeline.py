# SPDX-License-Identifier: Apache-2.0
"""Descriptions of cores: every file loads, every core of every target has one, mistakes are named."""

import msgspec
import pytest

from mnc.targets import load, names, pipeline_of
from mnc.targets.arm_cpus import ARM_CPUS
from mnc.targets.core_catalog import FOLDER, generic_name
from mnc.targets.pipeline import OPERATIONS, Operation, Pipeline, Stores
from mnc.targets.x86_cpus import CPUS

FILES = sorted(path.stem for path in FOLDER.glob("*.toml"))


def minimal(**changes: object) -> dict[str, object]:
    operations = {name: {"ports": "p"} for name in OPERATIONS}
    base = {"source": "here", "width": 1, "ports": "p q", "mispredict_cycles": 1}
    return {**base, "operations": operations, "stores": {"buffer": 1}, **changes}


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_a_pipeline_and_names_its_source(name: str) -> None:
    core = msgspec.structs.replace(load("arm").fast, cpu=name)
    pipeline = pipeline_of(core)
    assert len(pipeline.source) > 20
    for bits in (64, 128, 256, 512):
        assert pipeline.operation("fma", bits).latency >= 1


DEVICES = [name for name in names() if name != "x86"]  # which is whatever machine this is


@pytest.mark.parametrize("name", DEVICES)
def test_each_core_of_each_target_is_described(name: str) -> None:
    for core in load(name).cores:
        assert core.cpu in FILES
        assert (pipeline_of(core).window == 0) == core.in_order


def test_the_fma_rate_agrees_with_the_target() -> None:
    """Ports over slots are the multiply-adds a cycle that the target file, or the table of x86, states."""
    stated = [
        (core.cpu, core.vector_bits, core.fma_units)
        for name in DEVICES
        for core in load(name).cores
    ]
    stated += [(cpu.name, cpu.vector_bits, cpu.fma_units) for cpu in CPUS if cpu.name in FILES]
    for cpu, bits, units in stated:
        core = msgspec.structs.replace(load("arm").fast, cpu=cpu)
        one = pipeline_of(core).operation("fma", bits)
        assert len(one.ports.split()) / one.slots == units, cpu


def test_an_unknown_core_is_taken_for_one_like_it() -> None:
    core = msgspec.structs.replace(load("arm").fast, cpu="cortex-z99")
    assert generic_name(core) == "cortex-a72"
    assert pipeline_of(core) == pipeline_of(load("arm").fast)
    assert generic_name(msgspec.structs.replace(core, in_order=True)) == "cortex-a53"
    assert generic_name(msgspec.structs.replace(core, vector_bits=512)) == "icelake-server"


@pytest.mark.parametrize("cpu", [one.name for one in CPUS] + [c.name for c in ARM_CPUS.values()])
def test_every_core_this_machine_may_have_has_a_pipeline(cpu: str) -> None:
    core = msgspec.structs.replace(load("arm").fast, cpu=cpu)
    assert isinstance(pipeline_of(core), Pipeline)


def test_a_device_may_bring_its_own() -> None:
    own = msgspec.convert(minimal(), Pipeline)
    core = msgspec.structs.replace(load("arm").fast, pipeline=own)
    assert pipeline_of(core) is own
    assert own.operation("fma", 128) == Operation(ports="p")
    assert own.stores == Stores(buffer=1)


def test_integer_operations_cost_as_much_as_their_like_where_no_price_is_given() -> None:
    wide = {"vec_dot_128": {"ports": "p", "slots": 2}}
    own = msgspec.convert(minimal(integers=wide), Pipeline)
    assert own.operation("vec_dot", 128).slots == 2
    assert own.operation("vec_dot", 64) == own.operation("vec_int", 64)


def test_loads_of_several_registers_cost_as_loads_where_no_price_is_given() -> None:
    own = msgspec.convert(minimal(), Pipeline)
    assert own.operation("load_several", 128) == own.operation("load_vec", 128)
    priced = {name: {"ports": "p"} for name in OPERATIONS}
    several = {"load_several_128": {"ports": "p", "micro_ops": 4}}
    own = msgspec.convert(minimal(operations={**priced, **several}), Pipeline)
    assert own.operation("load_several", 128).micro_ops == 4
    assert own.operation("load_several", 64) == own.operation("load_vec", 64)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"operations": {"fma": {"ports": "p"}}}, "must price int, shift"),
        ({"ports": "p p"}, "different names"),
        ({"operations": {key: {"ports": "r"} for key in OPERATIONS}}, "unknown ports r"),
        ({"integers": {"vec_dot": {"ports": "r"}}}, "integers.vec_dot names unknown ports r"),
        ({"integers": {"fma": {"ports": "p"}}}, "unknown operation 'fma'"),
        ({"operations": {"fma_96": {"ports": "p"}}}, "unknown operation 'fma_96'"),
        ({"width": 0}, "Expected `int` >= 1"),
        ({"colour": "red"}, "unknown field `colour`"),
    ],
)
def test_mistakes_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(minimal(**changes), Pipeline)
