"""RoutedTransport: leaders found and followed, replicas failed over, splits followed, deadlines kept."""

from __future__ import annotations

from typing import Any

import pytest

from hashrange.errors import ApiError, unavailable
from hashrange.routing.map import HASH_MAX
from hashrange.routing.retry import RULES, RetryPolicy, may_repeat
from hashrange.wire import capacity, cluster
from hashrange.wire import messages as wire
from hashrange.wire.faults import LeadershipLost, NotLeader, Overloaded, StaleRoute, Unreachable
from hashrange.wire.streams import ReadRecords
from hashrange.wire.transactions import (
    DONE,
    TransactFinish,
    TransactOutcome,
    TransactPrepare,
    TransactRead,
    TransactVersions,
    TransactWrite,
)
from tests.unit.routing_support import Routing, key_of, placement, read, write

MIDDLE = 1 << 63


def test_the_leader_is_found_and_remembered() -> None:
    routing = Routing()
    assert routing.send(read()) == [b"record of " + key_of(5)]
    assert routing.nodes()[-1] == 2
    assert routing.send(read()) and routing.nodes() == [2]
    assert routing.send(write()) and routing.nodes() == [2]


def test_eventual_reads_go_to_the_own_zone_whoever_leads() -> None:
    routing = Routing()
    assert routing.send(read(consistent=False))
    assert routing.nodes() == [1]
    assert routing.places.routes[7].leader is None


def test_an_eventual_read_fails_over_at_once() -> None:
    routing = Routing()
    routing.peers.down = {1}
    assert routing.send(read(consistent=False)) == [b"record of " + key_of(5)]
    assert routing.nodes()[0] == 1


def test_nodes_that_are_down_are_not_preferred() -> None:
    routing = Routing()
    routing.transport.node_down(1)
    routing.send(read(consistent=False))
    assert 1 not in routing.nodes()
    routing.transport.node_up(1)
    routing.send(read(consistent=False))
    assert routing.nodes() == [1]


def test_a_late_eventual_read_is_sent_to_a_second_replica() -> None:
    routing = Routing()
    routing.peers.late = {1}
    answers = routing.send(read(consistent=False))
    assert answers == []
    routing.time.advance(0.1)
    assert answers == [b"record of " + key_of(5)]
    assert routing.transport.counts.hedged == 1
    routing.time.advance(10)
    assert len(answers) == 1


def test_hedging_is_limited_to_a_share() -> None:
    routing = Routing()
    routing.peers.late = {1, 2, 3}
    for _ in range(400):
        routing.send(read(consistent=False))
    routing.time.advance(0.1)
    assert 90 <= routing.transport.counts.hedged <= 145


def test_writes_carry_ids_that_never_repeat_and_stay_over_retries() -> None:
    routing = Routing()
    lost = [LeadershipLost(7)]
    routing.peers.override = lambda node, message: lost.pop() if node == 2 and lost else None
    first, second = write(), write()
    answers = [routing.send(first), routing.send(second)]
    routing.time.advance(0.1)
    assert all(isinstance(each[0], wire.WriteResult) for each in answers)
    assert first.request_id is not None and second.request_id is not None
    assert first.request_id[0] == second.request_id[0] and first.request_id[1] < second.request_id[1]
    sent = [message.request_id for _, message in routing.peers.sent if message is first]
    assert len(sent) >= 3 and len(set(sent)) == 1
    assert len(set(routing.peers.applied)) == 2


@pytest.mark.parametrize(("wait_ms", "patience"), [(0, 1), (1000, 3)])
def test_only_a_reader_that_waits_for_records_is_given_longer(wait_ms: int, patience: int) -> None:
    routing = Routing()
    routing.peers.override = lambda node, message: NotLeader(7, None)
    answers = routing.send(ReadRecords(7, 0, 5, "shard", 0, 10, 1 << 20, wait_ms))
    routing.time.advance(5.5)
    assert len(answers) == (1 if patience == 1 else 0)
    routing.time.advance(5.0 * patience)
    assert [answer.status for answer in answers] == [503]


