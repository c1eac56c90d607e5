# SPDX-License-Identifier: Apache-2.0
"""Networks compiled in another process: what it must know to read one."""

from pathlib import Path

from mnc.compile.measure.network_compiling import OPERATORS

FRONTEND = Path(__file__).resolve().parents[3] / "compile" / "frontend"


def test_it_knows_every_operator_of_ours() -> None:
    registering = {
        path.stem for path in FRONTEND.glob("*.py") if "own_operators.register(" in path.read_text()
    }
    assert registering == set(OPERATORS)
