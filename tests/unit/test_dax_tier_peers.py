"""What a tier tells the other nodes of its cluster, and what it takes in from them."""

from __future__ import annotations

import orjson
import pytest
from hashrange_dax.contracts import BackendDone, BackendReply, Change, Request

from hashrange.errors import ApiError, internal
from hashrange.model.item_state import ItemState
from tests.unit.dax_tier_support import Node, batch_of, get_of, put_of, value_of


def key_of(node: Node, key: str) -> bytes:
    return node.tables.schemas["tbl"].codec.encode({"pk": {"S": key}})


def change(node: Node, value: str | None, stamp: int, written: bool = True, key: str = "a") -> Change:
    item = None if value is None else orjson.dumps({"pk": {"S": key}, "v": {"S": value}})
    return Change("id-1", key_of(node, key), item, stamp, written)


class Forwarding:
    """A node that is not the primary: its writes are made at another one's tier."""

    def __init__(self, primary: Node) -> None:
        self.primary = primary
        self.changes: list[Change] = []
        self.fails: ApiError | None = None

    def write(self, operation: str, request: Request, done: BackendDone) -> None:
        if self.fails is not None:
            done(self.fails)
            return
        self.primary.tier.write_here(operation, request, done)

    def tell(self, changes: list[Change]) -> None:
        self.changes += changes

    def invalidated(self, keys: list[tuple[str, bytes]]) -> None:
        raise AssertionError("only who makes a write tells of it")


def two_nodes() -> tuple[Node, Node, Forwarding]:
    """A replica and its primary, on the same tables."""
    primary, replica = Node(peers=True), Node()
    replica.tables = primary.tables
    forwarding = Forwarding(primary)
    replica.tier.coherence = forwarding  # type: ignore[assignment]
    for part in (replica.tier._gets, replica.tier._queries):
        part._backend = primary.tables
    replica.tier.backend = primary.tables
    return replica, primary, forwarding


def test_writes_and_fills_are_told() -> None:
    node = Node(peers=True)
    node.put("a", "1")
    node.delete("b")
    node.tables.put("c", "1")
    node.get("c")
    node.batch("c", "d")
    told = [(each.key, each.item_json is None, each.stamp, each.written) for each in node.peers.changes]
    assert told == [
        (key_of(node, "a"), False, 1, True),
        (key_of(node, "b"), True, 2, True),
        (key_of(node, "c"), False, 3, False),
        (key_of(node, "d"), True, 0, False),
    ]


def test_hits_strong_reads_and_queries_tell_nothing() -> None:
    node = Node(peers=True)
    node.get("a")
    node.peers.changes.clear()
    node.get("a")
    node.get("b", ConsistentRead=True)
    node.batch("c", ConsistentRead=True)
    node.query()
    assert node.peers.changes == []


def test_what_is_told_is_taken_in_and_never_told_again() -> None:
    node = Node(peers=True)
    node.tier.accept([change(node, "1", 5), change(node, None, 6, key="b")])
    assert (node.get("a"), node.get("b")) == ("1", None)
    assert node.tables.log == []
    assert node.peers.changes == []
    assert node.metrics.told_changes == 2


@pytest.mark.parametrize("written", [True, False])
def test_the_newest_stamp_wins(written: bool) -> None:
    node = Node()
    node.tier.accept([change(node, "5", 5)])
    node.tier.accept([change(node, "4", 4, written)])
    assert node.get("a") == "5"
    node.tier.accept([change(node, "6", 6, written)])
    assert node.get("a") == "6"
    node.tier.accept([change(node, None, 7, written)])
    assert node.get("a") is None
    node.tier.accept([change(node, "6", 6, written)])
    assert node.get("a") is None


def test_an_absence_that_was_read_replaces_nothing() -> None:
    node = Node()
    node.tier.accept([change(node, None, 0, written=False)])
    assert node.get("a") is None
    node.tier.accept([change(node, "1", 1, written=False)])
    node.tier.accept([change(node, None, 0, written=False)])
    assert node.get("a") == "1"


def test_an_absence_that_a_transaction_left_replaces_what_was_there() -> None:
    node = Node()
    node.tier.accept([change(node, "1", 5)])
    node.tier.accept([change(node, None, 0)])
    assert node.get("a") is None


def test_a_written_item_of_unknown_age_makes_its_key_unknown() -> None:
    node = Node()
    node.tables.put("a", "the table's")
    node.tier.accept([change(node, "1", 5)])
    node.tier.accept([change(node, "2", 0)])
    assert node.cached("a") is None
    assert node.get("a") == "the table's"


def test_what_is_told_of_an_expired_entry_is_taken_in() -> None:
    node = Node()
    node.tier.accept([change(node, "5", 5)])
    node.clock.advance(301)
    node.tier.accept([change(node, "4", 4, written=False)])
    assert node.get("a") == "4"


def test_a_node_that_has_a_write_made_elsewhere_has_its_state_when_it_answers() -> None:
    replica, primary, forwarding = two_nodes()
    replica.put("a", "1")
    assert value_of(replica.cached("a")) == value_of(primary.cached("a")) == "1"
    assert forwarding.changes == []
    assert [each.written for each in primary.peers.changes] == [True]
    replica.run("TransactWriteItems", {"TransactItems": [{"Put": put_of("a", "2")}]})
    assert replica.cached("a") is None
    assert primary.peers.dropped == [("id-1", key_of(primary, "a"))]
    assert value_of(primary.cached("a")) == "2"
    assert replica.get("a") == "2"


def test_a_forwarded_write_whose_outcome_nobody_knows_has_its_key_forgotten() -> None:
    replica, _, forwarding = two_nodes()
    replica.put("a", "1")
    forwarding.fails = internal("the link to the primary was lost")
    with pytest.raises(ApiError, match="link"):
        replica.delete("a")
    assert replica.cached("a") is None


def test_forgotten_keys_are_read_again() -> None:
    node = Node(peers=True)
    node.put("a", "1")
    node.tables.put("a", "2")
    node.tier.drop([("id-1", key_of(node, "a")), ("id-1", key_of(node, "b"))])
    assert node.get("a") == "2"
    node.tables.put("a", "3")
    node.tier.clear()
    assert node.get("a") == "3"
    assert node.peers.dropped == []


def test_the_table_of_a_told_item_is_known_when_it_is_asked_for() -> None:
    node = Node()
    node.tier.accept([change(node, "1", 5)])
    entry = node.cached("a")
    assert entry is not None and entry.table is None
    table = node.tables.schemas["tbl"]
    assert node.tier.hit(table, entry.key) is entry
    assert entry.table is table
    node.tier.accept([change(node, "1", 6)])
    answer = node.run("GetItem", get_of("a"))
    assert answer.item is not None and answer.item.table is table
    node.tier.accept([change(node, "1", 7)])
    groups = node.run("BatchGetItem", batch_of("a")).groups
    assert groups is not None and groups[0].items[0][1].table is table


def test_states_of_writes_made_elsewhere_are_applied_once() -> None:
    """The reply and what the primary tells everybody say the same."""
    node = Node()
    state = ItemState(node.tables.schemas["tbl"], key_of(node, "a"), b'{"pk":{"S":"a"},"v":{"S":"1"}}', 5)

    class Elsewhere(Forwarding):
        def write(self, operation: str, request: Request, done: BackendDone) -> None:
            done(BackendReply(b"{}", [state]))

    node.tier.coherence = Elsewhere(node)  # type: ignore[assignment]
    node.put("a", "1")
    entry = node.cached("a")
    node.tier.accept([Change("id-1", state.key, state.item_json, 5, True)])
    assert node.cached("a") is entry
