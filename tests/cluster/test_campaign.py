"""The short form of the campaign as tests: one fault of each kind, and broken builds, on real clusters.

With --campaigns some more; the other faults, and more rounds, are run by hand: `python -m tests.cluster.campaign`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.campaign.__main__ import found_out, run_control
from tests.cluster.campaign.controls import CONTROLS, Control
from tests.cluster.campaign.run import FAULTS, Options, play
from tests.cluster.reshape import grow_and_shrink, split_and_move
from tests.cluster.steady import run

pytestmark = pytest.mark.slow

IN_SHORT = ("F3", "F5", "F13")
LONGER = ("F6", "F16")
CONTROLS_LONGER = ("vote",)
SEED = 11


def _left(names: tuple[str, ...]) -> list[object]:
    """Parameters of tests that run with --campaigns only."""
    return [pytest.param(name, marks=pytest.mark.campaign) for name in names]


@pytest.mark.parametrize("name", [*IN_SHORT, *_left(LONGER)])
def test_clients_see_a_correct_store_through_faults(name: str) -> None:
    outcome = play(FAULTS[name], SEED, Options(judge_times=False))
    if outcome.left_out:
        pytest.skip(outcome.left_out)
    assert outcome.wrong == [], outcome.text()


@pytest.mark.parametrize(
    "control",
    [
        pytest.param(each, id=each.name, marks=[pytest.mark.campaign] if each.name in CONTROLS_LONGER else [])
        for each in CONTROLS
    ],
)
def test_a_broken_build_is_found_out(control: Control) -> None:
    outcome = run_control(control, SEED, broken=True)
    if outcome.left_out:
        pytest.skip(outcome.left_out)
    assert found_out(control, outcome), outcome.text()


def test_boto3_writes_go_on_while_nodes_die(tmp_path: Path) -> None:
    report = run(tmp_path / "cluster", rate=40, cut_s=4, nodes=3, down_s=2.5, say=print, partitions=4)
    assert report.missing == []
    assert report.crashes == []
    assert report.acknowledged > 100


def test_a_scan_shows_every_key_once_while_partitions_split_and_move(tmp_path: Path) -> None:
    report = split_and_move(tmp_path / "cluster", times=1, keys=300, seed=SEED, say=print)
    assert report.wrong == []
    assert report.partitions == 2


@pytest.mark.campaign
def test_nodes_join_and_leave_while_the_table_is_used(tmp_path: Path) -> None:
    report = grow_and_shrink(tmp_path / "cluster", added=1, keys=300, seed=SEED, say=print)
    assert report.wrong == []
