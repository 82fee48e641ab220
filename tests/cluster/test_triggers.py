"""The short form of the campaign with a function that keeps a copy of a table, with its faults.

The long form is run by hand: `python -m tests.cluster.triggers`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cluster.triggers.run import Options, run

pytestmark = pytest.mark.slow


def test_a_copy_is_exact_though_the_server_with_its_pool_is_killed() -> None:
    verdict = run(Options(changes=1_500, rate=300, cluster=False, pool_kills=1, seed=3))
    assert verdict.wrong == [], verdict.text()
    assert verdict.items > 50


def test_a_copy_is_exact_though_a_pool_and_a_node_are_killed_and_the_table_is_split() -> None:
    verdict = run(Options(changes=3_000, rate=250, pool_kills=1, seed=4, parallelization=2))
    assert verdict.wrong == [], verdict.text()
    assert len(verdict.faults) == 3


@pytest.mark.campaign
def test_pools_that_heed_no_lease_are_found_out() -> None:
    """Negative control: every pool takes every shard, whoever has it."""
    program = (sys.executable, str(Path(__file__).with_name("broken_pool.py")))
    calm = {"pool_kills": 0, "node_kill": False, "split": False}
    verdict = run(Options(changes=1_500, rate=250, seed=5, program=program, keep=False, **calm))
    assert any("at the same time" in complaint for complaint in verdict.wrong), verdict.text()