def test_an_id_given_by_the_sender_is_kept() -> None:
    routing = Routing()
    message = write()
    message.request_id = (1, 2)
    routing.send(message)
    assert routing.peers.applied == [(1, 2)]


def test_a_leader_that_cannot_be_reached_is_tried_elsewhere_at_once() -> None:
    routing = Routing()
    routing.send(read())
    routing.peers.down = {2}
    routing.peers.leaders[7] = 3
    routing.nodes()
    assert routing.send(write())
    assert routing.nodes()[0] == 2
    assert routing.send(write()) and routing.nodes() == [3]


def test_hints_that_go_in_circles_end_in_a_pause() -> None:
    routing = Routing()
    circle = {1: 2, 2: 1, 3: 1}
    routing.peers.override = lambda node, message: NotLeader(7, circle[node])
    answers = routing.send(read())
    assert answers == [] and len(routing.nodes()) == 3
    routing.peers.override = lambda node, message: None
    routing.time.advance(0.05)
    assert len(answers) == 1


def test_without_a_leader_the_answer_comes_within_the_deadline_and_names_the_partition() -> None:
    routing = Routing()
    routing.peers.leaders[7] = None
    answers = routing.send(write())
    routing.time.advance(4.9)
    assert answers == []
    routing.time.advance(0.6)
    (error,) = answers
    assert error.status == 503 and error.type_name == "ServiceUnavailable"
    assert "partition 7 of table T" in error.message and "leader" in error.message
    assert not routing.transport.waiting


def test_that_there_is_no_leader_says_more_than_that_a_node_is_down() -> None:
    routing = Routing()
    routing.peers.leaders[7] = None
    routing.peers.down = {2, 3}
    answers = routing.send(write())
    routing.time.advance(6)
    assert answers[0].status == 503 and "has no leader" in answers[0].message


def test_a_write_whose_outcome_stays_unknown_ends_in_500() -> None:
    routing = Routing()
    routing.peers.override = lambda node, message: Unreachable(node, True)
    answers = routing.send(write())
    routing.time.advance(6)
    (error,) = answers
    assert error.status == 500 and error.type_name == "InternalServerError"


def test_a_read_never_ends_in_500() -> None:
    routing = Routing()
    routing.peers.override = lambda node, message: Unreachable(node, True)
    answers = routing.send(read())
    routing.time.advance(6)
    assert answers[0].status == 503


def test_who_waits_goes_on_as_soon_as_a_leader_is_known() -> None:
    routing = Routing()
    routing.peers.leaders[7] = None
    waiting = [routing.send(write()) for _ in range(5)]
    routing.time.advance(2.0)
    routing.peers.leaders[7] = 1
    assert routing.send(write())  # a new request finds it, and wakes the others
    assert all(len(answers) == 1 for answers in waiting)
    assert not routing.transport.waiting


@pytest.mark.parametrize("fault", [Overloaded("the queue is full"), unavailable("being split")])
def test_an_overloaded_leader_is_asked_again_after_a_pause_and_nobody_else(fault: ApiError) -> None:
    routing = Routing()
    routing.send(read())
    routing.nodes()
    busy = [fault]
    routing.peers.override = lambda node, message: busy.pop() if busy else None
    answers = routing.send(write())
    assert answers == []
    routing.time.advance(0.05)
    assert len(answers) == 1 and routing.nodes() == [2, 2]


def test_a_leader_that_stays_overloaded_says_why() -> None:
    routing = Routing()
    routing.peers.override = lambda node, message: unavailable("The partition is being split")
    answers = routing.send(write())
    routing.time.advance(6)
    assert answers[0].status == 503 and "being split" in answers[0].message
    assert "partition 7 of table T" in answers[0].message


def test_a_silent_leader_is_not_waited_for() -> None:
    routing = Routing()
    routing.send(read())
    routing.peers.silent = {2}
    answers = routing.send(write())
    routing.peers.leaders[7] = 3
    routing.time.advance(1.0)
    assert isinstance(answers[0], wire.WriteResult)
    assert routing.transport.counts.abandoned == 1
    routing.time.advance(10)
    assert len(answers) == 1


