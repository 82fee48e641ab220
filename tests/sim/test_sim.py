"""The simulation as a test: seeds that must pass, rules taken out that must be missed, and its own parts."""

from __future__ import annotations

import pytest

from tests.sim.run import Simulation
from tests.sim.sabotage import FAULTS, plan_for, sabotaged, simulation_for

SEEDS = 120
GROUPS = 10
SABOTAGE_SEEDS = 150


@pytest.mark.parametrize("start", range(0, SEEDS, SEEDS // GROUPS))
def test_no_fault_breaks_a_promise(start: int) -> None:
    for seed in range(start, start + SEEDS // GROUPS):
        try:
            Simulation(seed).run()
        except Exception as error:
            error.add_note(f"again: python -m tests.sim --seed {seed} --trace")
            raise


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_rule_taken_out_is_missed(name: str) -> None:
    with sabotaged(name):
        for seed in range(SABOTAGE_SEEDS):
            try:
                simulation_for(name)(seed, plan_for(name)).run()
            except AssertionError:
                return
    pytest.fail(f"{SABOTAGE_SEEDS} seeds did not notice: {name}")


def test_a_seed_gives_the_same_run_twice() -> None:
    first, second = Simulation(3), Simulation(3)
    assert first.run() == second.run()
    assert [each.text() for each in first.history.operations] == [
        each.text() for each in second.history.operations
    ]
