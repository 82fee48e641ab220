"""Scrubbing: replicas are compared at the same point of the log; who is convicted, and who is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hashrange_node.replica.effects import Effects
from hashrange_node.replica.place import Place
from hashrange_node.replica.ranges import PartitionRanges
from hashrange_node.replica.scrub import END, Check, Finding, Walk, checksum, within
from hashrange_node.replica.scrubber import CHECK_TIMEOUT_S, Scrubber
from hashrange_node.storage import EngineError, MemoryEngine, keyspace

from hashrange.errors import ApiError, internal
from hashrange.wire.cluster import ReplicaDamaged, ScrubReport
from tests.unit.snapshot_support import LEFT, RIGHT, Loop, Wire, contents, data_of

MEMBERS = frozenset((1, 2, 3))
GOOD = Finding(10, 0xABCD)
BAD = Finding(10, 0xDCBA)
SHORT = Finding(9, 0xABCD)
UNREADABLE = Finding(0, 0, "its data cannot be read: corrupt")


def judged(*findings: Finding | None, members: frozenset[int] = MEMBERS) -> Check:
    check = Check(1, b"a", b"b", members)
    for replica, found in enumerate(findings, start=1):
        if found is not None:
            check.add(replica, 7, found)
    return check


@pytest.mark.parametrize(
    ("findings", "unreadable", "outvoted", "undecided"),
    [
        ((GOOD, GOOD, GOOD), [], [], False),
        ((GOOD, GOOD, BAD), [], [3], False),
        ((BAD, GOOD, GOOD), [], [1], False),
        ((GOOD, SHORT, GOOD), [], [2], False),
        ((GOOD, BAD, SHORT), [], [], True),
        ((GOOD, BAD, None), [], [], True),
        ((GOOD, GOOD, None), [], [], False),
        ((None, None, None), [], [], False),
        ((GOOD, UNREADABLE, GOOD), [2], [], False),
        ((GOOD, UNREADABLE, BAD), [2], [], True),
        ((UNREADABLE, UNREADABLE, GOOD), [1, 2], [], False),
    ],
)
def test_a_majority_of_all_members_decides(
    findings: Any, unreadable: list[int], outvoted: list[int], undecided: bool
):
    verdict = judged(*findings).verdict()
    assert (list(verdict.unreadable), list(verdict.outvoted)) == (unreadable, outvoted)
    assert verdict.undecided == undecided


def test_half_of_the_members_is_no_majority():
    assert judged(GOOD, GOOD, BAD, BAD, members=frozenset((1, 2, 3, 4))).verdict().undecided
    assert judged(GOOD, GOOD, BAD, members=frozenset((1, 2, 3, 4))).verdict().undecided


def test_findings_of_strangers_and_of_other_places_in_the_log_do_not_count():
    check = judged(GOOD, GOOD)
    check.add(4, 7, BAD)
    check.add(3, 8, BAD)
    assert not check.complete
    check.add(3, 7, GOOD)
    assert check.complete


def test_a_replica_is_convicted_when_it_differs_twice_in_a_row():
    walk = Walk()
    assert walk.judge(judged(GOOD, GOOD, BAD)) == {}
    assert walk.low == b""  # the same slice again
    assert list(walk.judge(judged(GOOD, GOOD, BAD))) == [3]
    assert (walk.low, walk.finished) == (b"b", False)


def test_differing_once_convicts_nobody():
    walk = Walk()
    assert walk.judge(judged(GOOD, GOOD, BAD)) == {}
    assert walk.judge(judged(GOOD, BAD, GOOD)) == {}
    assert walk.low == b""
    assert walk.judge(judged(GOOD, GOOD, GOOD)) == {}
    assert walk.low == b"b"
    assert walk.judge(judged(GOOD, BAD, GOOD)) == {}
    assert list(walk.judge(judged(UNREADABLE, GOOD, GOOD))) == [1]


def test_checksums_tell_apart_what_only_its_borders_tell_apart():
    found = {
        checksum(entries)
        for entries in (
            [],
            [(b"", b"")],
            [(b"ab", b"c")],
            [(b"a", b"bc")],
            [(b"a", b"b"), (b"c", b"")],
            [(b"c", b""), (b"a", b"b")],
        )
    }
    assert len(found) == 6
    assert checksum([(b"c", b"d")], checksum([(b"a", b"b")])) == checksum([(b"a", b"b"), (b"c", b"d")])


def test_slices_are_cut_to_the_ranges_of_the_partition():
    ranges = [(b"P3", b"P5"), (b"B1", b"B2"), (b"P7", b"P9")]
    assert within(ranges, b"", END) == [(b"B1", b"B2"), (b"P3", b"P5"), (b"P7", b"P9")]
    assert within(ranges, b"P4", b"P8") == [(b"P4", b"P5"), (b"P7", b"P8")]
    assert within(ranges, b"P5", b"P7") == []


class Replica:
    """One replica: an engine, a scrubber, and a group as the scrubber sees it."""

    def __init__(self, cluster: Cluster, number: int, ranges: PartitionRanges) -> None:
        self.engine: Any = MemoryEngine()
        self.group = SimpleNamespace(
            id=ranges.partition,
            replica_id=number,
            place=Place(ranges.partition, ranges.store, ranges.lo, ranges.hi),
            nodes={1: 11, 2: 12, 3: 13},
            core=SimpleNamespace(
                leader=1, term=4, configuration=SimpleNamespace(members=frozenset((1, 2, 3)))
            ),
            serving=number == 1,
            dropped=False,
            damaged="",
            split=None,
            propose=cluster.propose,
        )
        self.damaged: list[str] = []
        self.reports: list[str] = []
        self.scrubber = Scrubber(
            self.engine,
            cluster.loop,
            cluster.wire,
            groups=lambda: [self.group],  # type: ignore[list-item]
            damaged=self._damage,
            report=lambda text, error: self.reports.append(text),
            interval_s=100.0,
        )

    def _damage(self, group: Any, reason: str) -> None:
        group.damaged = reason
        self.damaged.append(reason)


class Cluster:
    """Three replicas that apply the same entries, each after a delay of its own."""

    def __init__(self, ranges: PartitionRanges = LEFT, entries: int = 1800) -> None:
        self.loop = Loop()
        self.wire = Wire(self.loop, self._handle)
        self.index = 0
        self.refuse: ApiError | None = None
        self.skip: set[int] = set()
        self.slices: list[tuple[int, bytes, bytes]] = []
        self.replicas = [Replica(self, number, ranges) for number in (1, 2, 3)]
        for replica in self.replicas:
            replica.engine.write([*data_of(LEFT, entries), *data_of(RIGHT, 700)])
        self.replicas[0].scrubber.start()

    def propose(self, effects: Effects, done: Any = None) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.index += 1
        index = self.index
        if effects.scrub is not None:
            self.slices.append(effects.scrub)
        for replica in self.replicas:
            if replica.group.replica_id not in self.skip:
                self.loop.call_later(
                    replica.group.replica_id * 0.01,
                    lambda replica=replica: self._apply(replica, index, effects),
                )
        if done is not None:
            self.loop.call_later(0.02, lambda: done(None))

    @staticmethod
    def _apply(replica: Replica, index: int, effects: Effects) -> None:
        replica.engine.write(effects.mutations)
        if effects.scrub is not None:
            replica.scrubber.applied(replica.group, index, effects.scrub)

    def _handle(self, node: int, message: Any, done: Any) -> None:
        replica = self.replicas[node - 11]
        if isinstance(message, ScrubReport):
            replica.scrubber.on_report(message, done)
        else:
            assert isinstance(message, ReplicaDamaged)
            assert (message.partition, message.replica) == (7, replica.group.replica_id)
            replica._damage(replica.group, message.reason)
            done(None)

    @property
    def damaged(self) -> list[int]:
        return [replica.group.replica_id for replica in self.replicas if replica.damaged]

    def write(self, n: int) -> None:
        """A write of the leader, somewhere in the partition."""
        key = keyspace.space_prefix(5, 0) + (n * 7919 % 2**63).to_bytes(8, "big") + b"w%d" % n
        self.propose(Effects([(key, b"value %d" % n if n % 3 else None)], [], None))


def test_equal_replicas_are_left_alone_while_writes_go_on():
    cluster = Cluster()
    for n in range(2000):
        cluster.loop.call_later(100.0 + n * 0.001, lambda n=n: cluster.write(n))
    cluster.loop.run(until=190.0)
    leader = cluster.replicas[0].scrubber
    assert cluster.damaged == []
    assert (leader.passes, leader.undecided) == (1, 0)
    assert leader.slices == len(cluster.slices) > 4
    lows, highs = [low for _, low, _ in cluster.slices], [high for _, _, high in cluster.slices]
    assert lows == [b"", *highs[:-1]]
    assert highs[-1] == END
    cluster.loop.run(until=390.0)
    assert leader.passes == 3


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("change", ["value", "missing", "extra"])
def test_a_replica_that_differs_is_told_so(number: int, change: str):
    cluster = Cluster()
    engine = cluster.replicas[number - 1].engine
    keys = [key for key in contents(engine) if LEFT.owns(key) and key[:1] == b"P"]
    key = keys[len(keys) // 2]
    mutation = {"value": (key, b"flipped"), "missing": (key, None), "extra": (key + b"x", b"")}[change]
    engine.write([mutation])
    cluster.loop.run(until=190.0)
    assert cluster.damaged == [number]
    assert "where the other replicas have" in cluster.replicas[number - 1].damaged[0]
    # A damaged leader scrubs no further.
    assert cluster.replicas[0].scrubber.passes == (0 if number == 1 else 1)


def test_what_is_not_the_partition_s_or_differs_by_right_does_not_count():
    cluster = Cluster()
    window = keyspace.request_window_prefix(7) + b"other"
    foreign = next(key for key in contents(cluster.replicas[1].engine) if RIGHT.owns(key))
    expiry = next(
        key
        for key in contents(cluster.replicas[1].engine)
        if RIGHT.owns(key) and key.startswith(keyspace.space_prefix(5, keyspace.EXPIRY))
    )
    state = keyspace.group_state(7)
    cluster.replicas[1].engine.write([(window, b"1"), (foreign, b"1"), (expiry, b"1"), (state, b"1")])
    cluster.loop.run(until=190.0)
    assert cluster.damaged == []
    assert cluster.replicas[0].scrubber.passes == 1


def test_three_different_replicas_convict_nobody():
    cluster = Cluster(entries=10)
    for number, replica in enumerate(cluster.replicas):
        replica.engine.write([(keyspace.space_prefix(5, 0) + b"\0" * 8, b"%d" % number)])
    cluster.loop.run(until=190.0)
    assert cluster.damaged == []
    assert cluster.replicas[0].scrubber.undecided == 1


def test_a_replica_that_cannot_read_its_data_is_damaged():
    cluster = Cluster(entries=10)

    def view(ranges: Any) -> Any:
        raise EngineError("checksum mismatch")

    cluster.replicas[2].engine.view = view
    cluster.loop.run(until=190.0)
    assert cluster.damaged == [3]
    assert "checksum mismatch" in cluster.replicas[2].damaged[0]
    assert cluster.replicas[2].reports


def test_a_leader_that_cannot_read_its_data_is_damaged():
    cluster = Cluster(entries=10)

    def scan(low: bytes, high: bytes, reverse: bool = False) -> Any:
        raise EngineError("checksum mismatch")

    cluster.replicas[0].engine.scan = scan
    cluster.loop.run(until=190.0)
    assert cluster.damaged == [1]
    assert cluster.slices == []


def test_a_replica_that_is_down_is_waited_for_and_left_out():
    cluster = Cluster(entries=10)
    cluster.skip = {3}
    cluster.loop.run(until=100.0 + CHECK_TIMEOUT_S + 20)
    assert cluster.replicas[0].scrubber.passes == 1
    cluster.replicas[1].engine.write([(keyspace.fill_cursor(7, "gsi:one"), b"other")])
    cluster.loop.run(until=100.0 + CHECK_TIMEOUT_S + 260)
    assert cluster.damaged == []  # one against one
    assert cluster.replicas[0].scrubber.undecided >= 1


def test_a_refused_proposal_ends_the_pass_and_the_next_one_comes():
    cluster = Cluster(entries=10)
    cluster.refuse = internal("not the leader")
    cluster.loop.run(until=150.0)
    assert cluster.slices == []
    cluster.refuse = None
    cluster.loop.run(until=290.0)
    assert cluster.replicas[0].scrubber.passes == 1


@pytest.mark.parametrize(
    "change", [{"serving": False}, {"split": {"at": 1}}, {"damaged": "x"}, {"dropped": True}]
)
def test_groups_that_are_not_led_here_or_are_closed_are_not_scrubbed(change: dict[str, Any]):
    cluster = Cluster(entries=10)
    for name, value in change.items():
        setattr(cluster.replicas[0].group, name, value)
    cluster.loop.run(until=190.0)
    assert cluster.slices == []


def test_late_reports_do_nothing():
    cluster = Cluster(entries=10)
    answers: list[Any] = []
    cluster.replicas[1].scrubber.on_report(ScrubReport(7, 3, 99, 1, 0, 0, ""), answers.append)
    assert answers == [None]
    cluster.loop.run(until=190.0)
    cluster.replicas[0].scrubber.on_report(ScrubReport(7, 3, 99, 1, 0, 0, "broken"), answers.append)
    assert cluster.damaged == []


def test_a_stopped_scrubber_begins_nothing():
    cluster = Cluster()
    cluster.loop.run(until=100.2)
    for replica in cluster.replicas:
        replica.scrubber.stop()
    begun = len(cluster.slices)
    cluster.loop.run(until=500.0)
    assert len(cluster.slices) == begun