def test_a_silent_node_is_preferred_again_when_it_is_heard() -> None:
    routing = Routing()
    routing.peers.silent = {1}
    routing.send(read(consistent=False))
    routing.time.advance(1.0)
    routing.nodes()
    routing.send(read(consistent=False))
    assert 1 not in routing.nodes()
    routing.peers.silent = set()
    routing.peers.leaders[7] = None
    routing.send(write())  # something is under way, so that the timer runs
    routing.time.advance(1.0)
    routing.nodes()
    routing.send(read(consistent=False))
    assert routing.nodes() == [1]


def test_the_late_answer_of_a_silent_leader_is_welcome() -> None:
    routing = Routing()
    routing.send(read())
    routing.peers.silent = {2}
    routing.peers.leaders[7] = None
    answers = routing.send(write())
    routing.time.advance(1.0)
    done = routing.peers.held[0][2]
    done(wire.WriteResult(0, 1))
    assert len(answers) == 1
    routing.time.advance(10)
    assert len(answers) == 1


def test_the_late_failure_of_an_attempt_given_up_changes_nothing() -> None:
    routing = Routing()
    routing.peers.silent = {1, 2, 3}
    answers = routing.send(read())
    while len(routing.peers.held) < 3:
        routing.time.advance(0.1)
    routing.time.advance(0.3)
    routing.nodes()
    done = routing.peers.held[1][2]
    done(NotLeader(7, None))
    assert answers == [] and routing.nodes() == []


def test_peers_that_never_answer_do_not_keep_a_call_for_ever() -> None:
    routing = Routing(RetryPolicy(silence_s=float("inf")))
    routing.peers.request = lambda node, message, done, timeout_s=0.0: None  # type: ignore[method-assign]
    routing.transport._request = routing.peers.request
    answers = routing.send(read())
    routing.time.advance(10)
    assert answers[0].status == 503
    assert routing.time.timers == 0


def test_no_timer_stays_when_all_is_answered() -> None:
    routing = Routing()
    for _ in range(10):
        routing.send(read())
    routing.time.advance(1)
    assert routing.time.timers == 0


def test_other_errors_are_passed_on_as_they_are() -> None:
    routing = Routing()
    failure = ApiError("ConditionalCheckFailedException", "no")
    routing.peers.override = lambda node, message: failure
    assert routing.send(write()) == [failure]


def test_a_split_is_followed_by_hash() -> None:
    routing = Routing()
    routing.peers.split(7, MIDDLE, (8, 9))
    assert routing.send(read(5)) == [b"record of " + key_of(5)]
    message = write(MIDDLE)
    assert isinstance(routing.send(message)[0], wire.WriteResult)
    assert message.partition == 7, "the sender's message is left alone"
    routing.nodes()
    routing.send(read(MIDDLE + 1))
    assert routing.nodes() == [2], "what a split made is known at once for the next message"


def test_splits_of_splits_are_followed_after_the_parents_are_gone() -> None:
    routing = Routing()
    routing.peers.split(7, MIDDLE, (8, 9))
    routing.send(read(5))
    routing.peers.split(8, 1 << 62, (10, 11))
    routing.send(read(5))
    for partition in (7, 8):
        del routing.peers.placements[partition]
        routing.places.remove(partition)
    assert routing.send(read(5)) == [b"record of " + key_of(5)]
    assert routing.send(read(MIDDLE)) == [b"record of " + key_of(MIDDLE)]


def test_index_entries_are_dealt_out_after_a_split() -> None:
    routing = Routing()
    routing.peers.split(7, MIDDLE, (8, 9))
    entries: list[Any] = [(key_of(1), b"", 1), (key_of(MIDDLE), b"", 1), (key_of(2), None, 1)]
    assert routing.send(wire.WriteEntries(7, 0, entries)) == [None]
    assert sorted(partition for partition, _ in routing.peers.applied) == [8, 8, 9]


def of_transaction(kind: str, *hashes: int) -> Any:
    """A message of a transaction about items of partition 7."""
    txid = b"t" * 16
    if kind == "read":
        return TransactRead(7, 0, [key_of(each) for each in hashes])
    actions = [write(each) for each in hashes]
    return TransactWrite(7, 0, txid, actions) if kind == "write" else TransactPrepare(7, 0, txid, 5, actions)


