"""The catalogue's view, the feed that keeps it, and answers that wait for it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import orjson
import pytest
from hashrange_node.storage import keyspace

from hashrange.errors import unavailable
from hashrange.routing import view as views
from hashrange.routing.feed import CatalogueFeed
from hashrange.routing.settling import SettlingTransport
from hashrange.routing.view import ClusterView
from hashrange.wire.cluster import CatalogueUpdate, WatchCatalogue
from hashrange.wire.faults import Unreachable
from hashrange.wire.messages import ChangeTable, ConflictError, WhenSettled
from tests.unit.routing_support import Time, placement


def table(
    name: str, generation: int = 1, status: str = "ACTIVE", table_id: str = "id", part: int = 7
) -> bytes:
    return orjson.dumps(
        {
            "TableName": name,
            "TableId": table_id,
            "Generation": generation,
            "Status": status,
            "Partitions": [{"id": part, "lo": 0, "hi": 9}],
            "GlobalSecondaryIndexes": [{"Partitions": [{"id": part + 1}]}],
        }
    )


def full(index: int, **tables: bytes) -> CatalogueUpdate:
    entries: list[tuple[bytes, bytes | None]] = [
        (views.NEXT_PARTITION, b"12"),
        (views.PLACEMENT + (7).to_bytes(8, "big"), orjson.dumps(placement(7, [1, 2]))),
        (views.NODE + (1).to_bytes(8, "big"), orjson.dumps({"id": 1, "az": "az1"})),
        (views.CLUSTER, b'{"cluster":"c0ffee"}'),
        *((views.TABLE + name.encode(), value) for name, value in tables.items()),
    ]
    return CatalogueUpdate(index, True, entries)


def test_the_keys_are_those_of_the_engine() -> None:
    assert keyspace.CATALOGUE_PREFIX == views.PREFIX


def test_a_full_update_replaces_everything_and_tells_what_changed() -> None:
    view = ClusterView()
    told: list[Any] = []
    view.on_document.append(lambda name, before, after: told.append((name, before is None, after is None)))
    view.on_placement.append(lambda partition, after: told.append((partition, after is None)))
    assert view.apply(full(5, A=table("A"), B=table("B")))
    assert told == [(7, False), ("A", True, False), ("B", True, False)]
    assert view.index == 5 and view.cluster == "c0ffee" and view.next_partition_id == 12
    assert view.nodes[1]["az"] == "az1" and view.received
    told.clear()
    assert view.apply(full(6, B=table("B", 2)))
    assert sorted(told) == [("A", False, True), ("B", False, False)]
    assert "A" not in view.documents


def test_one_listener_that_fails_leaves_the_others_informed() -> None:
    view = ClusterView()
    told: list[str] = []
    view.on_document.append(lambda name, before, after: 1 // 0)
    view.on_document.append(lambda name, before, after: told.append(name))
    with pytest.raises(ZeroDivisionError):
        view.apply(full(5, A=table("A"), B=table("B")))
    assert told == ["A", "B"] and view.index == 5


def test_updates_follow_on_and_never_go_back() -> None:
    view = ClusterView()
    change = CatalogueUpdate(6, False, [(views.TABLE + b"A", table("A", 2))], 5)
    assert not view.apply(change), "nothing is known that it could follow on"
    view.apply(full(5, A=table("A")))
    assert view.apply(change) and view.documents["A"]["Generation"] == 2
    assert view.apply(full(5, A=table("A"))) and view.documents["A"]["Generation"] == 2
    assert not view.apply(CatalogueUpdate(9, False, [], 8)), "7 and 8 are missing"
    assert view.index == 6


def test_a_partition_is_mentioned_while_a_table_an_index_or_a_placement_has_it() -> None:
    view = ClusterView()
    view.apply(full(5, A=table("A", part=20)))
    assert [p for p in range(30) if view.mentions(p)] == [7, 20, 21]


class Watching:
    """Peers that remember who is followed; their answers are the test's."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.done: Callable[[Any], None] = lambda answer: None
        self.down: set[int] = set()
        self.answer_at_once = True

    def request(self, node: int, message: Any, done: Any, timeout_s: float = 10.0) -> None:
        assert isinstance(message, WatchCatalogue)
        self.asked.append((node, message.after_index))
        self.done = done
        if node in self.down:
            done(Unreachable(node, False))
        elif self.answer_at_once:
            done(None)

    def silent_s(self, node: int) -> float:
        return 0.0

    def is_up(self, node: int) -> bool:
        return node not in self.down


class Feed:
    def __init__(self, nodes: tuple[int, ...] = (1, 2, 3)) -> None:
        self.time, self.peers, self.view = Time(), Watching(), ClusterView()
        self.nodes = nodes
        self.feed = CatalogueFeed(
            self.peers,
            self.view,
            lambda: self.nodes,
            now=self.time.monotonic,
            call_later=self.time.call_later,
            rng=Random(1),
        )


