"""One scene for each safety rule, and for each the proof that the checks see the rule broken.

The first part follows figure 3 and section 5.4 of the Raft paper; the second is what this system adds: changes of
membership, leases, asynchronous persistence. `SCENES` pairs every scene with a core that lacks the rule: the scene
passes with the real core and raises with that one.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hashrange_node.raft import (
    Append,
    Change,
    ChangeKind,
    ConfChange,
    RaftCore,
    Settings,
    TimeoutNow,
    Transition,
)

from tests.unit import raft_sabotage as sabotage
from tests.unit.raft_checker import Checker, Unsafe, check
from tests.unit.raft_support import Cluster, is_append, log_of

LONG_LEASE = Settings(lease_ticks=30)


def group(
    core_class: type[RaftCore],
    *voters: int,
    learners: tuple[int, ...] = (),
    extra: tuple[int, ...] = (),
    settings: Settings | None = None,
) -> tuple[Cluster, Checker]:
    checker = Checker()
    cluster = Cluster(
        voters, learners, extra=extra, settings=settings, core_class=core_class, watcher=checker
    )
    checker.cluster = cluster
    return cluster, checker


def stand(cluster: Cluster, replica: int) -> None:
    """Let a replica stand for election without asking first, and without delivering anything."""
    cluster.core(replica).campaign(transfer=True)
    cluster[replica].turn()


def free(cluster: Cluster) -> None:
    """Nobody has heard a leader for long."""
    for host in cluster.hosts.values():
        host.core.calls_since_heard = 1000


def elect_somehow(cluster: Cluster, replica: int) -> None:
    """Let a replica stand until it is elected: the first times may only teach it the term."""
    free(cluster)
    for _ in range(4):
        if not cluster.core(replica).is_leader:
            stand(cluster, replica)
            cluster.settle()
    assert cluster.core(replica).is_leader


def exchange(cluster: Cluster, rounds: int) -> None:
    """Turns and deliveries, in which entries of the sender's own term get lost."""
    for _ in range(rounds):
        cluster.turn()
        for message in cluster.network:
            if isinstance(message, Append):
                message.entries[:] = [entry for entry in message.entries if entry.term < message.term]
        cluster.deliver()


def change(cluster: Cluster, leader: int, *steps: tuple[ChangeKind, int], joint: bool = False) -> None:
    transition = Transition.JOINT_UNTIL_LEFT if joint else Transition.SIMPLE_IF_POSSIBLE
    found = ConfChange(tuple(Change(kind, replica) for kind, replica in steps), transition)
    assert isinstance(cluster.core(leader).propose_change(found), int)


# ---- the rules of the paper


def one_vote_a_term(core_class: type[RaftCore]) -> None:
    """3 votes for 1, crashes when its answer is on the way, and is asked by 2 in the same term."""
    cluster, _ = group(core_class, 1, 2, 3)
    stand(cluster, 1)
    stand(cluster, 2)
    cluster.deliver(lambda message: (message.sender, message.to) == (1, 3))
    cluster.turn()
    cluster[3].crash()
    cluster[3].restart()
    cluster.deliver(lambda message: (message.sender, message.to) == (2, 3))
    cluster.settle()
    assert sum(host.core.is_leader for host in cluster.hosts.values()) == 1


def leader_completeness(core_class: type[RaftCore]) -> None:
    """3 misses a committed entry and asks 2, which has it, for its vote."""
    cluster, _ = group(core_class, 1, 2, 3)
    cluster.elect(1)
    cluster.cut(3)
    cluster.propose(1, "a")
    cluster.settle()
    cluster.heal()
    cluster.cut(1)
    stand(cluster, 3)
    cluster.settle()
    assert not cluster.core(3).is_leader


def only_own_terms_are_counted(core_class: type[RaftCore]) -> None:
    """Figure 8: an entry of an earlier term is on a majority and is replaced all the same."""
    cluster, checker = group(core_class, 1, 2, 3, 4, 5)
    cluster.elect(1)
    # (a) 1 leads and replicates an entry only to 2.
    cluster.cut(3, 4, 5)
    cluster.propose(1, "old")
    cluster.settle()
    # (b) 5 is elected by 3 and 4, and appends something else that nobody hears of.
    cluster.partition([3, 4, 5], [1], [2])
    cluster.loses = "Append"
    elect_somehow(cluster, 5)
    cluster.propose(5, "new")
    cluster.settle()
    cluster.loses = "none"
    # (c) 1 is elected again, by 2 and 3, and brings "old" to 3; its entries of the new term get lost.
    cluster.partition([1, 2, 3], [4], [5])
    cluster.core(1).step_down()
    free(cluster)
    while not cluster.core(1).is_leader:
        stand(cluster, 1)
        exchange(cluster, 4)
    exchange(cluster, 20)
    assert [entry.payload for entry in log_of(cluster[3])][-1] == "old"
    checker.look()
    # (d) 1 is gone, 5 is elected by 3 and 4: its log is newer. It replaces what 3 has.
    cluster.partition([3, 4, 5], [1], [2])
    cluster.core(5).step_down()
    elect_somehow(cluster, 5)
    cluster.tick(3, 4, 5, count=3)
    checker.look()
    assert "old" not in cluster[3].payloads
    assert "new" in cluster[3].payloads


