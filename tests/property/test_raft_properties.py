"""Raft under chance: quorum arithmetic and membership against plain models, and whole random lives of a group.

The lives follow from a seed (raft_simulation.py); a failing example prints its arguments, and the same arguments
give the same life.
"""

from __future__ import annotations

import random
from itertools import combinations

import pytest
from hashrange_node.raft import (
    LEAVE_JOINT,
    Change,
    ChangeKind,
    ConfChange,
    Configuration,
    Entry,
    HardState,
    InvalidChange,
    MemoryStorage,
    RaftCore,
    Settings,
    Transition,
    confchange,
    quorum,
)
from hashrange_node.raft.log import LogView
from hashrange_node.raft.quorum import VoteResult
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit import raft_sabotage as sabotage
from tests.unit.raft_checker import Unsafe
from tests.unit.raft_simulation import Faults, Simulation

REPLICAS = st.integers(1, 7)
VOTERS = st.frozensets(REPLICAS, max_size=5)
VOTES = st.dictionaries(REPLICAS, st.booleans())


def majorities(voters: frozenset[int]) -> list[frozenset[int]]:
    """All sets of voters that are a majority, by counting; the empty group has the empty one."""
    return [
        frozenset(chosen)
        for size in range(len(voters) + 1)
        for chosen in combinations(sorted(voters), size)
        if 2 * size > len(voters) or not voters
    ]


# ---- quorums


@given(VOTERS, VOTERS, st.dictionaries(REPLICAS, st.integers(0, 20)))
def test_agreed_is_what_some_majority_has(
    incoming: frozenset[int], outgoing: frozenset[int], has: dict[int, int]
):
    def model(voters: frozenset[int]) -> int:
        return max(
            min((has.get(voter, 0) for voter in chosen), default=quorum.EVERYTHING)
            for chosen in majorities(voters)
        )

    def values(voters: frozenset[int]) -> list[int]:
        return [has.get(voter, 0) for voter in voters]

    assert quorum.agreed(values(incoming)) == model(incoming)
    assert quorum.agreed_jointly(values(incoming), values(outgoing)) == min(model(incoming), model(outgoing))


@given(VOTERS, VOTERS, VOTES)
def test_votes_decide_as_majorities_do(
    incoming: frozenset[int], outgoing: frozenset[int], votes: dict[int, bool]
):
    granted = {voter for voter, vote in votes.items() if vote}
    possible = granted | ((incoming | outgoing) - set(votes))
    won = all(any(chosen <= granted for chosen in majorities(half)) for half in (incoming, outgoing))
    can_win = all(any(chosen <= possible for chosen in majorities(half)) for half in (incoming, outgoing))
    expected = VoteResult.WON if won else VoteResult.PENDING if can_win else VoteResult.LOST
    assert quorum.joint_vote_result(incoming, outgoing, votes) is expected
    assert quorum.has_quorum(incoming, outgoing, granted) == won


# ---- membership

CHANGES = st.lists(
    st.builds(Change, st.sampled_from(ChangeKind), REPLICAS),
    max_size=4,
    unique_by=lambda change: change.replica,
)
CONF_CHANGES = st.builds(ConfChange, CHANGES.map(tuple), st.sampled_from(Transition))


def deciding(configuration: Configuration) -> list[frozenset[int]]:
    """All sets that can decide alone."""
    return [
        first | second
        for first in majorities(configuration.voters)
        for second in majorities(configuration.outgoing)
    ]


@given(st.frozensets(REPLICAS, min_size=1, max_size=5), st.lists(CONF_CHANGES, max_size=5))
def test_what_decides_before_meets_what_decides_after(voters: frozenset[int], changes: list[ConfChange]):
    configuration = Configuration(voters)
    for change in changes:
        try:
            after = confchange.apply(configuration, change)
        except InvalidChange:
            continue
        assert all(first & second for first in deciding(configuration) for second in deciding(after))
        assert after.voters
        assert not after.learners & (after.voters | after.outgoing)
        assert after.learners_next <= after.outgoing - after.voters
        assert after.members == after.voters | after.outgoing | after.learners
        assert Configuration.decode(after.encode()) == after
        assert ConfChange.decode(change.encode()) == change
        configuration = after


@given(st.frozensets(REPLICAS, min_size=1, max_size=5), CHANGES)
def test_through_joint_or_not_the_end_is_the_same(voters: frozenset[int], changes: list[Change]):
    wanted = {change.replica: change.kind for change in changes}
    kept = {voter for voter in voters if voter not in wanted}
    expected = Configuration.of(
        kept | {replica for replica, kind in wanted.items() if kind is ChangeKind.ADD_VOTER},
        {replica for replica, kind in wanted.items() if kind is ChangeKind.ADD_LEARNER},
    )
    for transition in Transition:
        change = ConfChange(tuple(changes), transition)
        if not changes or not expected.voters:
            with pytest.raises(InvalidChange):
                confchange.apply(Configuration(voters), change)
            continue
        found = confchange.apply(Configuration(voters), change)
        assert found.leaves_itself == (found.joint and transition is not Transition.JOINT_UNTIL_LEFT)
        assert (confchange.apply(found, LEAVE_JOINT) if found.joint else found) == expected


# ---- the log