def test_the_feed_follows_a_node_and_moves_on_when_it_goes() -> None:
    with_feed = Feed()
    feed, peers = with_feed.feed, with_feed.peers
    feed.start()
    feed.update(1, full(5, A=table("A")))
    feed.update(2, full(9))
    assert feed.source == 1 and with_feed.view.index == 5, "only who is followed is listened to"
    peers.down = {1}
    feed.node_down(1)
    assert feed.source == 2 and peers.asked == [(1, 0), (2, 5)]
    feed.node_up(2)
    assert peers.asked[-1] == (2, 5), "a new connection is not watched yet"


def test_the_feed_tries_again_while_nobody_answers() -> None:
    with_feed = Feed()
    with_feed.peers.down = {1, 2, 3}
    with_feed.feed.start()
    with_feed.time.advance(10)
    assert {node for node, _ in with_feed.peers.asked} == {1, 2, 3}
    assert 6 <= len(with_feed.peers.asked) <= 20
    with_feed.peers.down = {1, 2}
    with_feed.time.advance(10)
    assert with_feed.feed.source == 3


def test_a_gap_makes_the_feed_ask_again() -> None:
    with_feed = Feed()
    feed = with_feed.feed
    feed.start()
    feed.update(1, full(5))
    feed.update(1, CatalogueUpdate(9, False, [], 7))
    assert with_feed.peers.asked[-1] == (1, 5)
    feed.update(1, CatalogueUpdate(9, False, [], 5))
    assert with_feed.view.index == 9


def test_doubt_asks_another_node_once_a_second() -> None:
    with_feed = Feed()
    feed = with_feed.feed
    feed.start()
    feed.doubt()
    feed.doubt()
    assert [node for node, _ in with_feed.peers.asked] == [1, 2]
    with_feed.time.advance(1)
    feed.doubt()
    assert feed.source == 3
    feed.stop()
    feed.doubt()
    feed.node_down(3)
    assert len(with_feed.peers.asked) == 3


def test_a_late_answer_of_a_node_left_behind_means_nothing() -> None:
    with_feed = Feed()
    feed, peers = with_feed.feed, with_feed.peers
    peers.answer_at_once = False
    feed.start()
    late = peers.done
    feed.node_down(1)
    late(unavailable("gone"))
    peers.done(None)
    assert feed.source == 2


class Held:
    def __init__(self) -> None:
        self.time, self.view = Time(), ClusterView()
        self.view.apply(full(5, Old=table("Old")))
        self.dones: list[Any] = []
        self.transport = SettlingTransport(self, self.view, self.time.call_later)
        self.answers: list[Any] = []

    def send(self, message: Any, done: Any) -> None:
        self.dones.append(done)

    def ask(self, message: Any, answer: Any) -> list[Any]:
        self.transport.send(message, self.answers.append)
        self.dones.pop()(answer)
        return self.answers


def test_the_answer_to_a_change_waits_until_the_view_shows_it() -> None:
    held = Held()
    new = orjson.loads(table("New", 1, "CREATING", "other"))
    assert held.ask(ChangeTable("New", None, new, [9]), new) == []
    held.view.apply(
        CatalogueUpdate(6, False, [(views.TABLE + b"New", table("New", 1, "CREATING", "other"))], 5)
    )
    assert held.answers == [new]
    assert held.ask(WhenSettled("New"), None) == [new]
    held.view.apply(
        CatalogueUpdate(7, False, [(views.TABLE + b"New", table("New", 2, "ACTIVE", "other"))], 6)
    )
    assert held.answers == [new, None]
    held.time.advance(5)
    assert held.answers == [new, None]


def test_an_answer_is_not_held_for_ever() -> None:
    held = Held()
    new = orjson.loads(table("New"))
    held.ask(ChangeTable("New", None, new, [9]), new)
    held.time.advance(3)
    assert held.answers == [new]


def test_a_lost_race_waits_for_news_and_other_errors_do_not() -> None:
    held = Held()
    change = ChangeTable("Old", ("id", 1), orjson.loads(table("Old", 2)), [])
    assert held.ask(change, ConflictError()) == []
    held.view.apply(CatalogueUpdate(6, False, [], 5))
    assert isinstance(held.answers.pop(), ConflictError)
    error = unavailable("x")
    assert held.ask(change, error) == [error]


def test_a_deletion_is_shown_when_the_table_is_gone() -> None:
    held = Held()
    assert held.ask(ChangeTable("Old", ("id", 1), None, []), None) == []
    held.view.apply(CatalogueUpdate(6, False, [(views.TABLE + b"Old", None)], 5))
    assert held.answers == [None]
