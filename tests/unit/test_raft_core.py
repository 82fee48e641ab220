"""Corners of the Raft core that no scene shows: limits, refusals, reports, stored forms, assertions."""

from __future__ import annotations

import pytest
from hashrange_node.raft import (
    CONFIG,
    DATA,
    LEAVE_JOINT,
    Append,
    AppendReply,
    Change,
    ChangeKind,
    ConfChange,
    Configuration,
    Entry,
    HardState,
    Heartbeat,
    InitialState,
    InstallSnapshot,
    InvalidChange,
    MemoryStorage,
    RaftCore,
    Refusal,
    RoleName,
    Settings,
    Snapshot,
    Transition,
    confchange,
)
from hashrange_node.raft.lease import calls_to_wait, first_round, lease_end, promise_left
from hashrange_node.raft.log import LogView
from hashrange_node.raft.progress import PROBE, REPLICATE, SNAPSHOT, Progress
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.raft_support import Cluster, FixedRng

# ---- settings


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"heartbeat_ticks": 0}, "heartbeat_ticks must be at least 1"),
        ({"election_ticks": 3, "heartbeat_ticks": 3}, "more than heartbeat_ticks"),
        ({"drift_ticks": -1}, "drift_ticks"),
        ({"lease_ticks": 2}, "lease_ticks must be 0 or more than"),
        ({"append_bytes_max": 0}, "append_bytes_max"),
        ({"inflight_bytes_max": 10}, "inflight_bytes_max"),
        ({"uncommitted_bytes_max": 0}, "uncommitted_bytes_max"),
    ],
)
def test_settings_are_checked_as_a_whole(values: dict[str, int], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Settings(**values)


# ---- stored forms


def test_stored_forms_do_not_change() -> None:
    change = ConfChange((Change(ChangeKind.ADD_LEARNER, 2**40),), Transition.JOINT_UNTIL_LEFT)
    assert change.encode().hex() == "01020100020000000000010000"
    assert LEAVE_JOINT.encode().hex() == "01000000"
    joint = Configuration(frozenset({1}), frozenset({4}), frozenset({1, 2}), frozenset({2}), True)
    assert joint.encode().hex() == (
        "01010100010002000100" + "".join(f"{replica:02x}00000000000000" for replica in (1, 4, 1, 2, 2))
    )
    assert Configuration.decode(joint.encode()) == joint


@pytest.mark.parametrize("data", [b"\x02\x00\x00\x00", b"\x01\x00\x01\x00"])
def test_other_bytes_are_no_change(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a change"):
        ConfChange.decode(data)
    with pytest.raises(ValueError, match="not a configuration"):
        Configuration.decode(data + bytes(6) + b"x")


def test_a_stored_change_is_applied_like_the_object() -> None:
    cluster = Cluster([1])
    cluster.elect(1)
    core = cluster.core(1)
    change = ConfChange((Change(ChangeKind.ADD_LEARNER, 2),))
    assert isinstance(core.propose_change(change), int)
    core.log.tail[-1].payload = change.encode()
    cluster.settle()
    assert core.configuration == Configuration.of([1], [2])


def test_changes_that_make_no_sense() -> None:
    plain = Configuration.of([1, 2])
    joint = confchange.enter(plain, [Change(ChangeKind.ADD_VOTER, 3)], leaves_itself=False)
    for configuration, steps, text in [
        (plain, [Change(ChangeKind.REMOVE, 1), Change(ChangeKind.ADD_VOTER, 1)], "twice"),
        (plain, [Change(ChangeKind.ADD_VOTER, 0)], "not a replica id"),
        (plain, [Change(ChangeKind.REMOVE, 1), Change(ChangeKind.ADD_LEARNER, 2)], "at least one voter"),
        (joint, [Change(ChangeKind.ADD_VOTER, 4)], "left first"),
        (plain, [], "not joint"),
    ]:
        with pytest.raises(InvalidChange, match=text):
            confchange.apply(configuration, ConfChange(tuple(steps)))
    with pytest.raises(InvalidChange, match="already"):
        confchange.enter(joint, [], leaves_itself=True)
    with pytest.raises(InvalidChange, match="without voters"):
        confchange.enter(Configuration(), [], leaves_itself=True)


# ---- progress


def test_a_probe_is_answered_before_the_next() -> None:
    progress = Progress(2, next_index=10)
    settings = Settings()
    assert progress.state is PROBE
    assert not progress.paused(settings)
    progress.sent(12, 100)
    assert progress.paused(settings)
    assert progress.next == 10
    assert not progress.reject(7, 3), "an answer to something older"
    assert progress.reject(9, 4)
    assert progress.next == 5
    assert not progress.paused(settings)


def test_replication_runs_ahead_within_limits() -> None:
    progress = Progress(2, next_index=1)
    settings = Settings(inflight_messages_max=3, inflight_bytes_max=100, append_bytes_max=100)
    progress.become_replicate()
    progress.sent(3, 10)
    progress.sent(4, 10)
    assert progress.next == 5
    assert not progress.paused(settings)
    progress.sent(5, 80)
    assert progress.paused(settings)
    assert progress.acknowledge(4)
    assert progress.inflight_bytes == 80
    assert not progress.paused(settings)
    assert not progress.acknowledge(4)
    assert not progress.reject(4, 2), "it said that it has 4"
    assert progress.reject(5, 9)
    assert (progress.state, progress.next) == (PROBE, 5)


def test_after_a_snapshot_probing_begins_behind_it() -> None:
    progress = Progress(2, next_index=1)
    progress.become_snapshot(20)
    assert progress.state is SNAPSHOT
    assert progress.paused(Settings())
    assert not progress.reject(0, 0)
    progress.become_probe()
    assert progress.next == 21


# ---- the log


def entry(index: int, term: int, kind: int = DATA, payload: object = None) -> Entry:
    return Entry(index, term, kind, payload, 1)


def test_a_late_message_does_not_cut_off_newer_entries() -> None:
    log = LogView(MemoryStorage(), 0, HardState())
    assert log.accept(0, 0, [entry(1, 1), entry(2, 1), entry(3, 1)])
    assert log.accept(0, 0, [entry(1, 1)])
    assert log.accept(1, 1, [])
    assert log.last_index == 3
    assert log.truncated_from is None


def test_committed_entries_are_never_replaced() -> None:
    log = LogView(MemoryStorage(), 0, HardState())
    log.accept(0, 0, [entry(1, 1), entry(2, 1)])
    log.commit_to(2)
    with pytest.raises(AssertionError, match="committed and may not be replaced"):
        log.accept(1, 1, [entry(2, 2)])
    with pytest.raises(AssertionError, match="past the end"):
        log.commit_to(3)


def test_hints_skip_whole_terms() -> None:
    """The two cases of the comment in etcd's raft: each side skips the terms the other cannot have."""
    follower = LogView(MemoryStorage(), 0, HardState())
    follower.accept(0, 0, [entry(i + 1, term) for i, term in enumerate([1, 3, 3, 4, 4, 5, 5, 5, 6])])
    assert follower.conflict_hint(8, 3) == (3, 3)
    leader = LogView(MemoryStorage(), 0, HardState())
    leader.accept(0, 0, [entry(i + 1, term) for i, term in enumerate([1, 3, 3, 3, 5, 5, 5, 5, 5])])
    assert leader.conflict_hint(6, 2) == (1, 1)
    assert leader.conflict_hint(20, 5) == (9, 5)


def test_a_restarted_log_knows_what_its_changes_of_membership_prove() -> None:
    storage = MemoryStorage()
    storage.append([entry(1, 1), entry(2, 1, CONFIG), entry(3, 1), entry(4, 1, CONFIG), entry(5, 1)])
    log = LogView(storage, 1, HardState(1, 0))
    assert (log.commit, log.last_config_index) == (2, 4)
    assert log.committed_configs_wait()
    assert LogView(storage, 2, HardState(1, 0)).commit == 2
    assert not LogView(storage, 2, HardState(1, 0)).committed_configs_wait()


def test_only_what_was_handed_out_can_be_applied() -> None:
    cluster = Cluster([1])
    cluster.elect(1)
    core = cluster.core(1)
    with pytest.raises(AssertionError, match="never handed out"):
        core.applied(2)
    core.propose_change(ConfChange((Change(ChangeKind.ADD_LEARNER, 2),)))
    work = core.ready()
    assert work is not None
    cluster[1].storage.append(work.entries)
    core.persisted(work.number)
    work = core.ready()
    assert work is not None
    assert [each.kind for each in work.committed] == [CONFIG]
    with pytest.raises(AssertionError, match="was not applied to the core"):
        core.applied(2)


# ---- leases: arithmetic against real time

# The ends of a tick are where roundings go wrong, so they are tried often.
IN_A_TICK = st.sampled_from([0.0, 0.999]) | st.floats(0, 0.999)
CLOCK_MAX = 1.03
CLOCK_RATE = st.sampled_from([0.97, 1.03]) | st.floats(0.97, 1.03)


@settings(max_examples=500)
@given(IN_A_TICK, IN_A_TICK, IN_A_TICK, st.sampled_from([0.0]) | st.floats(0, 3), CLOCK_RATE, CLOCK_RATE)
def test_a_promise_outlasts_the_lease(
    first: float, last: float, sent: float, way: float, leader_rate: float, voter_rate: float
) -> None:
    """When the voter counts its promise as over, the leader's own clock already denies the lease.

    The voter hears the leader just before a call of tick that is made `first` into its tick; the call it is asked
    after is made `last` into its own. The question was sent `sent` into a tick of the leader.
    """
    lease_ticks, drift_ticks = 8, 1
    end = lease_end(first_round(100), lease_ticks, drift_ticks)
    for calls in range(1, 20):
        if promise_left(calls, lease_ticks) == 0:
            passed = way + (calls - 1 + last - first) / voter_rate
            assert int(100 + sent + passed * leader_rate) >= end
    # A new leader that is told of the rest waits for the rest, on a clock of its own.
    for calls in range(1, 20):
        left = promise_left(calls, lease_ticks)
        if left:
            passed = way + (calls - 1 + last - first) / voter_rate
            passed += (calls_to_wait(left) - 1 + last - first) / CLOCK_MAX
            assert int(100 + sent + passed * leader_rate) >= end


def test_no_lease_is_no_promise() -> None:
    assert promise_left(0, 0) == 0
    assert lease_end(0, 8, 1) == 0


# ---- requests and reports


def test_followers_refuse_what_only_leaders_can_do() -> None:
    cluster = Cluster([1, 2, 3])
    cluster.elect(1)
    core = cluster.core(2)
    found = [
        core.propose("a", 1),
        core.propose_change(LEAVE_JOINT),
        core.read_index("x"),
        core.transfer(3),
        core.quiesce(),
    ]
    assert found == [Refusal.NOT_LEADER] * 5
    assert core.leader == 1
    assert not core.lease_valid(0)
    core.step_down()
    core.report_unreachable(1)
    core.report_snapshot(1, arrived=True)
    assert core.replicated_by_all() == 0
    assert core.ready() is None


def test_reads_are_limited() -> None:
    cluster = Cluster([1, 2], settings=Settings(reads_max=2))
    cluster.elect(1)
    core = cluster.core(1)
    assert [core.read_index(number) for number in range(3)] == [None, None, Refusal.OVERLOADED]


def test_leadership_goes_only_to_a_voter_that_answers() -> None:
    cluster = Cluster([1, 2, 3], learners=[4])
    cluster.elect(1)
    core = cluster.core(1)
    cluster.cut(3)
    cluster.tick(count=12)
    assert core.transfer(3) is Refusal.SILENT
    assert core.transfer(4) is Refusal.NOT_VOTER
    assert core.transfer(2) is None
    assert core.transfer(2) is None
    assert core.propose("a", 1) is Refusal.TRANSFERRING


def test_a_busy_group_does_not_go_idle() -> None:
    cluster = Cluster([1, 2, 3])
    cluster.elect(1)
    core = cluster.core(1)
    core.propose("a", 1)
    assert core.quiesce() is Refusal.BUSY
    cluster.settle()
    cluster.cut(1)
    cluster.tick(1, count=9)
    core.now += 5
    assert core.quiesce() is Refusal.BUSY, "without a quorum that is alive"


def test_a_group_of_one_goes_idle_at_once() -> None:
    cluster = Cluster([1])
    cluster.elect(1)
    core = cluster.core(1)
    assert core.quiesce() is None
    assert core.quiesced
    core.tick(5)
    assert core.quiesce() is None
    assert core.propose("a", 1) == 2
    assert not core.quiesced


def test_stepping_down_on_request() -> None:
    cluster = Cluster([1, 2, 3])
    cluster.elect(1)
    core = cluster.core(1)
    core.read_index("x")
    core.step_down()
    work = core.ready()
    assert work is not None
    assert work.leadership is not None
    assert (work.leadership.role, work.leadership.leader) == (RoleName.FOLLOWER, 0)
    assert not core.lease_valid(0)


def test_statistics() -> None:
    cluster = Cluster([1, 2, 3], learners=[4])
    cluster.elect(1)
    cluster.propose(1, "abc")
    found = cluster.core(1).statistics()
    assert (found["role"], found["term"], found["leader"], found["last_index"]) == ("leader", 1, 1, 2)
    assert found["uncommitted_bytes"] == 3
    assert found["members"][4] == {"state": "replicate", "match": 1, "active": True}
    assert (found["voters"], found["learners"], found["behind"]) == ([1, 2, 3], [4], 0)
    assert "members" not in cluster.core(2).statistics()
    assert cluster.core(1).replicated_by_all() == 1


def test_compaction_up_to_what_all_have_needs_no_snapshot() -> None:
    cluster = Cluster([1, 2, 3])
    cluster.elect(1)
    cluster.cut(3)
    cluster.propose(1, "a", "b", "c")
    cluster.settle()
    assert cluster.core(1).replicated_by_all() == 1
    cluster[1].compact(1)
    cluster.heal()
    cluster.tick(count=3)
    assert cluster[3].payloads == ["a", "b", "c"]
    assert cluster[3].storage.first_index() == 1


# ---- snapshots at the follower


def follower_with(*entries: Entry) -> RaftCore:
    storage = MemoryStorage()
    storage.append(list(entries))
    term = entries[-1].term
    initial = InitialState(HardState(term, 0), 0, Configuration.of([1, 2, 3]))
    return RaftCore(2, storage, initial, FixedRng(), Settings())


def test_a_snapshot_of_what_the_log_has_only_commits() -> None:
    core = follower_with(entry(1, 1), entry(2, 1), entry(3, 1))
    core.step(InstallSnapshot(1, 2, 1, Snapshot(2, 1, core.configuration), round=1))
    work = core.ready()
    assert work is not None
    assert work.snapshot is None
    assert [each.index for each in work.committed] == [1, 2]
    assert next(message for message in work.messages if isinstance(message, AppendReply)).index == 2
    assert core.log.last_index == 3


def test_a_snapshot_does_not_overtake_what_is_being_applied() -> None:
    core = follower_with(entry(1, 1), entry(2, 1))
    core.step(Heartbeat(1, 2, 1, commit=1, round=1))
    work = core.ready()
    assert work is not None
    assert len(work.committed) == 1
    snapshot = Snapshot(9, 1, Configuration.of([1, 2]))
    core.step(InstallSnapshot(1, 2, 1, snapshot, round=2))
    assert core.ready() is None
    core.applied(1)
    core.step(InstallSnapshot(1, 2, 1, snapshot, round=2))
    work = core.ready()
    assert work is not None
    assert work.snapshot is snapshot
    assert not work.messages
    assert len(work.messages_after_persist) == 1
    # While it is being installed nothing is applied and no election is stood for.
    core.step(Append(1, 2, 1, 9, 1, [entry(10, 1)], commit=10, round=3))
    later = core.ready()
    assert later is not None
    assert not later.committed
    core.campaign()
    assert core.role.name is RoleName.FOLLOWER
    storage = core.log.storage
    assert isinstance(storage, MemoryStorage)
    storage.install(snapshot)
    core.persisted(work.number)
    assert core.log.applied == 9
    storage.append(later.entries)
    core.persisted(later.number)
    work = core.ready()
    assert work is not None
    assert [each.index for each in work.committed] == [10]
    assert core.configuration == snapshot.configuration


# ---- what cannot happen


def test_two_leaders_in_one_term_are_noticed() -> None:
    core = follower_with(entry(1, 1))
    core.step(Heartbeat(1, 2, 1, commit=0, round=1))
    with pytest.raises(AssertionError, match="3 and 1 both lead term 1"):
        core.step(Heartbeat(3, 2, 1, commit=0, round=1))


def test_an_acknowledgement_of_what_was_never_sent_is_noticed() -> None:
    cluster = Cluster([1, 2, 3])
    cluster.elect(1)
    with pytest.raises(AssertionError, match="replica 2 has entry 9, the leader has not"):
        cluster.core(1).step(AppendReply(2, 1, 1, index=9, round=1))


def test_a_log_newer_than_the_hard_state_is_noticed() -> None:
    storage = MemoryStorage()
    storage.append([entry(1, 3)])
    with pytest.raises(AssertionError, match="hard state"):
        RaftCore(1, storage, InitialState(HardState(2, 0)), FixedRng(), Settings())


def test_strangers_are_ignored_by_leaders() -> None:
    cluster = Cluster([1, 2])
    cluster.elect(1)
    core = cluster.core(1)
    core.step(AppendReply(7, 1, 1, index=1, round=1))
    core.report_unreachable(7)
    core.report_unreachable(2)
    members = core.role.tracker.members  # type: ignore[attr-defined]
    assert members[2].state is PROBE
    cluster.settle()
    assert members[2].state is REPLICATE
