"""The planner: repair, drain, moves, spread, balance and splits, on a model of a cluster that checks every step."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hashrange_node.meta.placement import Candidate, choose, may_share, replication_factor, with_replica
from hashrange_node.meta.plan import plan
from hashrange_node.meta.reconcile import BeginSplit, Members, Place, Transfer
from hashrange_node.meta.splits import LEDGER_HEAT

from hashrange.model.ledger import LEDGER_TABLE

from .meta_support import SETTINGS, ModelCluster, node

SIX = ["a", "b", "c", "a", "b", "c"]


def test_three_replicas_lie_in_three_azs_on_the_emptiest_nodes() -> None:
    cluster = ModelCluster(SIX)
    cluster.create(10)
    for partition in cluster.placements:
        assert sorted(cluster.azs_of(partition)) == ["a", "b", "c"]
    load = Counter(r["node"] for p in cluster.placements.values() for r in p["replicas"])
    assert set(load.values()) == {5}


@pytest.mark.parametrize(
    ("azs", "factor"),
    [(["a"], 1), (["a"] * 5, 1), (["a", "b"], 1), (["a", "a", "b"], 3), (["a", "b", "c"], 3)],
)
def test_replication_follows_from_azs_and_nodes(azs: list[str], factor: int) -> None:
    nodes = [node(n, az) for n, az in enumerate(azs, start=1)]
    assert replication_factor(nodes) == factor


def test_an_az_gets_a_second_replica_only_when_there_are_too_few() -> None:
    three = [node(1, "a"), node(2, "a"), node(3, "b"), node(4, "c")]
    alive = [Candidate(record, record["id"] != 4, 0) for record in three]
    chosen = choose(alive, 3, sharing=may_share(three, 3))
    assert sorted(n["az"] for n in chosen) == ["a", "b", "c"], "a silent AZ is still one"
    two = three[:3]
    chosen = choose([Candidate(r, True, 0) for r in two], 3, sharing=may_share(two, 3))
    assert sorted(n["az"] for n in chosen) == ["a", "a", "b"]


def test_nothing_happens_in_a_healthy_cluster() -> None:
    cluster = ModelCluster(SIX)
    cluster.create(4)
    cluster.settle()
    assert all(not cluster.round() for _ in range(5))


def test_a_short_absence_is_no_reason_to_copy_anything() -> None:
    cluster = ModelCluster(SIX)
    cluster.create(6)
    cluster.settle()
    before = dict(cluster.placements)
    cluster.kill(2)
    for _ in range(25):
        cluster.round()
    cluster.revive(2)
    cluster.settle()
    assert cluster.placements == before


def test_a_dead_node_s_replicas_are_made_anew_in_its_az() -> None:
    cluster = ModelCluster(SIX)
    cluster.create(6)
    cluster.settle()
    cluster.kill(2)
    cluster.rest(32)
    cluster.settle()
    cluster.check()
    assert all(r["node"] != 2 for p in cluster.placements.values() for r in p["replicas"])
    assert all(sorted(cluster.azs_of(p)) == ["a", "b", "c"] for p in cluster.placements)


def test_the_steps_of_a_repair() -> None:
    cluster = ModelCluster(SIX, replace(SETTINGS, balance=False))
    cluster.create(1)
    cluster.elect()
    assert [r["node"] for r in cluster.placements[1]["replicas"]] == [1, 2, 3]
    cluster.kill(3)
    cluster.now = 31
    steps = [cluster.round()[0] for _ in range(4)]
    assert isinstance(steps[0], Place)
    assert steps[0].after["replicas"][2]["leaving"]
    assert steps[0].after["replicas"][3] == {"id": 4, "node": 6, "generation": 1}
    assert steps[1] == Members(1, learners=(4,))
    assert steps[2] == Members(1, voters=(1, 2, 4))
    assert isinstance(steps[3], Place)
    assert [r["id"] for r in steps[3].after["replicas"]] == [1, 2, 4]
    assert cluster.round() == []
    assert cluster.placements[1]["next_replica"] == 5


def test_a_learner_that_lags_is_not_made_a_voter() -> None:
    cluster = ModelCluster(SIX, replace(SETTINGS, balance=False))
    cluster.create(1)
    cluster.elect()
    cluster.kill(3)
    cluster.now = 31
    cluster.round()
    cluster.round()
    for behind in (-1, SETTINGS.behind_max + 1):
        cluster.groups[1].behind[4] = behind
        assert plan(cluster.view(), cluster.settings) == []
    cluster.groups[1].behind[4] = SETTINGS.behind_max
    assert plan(cluster.view(), cluster.settings) == [Members(1, voters=(1, 2, 4))]


def test_an_az_that_is_away_is_waited_for() -> None:
    cluster = ModelCluster(SIX)
    cluster.create(6)
    cluster.settle()
    cluster.kill(3, 6)
    for _ in range(20):
        assert not [a for a in cluster.round(10) if isinstance(a, Place)]
    cluster.revive(3)
    cluster.settle(seconds=1)
    cluster.check()


def test_an_az_taken_out_of_service_is_made_up_for_in_the_others() -> None:
    cluster = ModelCluster(SIX)
    cluster.create(3)
    cluster.settle()
    cluster.kill(3, 6)
    cluster.state(3, "removed")
    cluster.state(6, "removed")
    cluster.settle(seconds=10)
    cluster.check()
    assert all(len(p["replicas"]) == 3 for p in cluster.placements.values())
    for az in ("c", "c"):
        cluster.add(az)
    cluster.settle(500)
    cluster.check()
    assert all(sorted(cluster.azs_of(p)) == ["a", "b", "c"] for p in cluster.placements)


def test_a_wiped_node_gets_new_replicas_at_once() -> None:
    cluster = ModelCluster(["a", "b", "c"])
    cluster.create(3)
    cluster.settle()
    cluster.wipe(2)
    cluster.settle(seconds=1)
    cluster.check()
    assert cluster.now < SETTINGS.grace_s
    for placement in cluster.placements.values():
        (replica,) = [r for r in placement["replicas"] if r["node"] == 2]
        assert replica["generation"] == 2
        assert replica["id"] == 4


def test_a_damaged_replica_goes_before_its_node_takes_another() -> None:
    cluster = ModelCluster(["a", "b", "c"])
    cluster.create(1)
    cluster.settle()
    victim = next(r["id"] for r in cluster.placements[1]["replicas"] if r["id"] != cluster.groups[1].leader)
    cluster.damaged[1, victim] = "checksum differs"
    cluster.settle()
    cluster.check()
    assert {r["id"] for r in cluster.placements[1]["replicas"]} == {1, 2, 3, 4} - {victim}


def test_a_damaged_replica_stays_while_another_voter_is_away() -> None:
    cluster = ModelCluster(["a", "b", "c"])
    cluster.create(1)
    cluster.settle()
    followers = [r for r in cluster.placements[1]["replicas"] if r["id"] != cluster.groups[1].leader]
    cluster.kill(followers[0]["node"])
    before = cluster.placements[1]
    cluster.now += 2
    cluster.down[followers[0]["node"]] = cluster.now - 10
    view = cluster.view()
    view.reports[1][followers[1]["id"]].damaged = "checksum differs"
    assert plan(view, cluster.settings) == []
    assert cluster.placements[1] == before


def test_a_drained_node_is_emptied_and_a_decommissioned_one_removed() -> None:
    cluster = ModelCluster(SIX)
    cluster.create(8)
    cluster.settle()
    cluster.state(1, "draining", retiring=True)
    cluster.settle(500)
    cluster.check()
    assert cluster.nodes[1]["state"] == "removed"
    assert all(r["node"] != 1 for p in cluster.placements.values() for r in p["replicas"])


def test_leaders_leave_a_node_to_be_drained_first_even_if_it_cannot_be_emptied() -> None:
    cluster = ModelCluster(["a", "b", "c"])
    cluster.create(6)
    cluster.settle()
    cluster.state(2, "draining")
    cluster.settle()
    assert cluster.leaders()[2] == 0
    assert all(len(p["replicas"]) == 3 for p in cluster.placements.values())


def test_only_so_many_voluntary_moves_are_under_way() -> None:
    cluster = ModelCluster(SIX)
    cluster.create(20)
    cluster.settle()
    cluster.state(1, "draining")
    most = 0
    for _ in range(100):
        cluster.round()
        most = max(
            most, sum(any(r.get("leaving") for r in p["replicas"]) for p in cluster.placements.values())
        )
    assert most == SETTINGS.moves_max


def test_a_leaving_leader_hands_over_before_it_is_taken_out() -> None:
    cluster = ModelCluster(SIX, replace(SETTINGS, balance=False))
    cluster.create(1)
    cluster.elect()
    placement = cluster.placements[1]
    cluster.placements[1] = {
        **placement,
        "replicas": [
            {**placement["replicas"][0], "leaving": True},
            *placement["replicas"][1:],
            {"id": 4, "node": 4, "generation": 1},
        ],
        "next_replica": 5,
    }
    cluster.settle()
    voters = next(n for n, a in enumerate(cluster.history) if isinstance(a, Members) and a.voters)
    transfer = next(n for n, a in enumerate(cluster.history) if isinstance(a, Transfer))
    assert transfer < voters
    cluster.check()


def test_a_single_replica_can_move() -> None:
    cluster = ModelCluster(["a", "a"])
    cluster.create(3)
    cluster.settle()
    cluster.state(1, "draining")
    cluster.settle()
    cluster.check()
    assert all(p["replicas"][0]["node"] == 2 for p in cluster.placements.values())


def test_a_cluster_that_grows_to_three_azs_gets_three_replicas() -> None:
    cluster = ModelCluster(["a"])
    cluster.create(2)
    cluster.settle()
    cluster.add("b")
    cluster.add("c")
    cluster.settle()
    cluster.check()
    assert all(sorted(cluster.azs_of(p)) == ["a", "b", "c"] for p in cluster.placements)
    assert [m for m in cluster.history if isinstance(m, Members) and len(m.voters) == 2] == []


def test_leaders_spread_evenly_and_then_stay() -> None:
    cluster = ModelCluster(["a", "b", "c"])
    cluster.create(30)
    cluster.elect()
    assert max(cluster.leaders().values()) == 30
    cluster.settle()
    assert set(cluster.leaders().values()) == {10}
    assert len([a for a in cluster.history if isinstance(a, Transfer)]) == 20


def test_a_new_node_gets_its_share_of_its_az() -> None:
    cluster = ModelCluster(["a", "b", "c"])
    cluster.create(12)
    cluster.settle()
    new = cluster.add("b")
    cluster.settle(500)
    cluster.check()
    load = Counter(r["node"] for p in cluster.placements.values() for r in p["replicas"])
    assert load[new] == load[2] == 6
    assert load[1] == load[3] == 12


def test_nothing_is_balanced_unasked_when_that_is_off() -> None:
    cluster = ModelCluster(["a", "b", "c"], replace(SETTINGS, balance=False))
    cluster.create(9)
    cluster.add("b")
    assert cluster.settle() == 0


def test_what_is_busy_is_left_alone() -> None:
    cluster = ModelCluster(SIX)
    cluster.create(2)
    cluster.settle()
    cluster.wipe(cluster.placements[1]["replicas"][0]["node"])
    actions = cluster.round(busy=frozenset({1}))
    assert all(getattr(a, "partition", None) != 1 for a in actions)
    assert all(a.after["id"] != 1 for a in actions if isinstance(a, Place))


def test_a_large_partition_is_split_step_by_step() -> None:
    cluster = ModelCluster(["a", "b", "c"])
    cluster.create(1)
    cluster.settle()
    cluster.sizes[1] = SETTINGS.split_bytes + 1
    kinds: list[str] = []
    for _ in range(20):
        kinds += [type(a).__name__ for a in cluster.round()]
    assert kinds[:4] == ["BeginSplit", "SendSplit", "FinishSplit", "Retire"]
    assert sorted(cluster.placements) == [2, 3]
    low, high = cluster.placements[2], cluster.placements[3]
    assert low["hi"] + 1 == high["lo"]
    assert low["store"] == high["store"] == 1
    cluster.check()


def test_the_parent_of_a_split_stays_for_replicas_that_have_not_applied_it() -> None:
    cluster = ModelCluster(["a", "b", "c"])
    cluster.create(1)
    cluster.settle()
    cluster.sizes[1] = SETTINGS.split_bytes + 1
    for _ in range(3):
        cluster.round()
    laggard = cluster.placements[1]["replicas"][2]["node"]
    cluster.kill(laggard)
    for _ in range(20):
        cluster.round()
    assert 1 in cluster.placements
    cluster.revive(laggard)
    cluster.settle()
    assert 1 not in cluster.placements


def test_heat_splits_only_when_it_lasts_and_is_not_one_key() -> None:
    cluster = ModelCluster(["a", "b", "c"])
    cluster.create(1)
    cluster.settle()
    view = cluster.view()
    leader = view.leader(1)
    assert leader is not None
    leader.writes_per_s = 5_000.0
    view.hot_s = {1: SETTINGS.split_hot_s}
    assert plan(view, SETTINGS) == []
    leader.heat_at = 1 << 60
    (split,) = plan(view, SETTINGS)
    assert isinstance(split, BeginSplit)
    assert split.at == 1 << 60
    view.hot_s = {1: SETTINGS.split_hot_s - 1}
    assert plan(view, SETTINGS) == []


def test_the_ledger_is_split_at_more_heat_than_a_table() -> None:
    cluster = ModelCluster(["a", "b", "c"])
    cluster.create(1)
    cluster.settle()
    view = cluster.view()
    leader = view.leader(1)
    assert leader is not None
    leader.heat_at = 1 << 60
    view.hot_s = {1: SETTINGS.split_hot_s}
    view.placements[1]["table"] = LEDGER_TABLE
    view.steady = frozenset((LEDGER_TABLE,))
    leader.writes_per_s = LEDGER_HEAT * SETTINGS.split_writes_per_s - 1
    assert plan(view, SETTINGS) == []
    leader.writes_per_s += 1
    assert isinstance(plan(view, SETTINGS)[0], BeginSplit)


@pytest.mark.parametrize("seed", range(30))
def test_random_lives_of_a_cluster(seed: int) -> None:
    """Nodes die, return, lose their disks, are drained and added; every step keeps quorums, and it settles."""
    rng = random.Random(seed)
    cluster = ModelCluster(SIX + ["a", "b", "c"][: rng.randrange(4)])
    cluster.create(8)
    for _ in range(150):
        dice = rng.random()
        up = [n for n, r in cluster.nodes.items() if n not in cluster.down and r["state"] == "up"]
        if dice < 0.06 and not cluster.down:
            cluster.kill(rng.choice(up))
        elif dice < 0.16 and cluster.down:
            cluster.revive(rng.choice(sorted(cluster.down)))
        elif dice < 0.18 and not cluster.down and all(cluster.led(p) for p in cluster.groups):
            # One disk at a time: what was on it must have been made up for before the next.
            if not any(any(r.get("leaving") for r in p["replicas"]) for p in cluster.placements.values()):
                cluster.wipe(rng.choice(up))
        elif dice < 0.21:
            cluster.state(rng.choice(up), "draining")
        elif dice < 0.24:
            for n, record in cluster.nodes.items():
                if record["state"] == "draining":
                    cluster.state(n, "up")
        elif dice < 0.25 and len(cluster.nodes) < 12:
            cluster.add(rng.choice("abc"))
        elif dice < 0.28:
            cluster.sizes = {rng.choice(sorted(cluster.placements)): SETTINGS.split_bytes + 1}
        before = {p for p in cluster.groups if cluster.led(p)}
        busy = frozenset(p for p in cluster.placements if rng.random() < 0.3)
        cluster.round(rng.choice([1.0, 1.0, 10.0]), busy)
        assert all(cluster.led(p) for p in before if p in cluster.groups), "a step cost a quorum"
    cluster.sizes = {}
    for n in list(cluster.down):
        cluster.revive(n)
    for n, record in cluster.nodes.items():
        if record["state"] == "draining":
            cluster.state(n, "up")
    cluster.settle(600)
    cluster.check()
    leaders = cluster.leaders()
    assert max(leaders.values()) - min(leaders.values()) <= 3


def test_a_change_that_would_leave_no_majority_waits() -> None:
    cluster = ModelCluster(["a", "b", "c"])
    cluster.create(1)
    cluster.settle()
    followers = [r for r in cluster.placements[1]["replicas"] if r["id"] != cluster.groups[1].leader]
    cluster.damaged[1, followers[0]["id"]] = "checksum differs"
    cluster.round()
    cluster.kill(followers[1]["node"])
    cluster.now += 10
    view = cluster.view()
    assert any(r.get("leaving") for r in cluster.placements[1]["replicas"])
    assert plan(view, cluster.settings) == []


def test_a_second_lost_voter_waits_for_the_first() -> None:
    cluster = ModelCluster(SIX, replace(SETTINGS, balance=False))
    cluster.create(1)
    cluster.elect()
    cluster.groups[1].leader = 1
    cluster.wipe(3)
    cluster.round()
    view = cluster.view()
    view.reports[1][2].damaged = "checksum differs"
    assert plan(view, cluster.settings) == [Members(1, learners=(4,))]


def test_a_move_to_a_node_that_lost_its_disk_is_called_off_when_there_is_no_other() -> None:
    cluster = ModelCluster(["a", "b", "c", "a", "b"], replace(SETTINGS, balance=False))
    cluster.create(1)
    cluster.settle()
    before = cluster.placements[1]
    alone = next(r["id"] for r in before["replicas"] if r["node"] == 3)
    free = next(n for n in (4, 1) if n not in {r["node"] for r in before["replicas"]})
    cluster.placements[1] = with_replica(before, cluster.nodes[free], alone)
    cluster.wipe(free)
    [action] = plan(cluster.view(), cluster.settings)
    assert isinstance(action, Place)
    assert action.after["replicas"] == before["replicas"]