def acknowledged_is_durable(core_class: type[RaftCore]) -> None:
    """A follower's disk is slow: nothing is acknowledged before it is done."""
    cluster, _ = group(core_class, 1, 2, 3)
    cluster.elect(1)
    cluster[2].holds_writes = True
    cluster.cut(3)
    cluster.propose(1, "a")
    cluster.settle()
    assert cluster[1].payloads == []
    cluster[2].persist()
    cluster.settle()
    assert cluster[1].payloads == ["a"]


def leader_counts_itself_when_durable(core_class: type[RaftCore]) -> None:
    """The leader's disk is slow and one follower has the entry: one of three is no majority."""
    cluster, checker = group(core_class, 1, 2, 3)
    cluster.elect(1)
    cluster[1].holds_writes = True
    cluster.cut(3)
    cluster.propose(1, "a")
    cluster.settle()
    checker.look()
    assert cluster.core(1).log.commit == 1


# ---- membership


def learners_do_not_count(core_class: type[RaftCore]) -> None:
    """A leader with two learners and no other voter within reach commits nothing."""
    cluster, checker = group(core_class, 1, 2, 3, learners=(4, 5))
    cluster.elect(1)
    cluster.partition([1, 4, 5], [2, 3])
    cluster.propose(1, "a")
    cluster.settle()
    checker.look()
    assert cluster.core(1).log.commit == 1


def both_halves_decide(core_class: type[RaftCore]) -> None:
    """From 1,2,3 to 1,4,5: 1, 4 and 5 commit nothing alone while the configuration is joint."""
    cluster, checker = group(core_class, 1, 2, 3, learners=(4, 5))
    cluster.elect(1)
    steps = [(ChangeKind.ADD_VOTER, 4), (ChangeKind.ADD_VOTER, 5)]
    steps += [(ChangeKind.REMOVE, 2), (ChangeKind.REMOVE, 3)]
    change(cluster, 1, *steps, joint=True)
    cluster.settle()
    assert cluster.core(1).configuration.joint
    cluster.partition([1, 4, 5], [2, 3])
    cluster.propose(1, "a")
    cluster.settle()
    checker.look()
    # Meanwhile 2 and 3 cannot elect anyone alone either.
    free(cluster)
    stand(cluster, 2)
    cluster.settle()
    assert not cluster.core(2).is_leader
    assert cluster[4].payloads == []


def old_voters_do_not_elect(core_class: type[RaftCore]) -> None:
    """1,2,3 became 1,2,3,4,5 in two steps. 1 and 2 crash and have the state of before the first; their logs have
    both changes. Together they are a majority of three, and 3, 4 and 5 commit without them.
    """
    cluster, _ = group(core_class, 1, 2, 3, extra=(4, 5))
    cluster.elect(3)
    for new in (4, 5):
        change(cluster, 3, (ChangeKind.ADD_VOTER, new))
        cluster.settle()
        cluster[3].compact(cluster[3].storage.first_index() - 1)
        cluster.tick(3, count=2)
        cluster.core(3).report_snapshot(new, arrived=True)
        cluster.settle()
    for replica in (1, 2):
        cluster[replica].crash(keep_flushes=1)
    cluster.propose(3, "a")
    cluster.settle()
    assert cluster[3].payloads == ["a"]
    cluster.partition([1, 2], [3, 4, 5])
    for replica in (1, 2):
        cluster[replica].restart()
        cluster[replica].holds_apply = True  # slow to apply what the log has
    free(cluster)
    for _ in range(3):
        cluster.core(1).campaign(transfer=False)
        cluster.settle()
    assert not cluster.core(1).is_leader
    # When they have applied what they know, they need a third.
    for replica in (1, 2):
        cluster[replica].holds_apply = False
        cluster[replica].apply()
    cluster.core(1).campaign()
    cluster.settle()
    assert not cluster.core(1).is_leader


