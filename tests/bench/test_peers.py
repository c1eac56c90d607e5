# SPDX-License-Identifier: Apache-2.0
"""The table of runtimes: everything it names exists, and everything that is installed is pinned."""

import re
from pathlib import Path

import pytest

from bench import environments, families, peers, recipes
from bench.peer import PROJECT, Peer, Recipe
from bench.worker_process import WORKERS
from mnc.support.errors import UserError

BENCH = Path(environments.__file__).parent


EVERY = [one for among in peers.PEERS.values() for one in among]


@pytest.mark.parametrize("peer", EVERY, ids=lambda peer: f"{peer.key}-{peer.precision}")
def test_a_peer_has_its_worker_and_recipe(peer: Peer) -> None:
    assert (WORKERS / f"{peer.worker}.py").is_file()
    assert recipes.KNOWN[peer.recipe].precision == peer.precision


@pytest.mark.parametrize("recipe", peers.RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_has_its_script_and_what_it_needs(recipe: Recipe) -> None:
    assert (recipes.CONVERT / f"{recipe.script or recipe.name}.py").is_file()
    assert set(recipe.needs) <= recipes.KNOWN.keys()


def test_every_environment_has_a_list_and_every_list_a_use() -> None:
    used = {one.environment for one in EVERY} | {one.environment for one in peers.RECIPES}
    used -= {PROJECT}
    used |= {families.ENVIRONMENT}
    assert used == {file.stem for file in environments.REQUIREMENTS.glob("*.txt")}


@pytest.mark.parametrize(
    "file", sorted(environments.REQUIREMENTS.glob("*.txt")), ids=lambda file: file.stem
)
def test_each_package_is_pinned_by_name_alone(file: Path) -> None:
    lines = file.read_text().splitlines()
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


def test_find_keeps_the_tables_order_and_names_what_it_does_not_know() -> None:
    assert [peer.key for peer in peers.find("ncnn, mnc")] == ["mnc", "ncnn"]
    assert peers.find(None) == peers.PEERS["float32"]
    assert [peer.precision for peer in peers.find("mnc,ncnn", "int8")] == ["int8", "int8"]
    with pytest.raises(UserError, match=r"unknown peer tensorrt; one of mnc, .*openvino"):
        peers.find("mnc,tensorrt")
    with pytest.raises(UserError, match="none"):
        peers.find(" , ")
