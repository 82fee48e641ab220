"""Transactions in the simulation: seeds that must pass, and rules taken out that must be missed."""

from __future__ import annotations

import pytest

from tests.sim.transactions.run import TransactSimulation, transactions_plan
from tests.sim.transactions.sabotage import FAULTS, plan_for, sabotaged

SEEDS = 10
GROUPS = 5
SABOTAGE_SEEDS = 60


@pytest.mark.parametrize("start", range(0, SEEDS, SEEDS // GROUPS))
def test_no_fault_breaks_a_promise_of_a_transaction(start: int) -> None:
    for seed in range(start, start + SEEDS // GROUPS):
        try:
            TransactSimulation(seed, transactions_plan(seed)).run()
        except Exception as error:
            error.add_note(f"again: python -m tests.sim --plan transactions --seed {seed} --trace")
            raise


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_rule_of_transactions_taken_out_is_missed(name: str) -> None:
    with sabotaged(name):
        for seed in range(SABOTAGE_SEEDS):
            try:
                TransactSimulation(seed, plan_for(name, seed)).run()
            except AssertionError:
                return
    pytest.fail(f"{SABOTAGE_SEEDS} seeds did not notice: {name}")


def test_a_seed_gives_the_same_transactions_twice() -> None:
    runs = [TransactSimulation(3, transactions_plan(3)) for _ in range(2)]
    assert runs[0].run() == runs[1].run()
    first, second = ([each.text() for each in run.records.all] for run in runs)
    assert first == second
