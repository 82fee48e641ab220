"""A cache node against a model, with answers of its tables that are delayed, reordered, and seen by late replicas.

The tables keep every version of an item; an eventually consistent read may see any of the latest. Whatever happens:

- no read returns a state that never was;
- from the answer of a write on, nothing older than it is cached or read at its node, until the key is forgotten for
  another reason than a write: then a late replica may be asked;
- all counted bytes are those of the entries there are, and what the tables have answered is not under way any more.
"""

from __future__ import annotations

from typing import Any

from hashrange_dax.tier import Answer
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hashrange.errors import ApiError
from hashrange.model.throttling import PROVISIONED_TYPE
from tests.unit.dax_tier_support import (
    Node,
    Outcome,
    Sent,
    batch_of,
    get_of,
    put_of,
    schema,
    update_of,
    value_of,
)

KEYS = st.sampled_from("ab")


class Read:
    """A read that a client waits for, and the version of each key below which its answer must not be."""

    def __init__(self, outcome: Outcome, least: dict[str, int]) -> None:
        self.outcome = outcome
        self.least = least


class TierMachine(RuleBasedStateMachine):
    """One node, its clients, and the tables."""

    def __init__(self) -> None:
        super().__init__()
        self.node = Node(schema(), peers=True)
        self.node.tables.held = True
        self.values = 0
        self.reads: list[Read] = []
        self.writes: list[tuple[str, Outcome, str | None, Sent]] = []
        self.least: dict[str, int] = dict.fromkeys("ab", 0)
        """The version of each key that the latest write which has been answered has left."""

    # What clients do.

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        self.reads.append(Read(self.node.start("GetItem", get_of(key)), {key: self.least[key]}))
        self.check()

    @rule(keys=st.sets(KEYS, min_size=1))
    def batch(self, keys: set[str]) -> None:
        outcome = self.node.start("BatchGetItem", batch_of(*sorted(keys)))
        self.reads.append(Read(outcome, {key: self.least[key] for key in keys}))
        self.check()

    @rule(key=KEYS, kind=st.sampled_from(["put", "update", "delete", "transact", "batch"]))
    def write(self, key: str, kind: str) -> None:
        self.values += 1
        value: str | None = str(self.values)
        request: dict[str, Any]
        if kind == "put":
            operation, request = "PutItem", put_of(key, str(value))
        elif kind == "update":
            operation, request = "UpdateItem", update_of(key, str(value))
        elif kind == "delete":
            operation, request, value = "DeleteItem", get_of(key), None
        elif kind == "transact":
            operation, request = "TransactWriteItems", {"TransactItems": [{"Put": put_of(key, str(value))}]}
        else:
            operation = "BatchWriteItem"
            request = {"RequestItems": {"tbl": [{"PutRequest": {"Item": put_of(key, str(value))["Item"]}}]}}
        outcome = self.node.start(operation, request)
        self.writes.append((key, outcome, value, self.node.tables.sent[-1]))

    @rule(key=KEYS)
    def write_past_the_cache(self, key: str) -> None:
        self.values += 1
        self.node.tables.put(key, str(self.values))

    # What the tables do.

    @precondition(lambda self: self.node.tables.sent)
    @rule(data=st.data())
    def carry_out(self, data: st.DataObject) -> None:
        """Any request that was not yet; an eventually consistent read at a replica that may be late."""
        sent = data.draw(st.sampled_from(self.node.tables.sent))
        if sent.reply is None:
            sent.run(data.draw(st.sampled_from([-1, -2, -3])))

    @precondition(lambda self: self.node.tables.sent)
    @rule(data=st.data(), fails=st.sampled_from([False, False, False, True]))
    def answer(self, data: st.DataObject, fails: bool) -> None:
        sent = data.draw(st.sampled_from(self.node.tables.sent))
        if fails and sent.reply is None:
            self.node.tables.fails.append(ApiError(PROVISIONED_TYPE, "too much"))
            if sent.request.get("ConsistentRead") is True:
                self.forgotten(sent.request["Key"]["pk"]["S"])
        sent.answer()
        self.note_writes()
        self.check()

    @rule()
    def drop(self) -> None:
        self.node.tier.clear()
        self.forgotten(*self.least)

    def forgotten(self, *keys: str) -> None:
        """Late replicas may be asked for these keys."""
        for key in keys:
            self.least[key] = 0
            for read in self.reads:
                if key in read.least:
                    read.least[key] = 0

    # What must hold.

    def version_of(self, key: str, value: str | None) -> list[int]:
        """The places in a key's history where it had a value."""
        table = self.node.tables.schemas["tbl"]
        history = self.node.tables.versions.get(("id-1", table.codec.encode({"pk": {"S": key}})), [(0, None)])
        found = [item["v"]["S"] if item is not None else None for _, item in history]
        return [number for number, each in enumerate(found) if each == value]

    def note_writes(self) -> None:
        left = []
        for key, outcome, value, sent in self.writes:
            if not outcome.answers:
                left.append((key, outcome, value, sent))
            elif isinstance(outcome.answers[0], Answer):
                versions = self.version_of(key, value)
                at = versions[0] if value is not None else self._deletion(key, sent)
                self.least[key] = max(self.least[key], at)
        self.writes = left

    def _deletion(self, key: str, sent: Sent) -> int:
        assert sent.reply is not None and not isinstance(sent.reply, ApiError)
        (state,) = sent.reply.states
        history = self.node.tables.versions["id-1", state.key]
        return [stamp for stamp, _ in history].index(state.stamp)

    def check(self) -> None:
        left = []
        for read in self.reads:
            if not read.outcome.answers:
                left.append(read)
                continue
            answer = read.outcome.answers[0]
            if isinstance(answer, ApiError):
                assert answer.type_name == PROVISIONED_TYPE
                continue
            for key, least in read.least.items():
                for value in self._values_in(answer, key):
                    assert max(self.version_of(key, value), default=-1) >= least
        self.reads = left

    def _values_in(self, answer: Answer, key: str) -> list[str | None]:
        if answer.item is not None:
            return [value_of(answer.item)]
        assert answer.groups is not None and answer.unprocessed is not None
        if any(left["pk"]["S"] == key for part in answer.unprocessed.values() for left in part["Keys"]):
            return []
        values = [value_of(entry) for item, entry in answer.groups[0].items if item["pk"]["S"] == key]
        return values or [None]  # type: ignore[return-value]

    @invariant()
    def cached_states_are_not_older_than_answered_writes(self) -> None:
        for key, least in self.least.items():
            entry = self.node.cached(key)
            if entry is not None:
                assert max(self.version_of(key, value_of(entry)), default=-1) >= least

    @invariant()
    def bytes_are_counted(self) -> None:
        store = self.node.store
        entries = [entry for table in store._tables.values() for entry in table.values()]
        assert store.used_bytes == sum(entry.measured() for entry in entries)
        assert store.item_count == len(entries)

    @invariant()
    def nothing_is_under_way_that_the_tables_have_answered(self) -> None:
        if not self.node.tables.sent:
            assert not self.reads
            items = self.node.tier._items
            assert not items._flights and not items._passed

    def teardown(self) -> None:
        while self.node.tables.sent:
            self.node.tables.sent[0].answer()
            self.note_writes()
            self.check()
        self.nothing_is_under_way_that_the_tables_have_answered()
        self.node.tables.held = False
        for key in self.least:
            value = self.node.get(key)
            assert max(self.version_of(key, value), default=-1) >= self.least[key]


TestTier = TierMachine.TestCase
TestTier.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
