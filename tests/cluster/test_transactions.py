"""The short form of the transactions on a real cluster: a kill of each sort, a cut and a split in half a minute.

The long form is run by hand: `python -m tests.cluster.transactions --transactions 50000`.
"""

from __future__ import annotations

import pytest

from tests.cluster.campaign.coordinators import play_deaths, play_frozen
from tests.cluster.transactions.faults import cut_zone, kill_leader, kill_router, split
from tests.cluster.transactions.run import Options, run

pytestmark = pytest.mark.slow

FAULTS = (kill_router, split, kill_leader, cut_zone)


def test_transactions_are_serializable_through_faults() -> None:
    verdict = run(Options(seconds=18.0, faults=FAULTS, pause_s=1.0, seed=5))
    assert verdict.wrong == [], verdict.text()
    assert verdict.faults >= 2
    assert verdict.transactions >= 200


@pytest.mark.campaign
def test_reads_that_are_no_transactions_are_found_out() -> None:
    """Negative control: the same load, but what should be read in one transaction is read item by item."""
    verdict = run(Options(seconds=10.0, seed=6, torn=True, compare_replicas=False, keep=False))
    sums = [complaint for complaint in verdict.wrong if "add up to" in complaint]
    cycles = [complaint for complaint in verdict.wrong if "-rw" in complaint]
    assert sums and cycles, verdict.text()


def test_transactions_of_routers_that_die_at_any_step_are_finished_by_others() -> None:
    verdict = play_deaths(7, 18.0)
    assert verdict.wrong == [], verdict.text()
    assert verdict.transactions >= 200


@pytest.mark.campaign
def test_a_ledger_that_takes_any_decision_is_found_out() -> None:
    """Negative control: routers wake up when their transactions were given up, and decide all the same."""
    verdict = play_frozen(2, 26.0, broken=True, compare_replicas=False)
    signs = ("list shows", "add up to", "missing from a list", "-rw", "-wr", "-ww")
    assert any(sign in complaint for complaint in verdict.wrong for sign in signs), verdict.text()