# ---- asynchronous persistence


def writes_under_way_are_cut_back(core_class: type[RaftCore]) -> None:
    """3 replaces entries while they are on the way to its disk; the first write done says nothing of the new."""
    cluster, _ = group(core_class, 1, 2, 3, 4, 5)
    cluster.elect(1)
    cluster[3].holds_writes = True
    cluster.partition([1, 3], [2, 4, 5])
    cluster.propose(1, "x", "y", "z")
    cluster.settle()
    cluster.partition([1], [2, 3, 4, 5])
    free(cluster)
    stand(cluster, 2)
    cluster.settle()
    cluster.propose(2, "a", "b", "c")
    cluster.settle()
    cluster.tick(2, 4, 5, count=1)
    # Only x, y and z are durable at 3. What it applies now would be a, b and c.
    cluster[3].persist(1)
    cluster.turn()
    last = cluster[3].storage.last_index()
    core = cluster.core(3)
    for entry in cluster[3].storage.entries(1, core.log.durable + 1, 1 << 30) if last else []:
        check(core.log.term(entry.index) == entry.term, "durable is what is on disk", entry)


# ---- reads


def voters_are_bound(core_class: type[RaftCore]) -> None:
    """3 does not hear the leader, 2 does. 3 wants to lead with 2's help, while 1 serves reads from its lease."""
    cluster, checker = group(core_class, 1, 2, 3)
    cluster.elect(1)
    cluster.tick(count=2)
    cluster.cuts = {(1, 3), (3, 1)}
    cluster.core(3).election_timeout = 1000
    cluster.tick(count=14)
    assert cluster.core(1).lease_valid(cluster.now)
    # Now the leader is cut off altogether.
    cluster.partition([1], [2, 3])
    cluster.core(3).campaign()
    cluster.settle()
    if cluster.core(3).is_leader:
        cluster.propose(3, "a")
        cluster.settle()
    checker.strong_read(cluster[1], cluster.now)
    assert checker.reads_checked


def a_restart_frees_nobody(core_class: type[RaftCore]) -> None:
    """2 answered the leader, restarts, and is asked for its vote while the leader's lease runs."""
    cluster, checker = group(core_class, 1, 2, 3)
    cluster.elect(1)
    cluster.tick(count=2)
    cluster.cut(3)
    cluster.tick(count=14)
    cluster[2].crash()
    cluster[2].restart(cluster.now)
    cluster.partition([1], [2, 3])
    cluster.core(3).campaign()
    cluster.settle()
    if cluster.core(3).is_leader:
        cluster.propose(3, "a")
        cluster.settle()
    checker.strong_read(cluster[1], cluster.now)
    assert checker.reads_checked


def an_old_lease_is_waited_for(core_class: type[RaftCore]) -> None:
    """Leases outlast the election timeout here: the new leader appends nothing before the old one is over."""
    cluster, checker = group(core_class, 1, 2, 3, settings=LONG_LEASE)
    cluster.elect(1)
    cluster.tick(count=2)
    cluster.partition([1], [2, 3])
    for _ in range(60):
        cluster.tick(2, 3)
        for replica in (2, 3):
            if cluster.core(replica).is_leader:
                cluster.core(replica).propose("a", 1)
        cluster.settle()
        # The old leader is stopped: it learns of no ticks, but asks the clock when it answers.
        checker.strong_read(cluster[1], cluster.now)
    assert cluster[2].payloads
    assert checker.reads_checked > 20


def a_lease_ends_with_the_clock(core_class: type[RaftCore]) -> None:
    """The leader is stopped for a while. When it goes on, it does not answer from a lease of before."""
    cluster, checker = group(core_class, 1, 2, 3)
    cluster.elect(1)
    cluster.tick(count=2)
    cluster.partition([1], [2, 3])
    for _ in range(40):
        cluster.tick(2, 3)
    leader = next(replica for replica in (2, 3) if cluster.core(replica).is_leader)
    cluster.propose(leader, "a")
    cluster.settle()
    checker.strong_read(cluster[1], cluster.now)
    assert not cluster.core(1).lease_valid(cluster.now)


