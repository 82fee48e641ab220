"""Scans under splits see every key once; messages under faults are answered once, in time."""

from __future__ import annotations

from typing import Any

import orjson
from hashrange_router.api.call import Call
from hashrange_router.api.context import RouterContext
from hashrange_router.api.query import RangeOperations
from hashrange_router.api.tables_create import plan_create
from hashrange_router.api.tables_plan import Site
from hashrange_router.api.tables_quotas import Quotas
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hashrange.errors import ApiError, unavailable
from hashrange.model.table_document import ACTIVE, revised
from hashrange.routing.retry import outcome_unknown
from hashrange.wire.cluster import ClusterCommand
from hashrange.wire.faults import (
    LeadershipLost,
    NotLeader,
    Overloaded,
    RoutingError,
    StaleRoute,
    Unreachable,
)
from tests.unit.routing_support import Routing, hash_at, read, write

DOCUMENT = plan_create(
    {
        "TableName": "Tab",
        "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    },
    now=0.0,
    table_id="id",
    region="us-east-1",
    account="0" * 12,
    next_partition_ids=lambda: 7,
)


class Table:
    """A table of fakes that splits while it is read; the router learns of a split in several ways, or late."""

    def __init__(self, count: int) -> None:
        self.routing = Routing()
        self.context = RouterContext(Site("us-east-1", "0" * 12, Quotas()), "2026", lambda: 0.0, lambda: "id")
        self.document: dict[str, Any] = {**DOCUMENT, "Status": ACTIVE}
        self.context.follow("Tab", None, self.document)
        self.context.locate = self.routing.places.locate
        self.codec = self.context.tables["Tab"].codec
        self.next_id = 8
        for number in range(count):
            item = {"k": {"S": f"key {number}"}}
            self.routing.peers.records[self.codec.encode(item)] = orjson.dumps(item)

    def live(self) -> list[int]:
        return [p for p, place in self.routing.peers.placements.items() if p and "successors" not in place]

    def split(self, choice: int, at_key: int, beside: int, told: int) -> None:
        """Split a partition at or beside a key; tell nobody, the map, or the table's document; or drop parents."""
        peers = self.routing.peers
        partition = self.live()[choice % len(self.live())]
        place = peers.placements[partition]
        keys = sorted(peers.records)
        at = hash_at(keys[at_key % len(keys)]) + beside if keys else 1 << 63
        if not place["lo"] < at <= place["hi"]:
            return
        children = (self.next_id, self.next_id + 1)
        self.next_id += 2
        peers.split(partition, at, children)
        if told >= 1:
            for each in (*children, partition):
                self.routing.places.put(peers.placements[each])
        if told >= 2:
            self.publish()
        if told >= 3:
            for parent in [p for p, each in peers.placements.items() if "successors" in each]:
                del peers.placements[parent]
                self.routing.places.remove(parent)

    def publish(self) -> None:
        """The catalogue's document has what the placements say."""
        before, self.document = self.document, revised(self.document)
        for partition in self.live():
            self.routing.places.put(self.routing.peers.placements[partition])
        places = sorted(
            (self.routing.peers.placements[p] for p in self.live()), key=lambda place: place["lo"]
        )
        self.document["Partitions"] = [{name: p[name] for name in ("id", "lo", "hi")} for p in places]  # type: ignore[literal-required]
        self.context.follow("Tab", before, self.document)

    def page(self, request: dict[str, Any]) -> dict[str, Any]:
        replies: list[Any] = []
        call = Call("Scan", None, self.routing.transport, lambda call, outcome: replies.append(outcome))
        call.run(RangeOperations(self.context).scan(call, request))
        assert len(replies) == 1 and isinstance(replies[0], bytes), replies
        reply: dict[str, Any] = orjson.loads(replies[0])
        return reply


Splits = st.lists(
    st.none() | st.tuples(st.integers(0, 9), st.integers(0, 99), st.integers(-1, 1), st.integers(0, 3)),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(
    count=st.integers(0, 40), splits=Splits, limit=st.none() | st.integers(1, 15), segments=st.integers(1, 3)
)
@example(
    count=1, splits=[(0, 0, 0, 0), (0, 0, 1, 0), None], limit=1, segments=1
)  # a child that was split itself
def test_a_scan_sees_every_key_once_whatever_splits(
    count: int, splits: list[Any], limit: int | None, segments: int
) -> None:
    table = Table(count)
    pending = list(splits)

    def next_split() -> None:
        if pending:
            split = pending.pop()
            if split is not None:
                table.split(*split)

    table.routing.peers.before_answer = next_split
    seen: list[str] = []
    for segment in range(segments):
        request: dict[str, Any] = {"TableName": "Tab", "Segment": segment, "TotalSegments": segments}
        if limit is not None:
            request["Limit"] = limit
        while True:
            reply = table.page(dict(request))
            seen += [item["k"]["S"] for item in reply["Items"]]
            if "LastEvaluatedKey" not in reply:
                break
            request["ExclusiveStartKey"] = reply["LastEvaluatedKey"]
            next_split()
    assert sorted(seen) == sorted(f"key {number}" for number in range(count))


@settings(max_examples=100, deadline=None)
@given(splits=Splits, hashes=st.lists(st.integers(0, (1 << 64) - 1), min_size=1, max_size=10))
def test_every_hash_has_one_owner_whatever_splits(splits: list[Any], hashes: list[int]) -> None:
    table = Table(30)
    for split in splits:
        if split is not None:
            table.split(*split[:3], 1)
    for hash_value in hashes:
        heir = table.routing.places.heir(7, hash_value)
        assert heir is not None
        owners = [
            p
            for p in table.live()
            if table.routing.peers.placements[p]["lo"]
            <= hash_value
            <= table.routing.peers.placements[p]["hi"]
        ]
        assert owners == [heir.partition]


FAULTS: list[Any] = [
    NotLeader(7, None),
    NotLeader(7, 1),
    NotLeader(7, 2),
    NotLeader(7, 9),
    StaleRoute(7, []),
    LeadershipLost(7),
    Unreachable(1, False),
    Unreachable(1, True),
    Overloaded("full"),
    unavailable("being split"),
    ApiError("ConditionalCheckFailedException", "no"),
    "late",
    None,
]


@settings(max_examples=200, deadline=None)
@given(
    plan=st.lists(st.sampled_from(FAULTS), max_size=60),
    steps=st.lists(
        st.tuples(st.sampled_from("rewqkcn"), st.floats(0, 1), st.integers(0, 3)), min_size=1, max_size=25
    ),
)
def test_every_message_is_answered_once_and_in_time_whatever_happens(
    plan: list[Any], steps: list[tuple[str, float, int]]
) -> None:
    """Nodes that fail, contradict one another, answer late or never; a partition that splits; silence."""
    routing = Routing()
    peers, time = routing.peers, routing.time
    pending = list(plan)
    uncertain: set[int] = set()

    def request(node: int, message: Any, done: Any, timeout_s: float = 10.0) -> None:
        assert id(message) not in uncertain, "sent again though its outcome was unknown"
        fault = pending.pop() if pending else None
        if node in peers.silent or fault == "late":
            peers.held.append((node, message, done))
            time.call_later(timeout_s, lambda: done(Unreachable(node, True)))
            return
        answer = fault if fault is not None else peers.answer(node, message)
        if (
            isinstance(answer, RoutingError)
            and outcome_unknown(answer)
            and isinstance(message, ClusterCommand)
        ):
            uncertain.add(id(message))
        done(answer)

    routing.transport._request = peers.request = request  # type: ignore[method-assign]
    sent: list[tuple[float, list[Any], float, Any]] = []
    for kind, pause, number in steps:
        message: Any = None
        if kind == "r":
            message = read(number)
        elif kind == "e":
            message = read(number, consistent=False)
        elif kind == "w":
            message = write((1 << 63) + number)
        elif kind == "q":
            message = ClusterCommand("balance", {})
        elif kind == "k":
            peers.silent = {number}
        elif kind == "c":
            routing.transport.node_down(number) if number % 2 else routing.transport.node_up(number)
        elif 7 in peers.placements and "successors" not in peers.placements[7]:
            peers.split(7, 1 << 63, (8, 9))
        if message is not None:
            sent.append((time.now, routing.send(message), routing.transport.policy.deadline_s, message))
        time.advance(pause)
        for start, answers, deadline_s, _ in sent:
            assert len(answers) <= 1
            assert answers or time.now <= start + deadline_s + 1.0
    time.advance(20.0)
    for _, answers, _, _ in sent:
        assert len(answers) == 1
        assert not isinstance(answers[0], RoutingError), "faults are never shown to clients"
    assert not routing.transport.waiting and time.timers == 0