@pytest.mark.parametrize("kind", ["write", "prepare", "read"])
def test_a_transaction_goes_to_the_leader_and_follows_a_split_as_a_whole(kind: str) -> None:
    routing = Routing()
    message = of_transaction(kind, 5, 6)
    answer = TransactVersions if kind == "read" else TransactOutcome
    assert isinstance(routing.send(message)[0], answer) and routing.nodes()[-1] == 2
    routing.peers.split(7, MIDDLE, (8, 9))
    assert isinstance(routing.send(message)[0], answer)
    assert routing.peers.sent[-1][1].partition == 8 and message.partition == 7
    assert isinstance(routing.send(of_transaction(kind, MIDDLE, MIDDLE + 1))[0], answer)
    assert routing.peers.sent[-1][1].partition == 9


@pytest.mark.parametrize("kind", ["write", "prepare", "read"])
def test_a_transaction_that_a_split_divides_goes_back_to_its_sender_at_once(kind: str) -> None:
    routing = Routing()
    routing.peers.split(7, MIDDLE, (8, 9))
    (answer,) = routing.send(of_transaction(kind, 5, MIDDLE))
    assert isinstance(answer, StaleRoute) and answer.partition == 7
    routing.nodes()
    (answer,) = routing.send(of_transaction(kind, 5, MIDDLE))
    assert isinstance(answer, StaleRoute) and routing.nodes() == [], "nobody need be asked again"
    assert not routing.transport.waiting


def test_the_end_of_a_transaction_is_dealt_out_after_a_split() -> None:
    routing = Routing()
    routing.peers.split(7, MIDDLE, (8, 9))
    message = TransactFinish(7, 0, b"t" * 16, True, [1, MIDDLE, 2])
    assert routing.send(message) == [None]
    sent = [each for _, each in routing.peers.sent if each.partition != 7]
    assert {(each.partition, *each.hashes) for each in sent} == {(8, 1, 2), (9, MIDDLE)}
    assert all(each.commit and each.txid == b"t" * 16 for each in sent)
    assert message.partition == 7, "the sender's message is left alone"


@pytest.mark.parametrize(
    "message", [wire.WriteEntries(7, 0, [(key_of(1), b"", 1)]), TransactFinish(7, 0, b"t" * 16, True, [1])]
)
def test_what_is_dealt_out_asks_for_the_heirs_of_a_split_that_are_not_known(message: Any) -> None:
    routing = Routing()
    parent = routing.peers.placements[7]
    routing.peers.split(7, MIDDLE, (8, 9))
    routing.places.put({**parent, "successors": [8, 9], "conf": 2})
    assert routing.send(message) == [None]


@pytest.mark.parametrize("fault", [LeadershipLost(7), Unreachable(2, True)])
def test_a_transaction_is_sent_again_whatever_became_of_it(fault: ApiError) -> None:
    routing = Routing()
    faults = [fault]
    routing.peers.override = lambda node, message: faults.pop() if node == 2 and faults else None
    answers = routing.send(of_transaction("write", 5))
    routing.time.advance(0.1)
    assert answers[0].verdict == DONE


def test_a_transaction_whose_outcome_stays_unknown_ends_in_500() -> None:
    routing = Routing()
    routing.peers.override = lambda node, message: Unreachable(node, True)
    answers = routing.send(of_transaction("write", 5))
    routing.time.advance(6)
    assert answers[0].status == 500


def test_a_query_is_followed_and_a_range_over_the_split_is_given_back() -> None:
    routing = Routing()
    routing.peers.split(7, MIDDLE, (8, 9))
    query = wire.ReadRange(7, 0, 0, key_of(MIDDLE, b"a"), key_of(MIDDLE, b"b"))
    query.max_bytes = 1
    assert isinstance(routing.send(query)[0], wire.RangeResult)
    scan = wire.ReadRange(7, 0, 0, key_of(0, b""), b"\xff" * 9)
    (answer,) = routing.send(scan)
    assert isinstance(answer, StaleRoute)
    last = wire.ReadRange(7, 0, 0, key_of(5, b"a"), key_of(MIDDLE, b""))
    last.max_bytes = 1
    assert isinstance(routing.send(last)[0], wire.RangeResult), "it ends where the first child does"