def an_order_ends_the_lease(core_class: type[RaftCore]) -> None:
    """The order to stand for election comes so late that the old leader has given up on it and goes on. Its
    lease must not, until the order is void.
    """
    cluster, checker = group(core_class, 1, 2, 3)
    cluster.elect(1)
    cluster.tick(count=2)
    cluster.core(1).transfer(2)
    cluster[1].turn()
    late = [message for message in cluster.network if isinstance(message, TimeoutNow)]
    assert late
    cluster.drop()
    cluster.cuts = {(1, 2), (2, 1)}
    cluster.core(2).election_timeout = 1000
    cluster.tick(count=12)
    assert cluster.core(1).is_leader
    # 3 answers 1 all the time. Now the order arrives, and 2 is elected by 3, which need not be free for that.
    cluster.partition([1], [2, 3])
    cluster.core(2).step(late[0])
    cluster.settle()
    cluster.propose(2, "b")
    cluster.settle()
    checker.strong_read(cluster[1], cluster.now)
    assert cluster[2].payloads == ["b"]


def test_an_order_is_void_after_a_later_round() -> None:
    cluster, _ = group(RaftCore, 1, 2, 3)
    cluster.elect(1)
    cluster.tick(count=2)
    cluster.core(1).transfer(2)
    cluster[1].turn()
    late = [message for message in cluster.network if isinstance(message, TimeoutNow)]
    cluster.drop()
    cluster.cuts = {(1, 2), (2, 1)}
    cluster.tick(1, 3, count=11)
    assert not cluster.core(1).lease_valid(cluster.now)
    # 2 hears the leader again, and its answer makes the lease good: it will not obey what is older.
    cluster.heal()
    cluster.tick(count=1)
    assert cluster.core(1).lease_valid(cluster.now)
    cluster.core(2).step(late[0])
    cluster.settle()
    assert cluster.core(1).is_leader
    assert cluster.core(2).term == 1


def a_new_leader_reads_after_its_first_entry(core_class: type[RaftCore]) -> None:
    """2 is elected and does not know yet that "a" is committed."""
    cluster, checker = group(core_class, 1, 2, 3)
    cluster.elect(1)
    cluster.propose(1, "a")
    cluster[1].turn()
    cluster.deliver()
    cluster[2].turn()
    cluster[3].turn()
    cluster.deliver(lambda message: message.to == 1)
    cluster[1].turn()
    assert cluster[1].payloads == ["a"]
    cluster.drop()
    free(cluster)
    cluster.cut(1)
    cluster.core(2).campaign()
    for _ in range(10):
        cluster.turn()
        cluster.drop(lambda message: is_append(message))
        cluster.deliver()
    assert cluster.core(2).is_leader
    cluster.core(2).tick(1)
    for _ in range(10):
        cluster.turn()
        cluster.drop(lambda message: is_append(message))
        cluster.deliver()
    checker.strong_read(cluster[2], 1)


SCENES: list[tuple[Callable[[type[RaftCore]], None], type[RaftCore]]] = [
    (one_vote_a_term, sabotage.ForgetsVote),
    (leader_completeness, sabotage.VotesForAll),
    (only_own_terms_are_counted, sabotage.CountsOldTerms),
    (acknowledged_is_durable, sabotage.SendsEarly),
    (leader_counts_itself_when_durable, sabotage.CountsUndurable),
    (learners_do_not_count, sabotage.CountsLearners),
    (both_halves_decide, sabotage.CountsNewHalf),
    (old_voters_do_not_elect, sabotage.StandsWithOldVoters),
    (writes_under_way_are_cut_back, sabotage.KeepsWrites),
    (voters_are_bound, sabotage.NotBound),
    (a_restart_frees_nobody, sabotage.ForgetsPromises),
    (an_old_lease_is_waited_for, sabotage.TellsNoPromises),
    (an_order_ends_the_lease, sabotage.KeepsLease),
    (a_new_leader_reads_after_its_first_entry, sabotage.ReadsTooEarly),
]


@pytest.mark.parametrize(("scene", "_"), SCENES, ids=lambda value: getattr(value, "__name__", ""))
def test_rule(scene: Callable[[type[RaftCore]], None], _: type[RaftCore]) -> None:
    scene(RaftCore)


@pytest.mark.parametrize(("scene", "broken"), SCENES, ids=lambda value: getattr(value, "__name__", ""))
def test_the_broken_rule_is_seen(scene: Callable[[type[RaftCore]], None], broken: type[RaftCore]) -> None:
    with pytest.raises(AssertionError) as caught:
        scene(broken)
    assert isinstance(caught.value, Unsafe), f"a scene's own assertion failed instead: {caught.value}"


def test_a_lease_ends_with_the_clock() -> None:
    a_lease_ends_with_the_clock(RaftCore)