@given(st.data())
def test_the_log_view_is_a_plain_list(data: st.DataObject):
    """Appending, replacing, persisting and applying in any order, against a list of terms."""
    storage = MemoryStorage()
    log = LogView(storage, 0, HardState())
    terms: list[int] = []
    number = 0
    handed_out: list[tuple[int, list[Entry]]] = []
    for _ in range(data.draw(st.integers(1, 40))):
        action = data.draw(st.sampled_from(["accept", "commit", "write", "persist", "apply", "compact"]))
        if action == "accept":
            prev = data.draw(st.integers(log.commit, len(terms)))
            term = data.draw(st.integers(terms[prev - 1] if prev else 1, (terms[-1] if terms else 1) + 1))
            count = data.draw(st.integers(0, 3))
            entries = [Entry(prev + 1 + i, term, 0, (term, prev + 1 + i), 1) for i in range(count)]
            assert log.accept(prev, terms[prev - 1] if prev else 0, entries)
            new = terms[:prev] + [term] * count
            if new != terms[: len(new)]:
                terms = new
        elif action == "commit":
            log.commit_to(data.draw(st.integers(log.commit, len(terms))))
        elif action == "write":
            truncated = log.truncated_from
            found = log.take_unsaved()
            if found:
                number += 1
                assert truncated is None or truncated <= found[0].index
                log.begin_write(number, HardState())
                handed_out.append((number, found))
        elif action == "persist" and handed_out:
            done, found = handed_out.pop(0)
            storage.append(found)
            log.persisted(done)
        elif action == "apply":
            found = log.take_committed(data.draw(st.integers(0, 3)))
            assert all(entry.index <= min(log.commit, log.durable) for entry in found)
            log.applied_to(log.handed_out)
        elif action == "compact":
            storage.compact(data.draw(st.integers(storage.first_index() - 1, log.applied)), None)
        assert log.last_index == len(terms)
        assert log.applied <= log.handed_out <= log.durable <= log.saved <= log.last_index
        assert [log.term(index) for index in range(log.first_index(), len(terms) + 1)] == terms[
            log.first_index() - 1 :
        ]
        for index in range(1, log.durable + 1):
            # Durable means on disk, and not something else that is about to be replaced.
            if index >= storage.first_index():
                assert storage.term(index) == terms[index - 1]
        low = data.draw(st.integers(1, len(terms) + 1))
        read = log.entries_from(low, 2) if low <= len(terms) else []
        if low < log.first_index():
            assert read is None
        else:
            assert read is not None
            assert [entry.index for entry in read] == list(range(low, low + len(read)))
            assert bool(read) == (low <= len(terms))


# ---- lives

SLOW_STARTS = [HealthCheck.too_slow]
NONE_SOME_MANY = st.sampled_from([0.0, 2.0, 6.0])
FAULTS = st.builds(
    Faults,
    lost=st.sampled_from([0.0, 0.02, 0.1, 0.3]),
    doubled=st.sampled_from([0.0, 0.1, 0.3]),
    cuts=NONE_SOME_MANY,
    mends=st.sampled_from([3.0, 6.0]),
    crashes=NONE_SOME_MANY,
    stalls=NONE_SOME_MANY,
    changes=NONE_SOME_MANY,
    transfers=NONE_SOME_MANY,
    idle=NONE_SOME_MANY,
    compactions=NONE_SOME_MANY,
)


@st.composite
def limits_of_groups(draw: st.DrawFn) -> Settings:
    election_ticks = draw(st.sampled_from([5, 10]))
    return Settings(
        election_ticks=election_ticks,
        lease_ticks=draw(st.sampled_from([0, election_ticks - 2, 2 * election_ticks])),
        append_bytes_max=40,
        inflight_messages_max=draw(st.sampled_from([1, 4])),
        inflight_bytes_max=100,
        uncommitted_bytes_max=300,
        apply_bytes_max=60,
    )


@settings(max_examples=50, deadline=None, suppress_health_check=SLOW_STARTS)
@given(st.integers(0, 2**32), st.integers(3, 5), st.sampled_from([1, 3, 5]), FAULTS, limits_of_groups())
def test_a_group_is_safe_and_recovers(seed: int, size: int, voters: int, faults: Faults, limits: Settings):
    life = Simulation(seed, size=size, voters=min(size, voters), faults=faults, settings=limits)
    life.run(ticks=150)
    life.heal_and_converge()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_a_long_life(seed: int) -> None:
    chance = random.Random(seed)
    faults = Faults(
        lost=chance.choice([0.02, 0.1]), cuts=chance.choice([3, 6]), crashes=chance.choice([2, 4])
    )
    life = Simulation(seed, size=3 + seed % 3, voters=3, faults=faults)
    life.run(ticks=500, busy=4)
    life.heal_and_converge()
    assert life.checker.elections
    assert life.checker.acknowledged > 20


def test_a_life_follows_from_its_seed() -> None:
    first, second = (Simulation(7, size=4, voters=3) for _ in range(2))
    for life in (first, second):
        life.run(ticks=60)
    assert len(first.hosts[0].machine) > 5
    assert [host.machine for host in first.hosts] == [host.machine for host in second.hosts]
    assert first.cluster.network == second.cluster.network


BROKEN = [
    sabotage.ForgetsVote,
    sabotage.CountsLearners,
    sabotage.CountsNewHalf,
    sabotage.CountsUndurable,
    sabotage.SendsEarly,
    sabotage.VotesForAll,
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_lives_show_a_broken_rule(broken: type[RaftCore]) -> None:
    """Not every life meets the fault; one of the first does."""
    faults = Faults(cuts=6, crashes=4, transfers=4)
    with pytest.raises(Unsafe):
        for seed in range(60):
            life = Simulation(seed, size=4, voters=3, faults=faults, core_class=broken)
            try:
                life.run(ticks=150)
            except Unsafe:
                raise
            except AssertionError:
                continue  # the core noticed by itself that something impossible has happened