def test_an_unknown_partition_waits_for_its_placement() -> None:
    routing = Routing(known=False)
    answers = routing.send(write())
    assert answers == [] and routing.doubts == 1
    routing.places.put(routing.peers.placements[7])
    routing.transport.placed(7)
    assert isinstance(answers[0], wire.WriteResult)


def test_a_partition_nobody_needs_any_more_is_a_table_that_is_gone() -> None:
    routing = Routing()
    routing.peers.dropped.add(7)
    answers = routing.send(write())
    assert answers == [] and routing.doubts == 1
    routing.gone.add(7)
    routing.places.remove(7)
    routing.transport.placed(7)
    assert answers[0].type_name == "ResourceNotFoundException"


def test_a_partition_that_no_node_has_ends_in_503() -> None:
    routing = Routing()
    routing.peers.dropped.add(7)
    answers = routing.send(read())
    routing.time.advance(6)
    assert answers[0].status == 503 and "partition 7" in answers[0].message


def test_a_moved_replica_is_followed_when_its_placement_comes() -> None:
    routing = Routing()
    routing.send(read())
    moved = placement(7, [4, 5, 6], conf=2)
    routing.peers.placements[7] = moved
    routing.peers.leaders[7] = 5
    answers = routing.send(write())
    assert answers == []
    assert routing.places.put(moved) and not routing.places.put(placement(7, [1, 2, 3], conf=1))
    routing.transport.placed(7)
    assert isinstance(answers[0], wire.WriteResult)


def test_control_messages_find_the_leader_of_the_control_plane() -> None:
    routing = Routing()
    assert routing.send(cluster.ClusterStatus()) == [b"done"]
    assert routing.nodes()[-1] == 3
    assert routing.send(wire.TableStatistics("T")) == [b"done"] and routing.nodes() == [3]
    assert routing.send(capacity.CapacityReport("r", 1, [])) == [b"done"] and routing.nodes() == [3]


def test_a_command_whose_outcome_is_unknown_is_not_repeated() -> None:
    routing = Routing()
    routing.send(cluster.ClusterStatus())
    routing.nodes()
    routing.peers.override = lambda node, message: Unreachable(node, True)
    (error,) = routing.send(cluster.ClusterCommand("balance", {}))
    assert error.status == 500 and routing.nodes() == [3]


def test_a_command_that_was_not_carried_out_is_repeated() -> None:
    routing = Routing()
    assert routing.send(cluster.ClusterCommand("balance", {})) == [b"done"]


@pytest.mark.parametrize(
    "fault", [NotLeader(7, None), StaleRoute(7, []), Overloaded(""), Unreachable(1, False)]
)
def test_what_was_not_done_may_always_be_repeated(fault: Any) -> None:
    assert all(may_repeat(rule, fault) for rule in RULES.values())


def test_pauses_double_up_to_a_bound() -> None:
    policy = RetryPolicy()
    assert [round(policy.pause_s(n, 1.0) * 1000) for n in (1, 2, 3, 4, 5, 6, 7, 50)] == [
        20, 40, 80, 160, 320, 640, 640, 640
    ]  # fmt: skip
    assert policy.pause_s(1, 0.0) == 0.01


def test_locate_narrows_a_partition_to_what_a_split_made_of_it() -> None:
    from hashrange.model.table import Partition

    routing = Routing()
    whole = Partition(7, 0, HASH_MAX)
    assert routing.places.locate(whole, key_of(3)) is whole
    routing.places.close(7, [placement(8, [1], 0, MIDDLE - 1), placement(9, [1], MIDDLE, HASH_MAX)])
    assert routing.places.locate(whole, key_of(3)) == Partition(8, 0, MIDDLE - 1)
    assert routing.places.locate(whole, key_of(MIDDLE)) == Partition(9, MIDDLE, HASH_MAX)
