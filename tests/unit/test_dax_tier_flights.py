"""Reads that are under way: who joins them, and what becomes of them when a write of their key ends first."""

from __future__ import annotations

import pytest
from hashrange_dax.contracts import Change

from hashrange.errors import ApiError
from hashrange.model.throttling import ON_DEMAND_TYPE
from tests.unit.dax_tier_support import Node, Outcome, batch_of, count_of, get_of, put_of, query_of, value_of


def held(**items: str) -> Node:
    """A node whose tables have items, and answer when they are told to."""
    node = Node()
    for key, value in items.items():
        node.tables.put(key, value)
    node.tables.held = True
    return node


def got(outcome: Outcome) -> str | None:
    return value_of(outcome.answer.item)


def items_of(outcome: Outcome) -> dict[str, str | None]:
    groups = outcome.answer.groups
    assert groups is not None
    return {key["pk"]["S"]: value_of(entry) for group in groups for key, entry in group.items}


def test_concurrent_misses_of_a_key_make_one_read() -> None:
    node = held(a="1")
    gets = [node.start("GetItem", get_of("a")) for _ in range(5)]
    assert len(node.tables.sent) == 1
    assert not any(get.answers for get in gets)
    node.tables.sent[0].answer()
    assert [got(get) for get in gets] == ["1"] * 5
    assert (node.metrics.item_misses, node.metrics.coalesced) == (5, 4)


def test_batches_join_reads_of_their_keys_and_are_joined() -> None:
    node = held(a="1", b="2", c="3")
    first = node.start("GetItem", get_of("a"))
    second = node.start("BatchGetItem", batch_of("a", "b", "c"))
    third = node.start("BatchGetItem", batch_of("b", "c"))
    fourth = node.start("GetItem", get_of("c"))
    assert [sent.request for sent in node.tables.sent] == [get_of("a"), batch_of("b", "c")]
    node.tables.sent[1].answer()
    assert items_of(third) == {"b": "2", "c": "3"}
    assert got(fourth) == "3"
    assert not second.answers
    node.tables.sent[0].answer()
    assert items_of(second) == {"a": "1", "b": "2", "c": "3"}
    assert got(first) == "1"
    assert node.metrics.coalesced == 4


def test_concurrent_misses_of_a_query_make_one_read() -> None:
    node = held(a="1")
    queries = [node.start("Query", query_of()) for _ in range(3)]
    other = node.start("Query", query_of(Limit=1))
    strong = node.start("Query", query_of(ConsistentRead=True))
    assert len(node.tables.sent) == 3
    node.tables.sent[0].answer()
    assert [count_of(query.answer) for query in queries] == [1] * 3
    assert not other.answers and not strong.answers
    assert node.metrics.coalesced == 2


def test_a_failed_query_fails_for_all_who_wait_and_is_sent_again_after_that() -> None:
    node = held(a="1")
    queries = [node.start("Query", query_of()) for _ in range(2)]
    node.tables.fails.append(ApiError("ValidationException", "wrong"))
    node.tables.sent[0].answer()
    for query in queries:
        with pytest.raises(ApiError):
            assert query.answer
    again = node.start("Query", query_of())
    node.tables.sent[0].answer()
    assert count_of(again.answer) == 1


def test_strong_reads_join_nothing() -> None:
    node = held(a="1")
    node.start("GetItem", get_of("a"))
    strong = node.start("GetItem", get_of("a", ConsistentRead=True))
    assert len(node.tables.sent) == 2
    node.tables.sent[1].answer()
    assert got(strong) == "1"
    assert node.cached("a") is None


def test_only_the_first_is_told_of_a_failure_the_others_try_themselves() -> None:
    node = held(a="1")
    first, second, third = (node.start("GetItem", get_of("a")) for _ in range(3))
    node.tables.fails.append(ApiError(ON_DEMAND_TYPE, "too much"))
    node.tables.sent[0].answer()
    with pytest.raises(ApiError, match="too much"):
        assert first.answer
    assert len(node.tables.sent) == 1
    node.tables.sent[0].answer()
    assert (got(second), got(third)) == ("1", "1")


def test_a_key_that_a_batch_left_out_is_read_by_who_waited_for_it() -> None:
    node = held(a="1", b="2")
    batch = node.start("BatchGetItem", batch_of("a", "b"))
    get = node.start("GetItem", get_of("b"))
    node.tables.unprocessed.add(node.tables.schemas["tbl"].codec.encode({"pk": {"S": "b"}}))
    node.tables.sent[0].answer()
    assert items_of(batch) == {"a": "1"}
    assert batch.answer.unprocessed == {"tbl": {"Keys": [{"pk": {"S": "b"}}]}}
    node.tables.sent[0].answer()
    assert got(get) == "2"


def test_a_read_under_way_does_not_overwrite_what_a_write_has_left() -> None:
    node = held(a="old")
    early = node.start("GetItem", get_of("a"))
    (read,) = node.tables.sent
    read.run()
    node.tables.held = False
    node.put("a", "new")
    read.answer()
    assert got(early) == "old"
    assert node.get("a") == "new"
    assert node.metrics.lost_fills == 1


def test_a_read_that_found_nothing_does_not_overwrite_what_a_write_has_left() -> None:
    node = held()
    early = node.start("BatchGetItem", batch_of("a"))
    (read,) = node.tables.sent
    read.run()
    node.tables.held = False
    node.put("a", "new")
    read.answer()
    assert items_of(early) == {}
    assert node.get("a") == "new"


def test_a_read_under_way_does_not_bring_back_what_was_deleted() -> None:
    node = held(a="old")
    node.start("GetItem", get_of("a"))
    (read,) = node.tables.sent
    read.run()
    node.tables.held = False
    node.delete("a")
    read.answer()
    assert node.get("a") is None


def test_who_asks_after_a_write_does_not_wait_for_a_read_from_before_it() -> None:
    """Also where what was written is too large to be cached."""
    node = Node(budget=32_000)
    node.tables.put("a", "old")
    node.tables.held = True
    node.start("GetItem", get_of("a"))
    (read,) = node.tables.sent
    read.run()
    node.tables.held = False
    node.put("a", "x" * 3_000)
    assert node.get("a") == "x" * 3_000
    read.answer()
    assert node.cached("a") is None


def test_a_read_that_ends_before_the_write_it_has_not_seen_is_replaced() -> None:
    node = held(a="old")
    write = node.start("PutItem", put_of("a", "new"))
    node.start("GetItem", get_of("a"))
    put, read = node.tables.sent
    read.answer()
    assert value_of(node.cached("a")) == "old"
    put.answer()
    assert write.answer
    assert value_of(node.cached("a")) == "new"


def test_a_read_that_has_seen_a_write_before_its_answer_is_kept() -> None:
    node = held()
    node.start("PutItem", put_of("a", "new"))
    (put,) = node.tables.sent
    put.run()
    node.start("GetItem", get_of("a"))
    node.tables.sent[1].answer()
    entry = node.cached("a")
    put.answer()
    assert node.cached("a") is entry
    assert value_of(entry) == "new"


def test_forgotten_keys_are_not_filled_by_reads_from_before() -> None:
    for forget in ("drop", "clear"):
        node = held(a="old")
        early = node.start("GetItem", get_of("a"))
        (read,) = node.tables.sent
        read.run()
        if forget == "drop":
            node.tier.drop([("id-1", node.tables.schemas["tbl"].codec.encode({"pk": {"S": "a"}}))])
        else:
            node.tier.clear()
        late = node.start("GetItem", get_of("a"))
        assert len(node.tables.sent) == 2
        read.answer()
        assert got(early) == "old"
        assert node.cached("a") is None
        assert not late.answers
        node.tables.sent[0].answer()
        assert got(late) == "old"


@pytest.mark.parametrize("known", ["older", "newer", "unknown"])
def test_a_read_that_has_seen_something_newer_than_a_write_is_kept(known: str) -> None:
    node = Node()
    node.tables.put("a", "first")
    node.tables.put("a", "read")
    stamp = {"older": 1, "newer": 3, "unknown": 0}[known]
    node.tables.held = True
    node.start("GetItem", get_of("a"))
    (read,) = node.tables.sent
    key = node.tables.schemas["tbl"].codec.encode({"pk": {"S": "a"}})
    node.tier.accept([Change("id-1", key, b'{"pk":{"S":"a"},"v":{"S":"told"}}', stamp, True)])
    read.answer()
    entry = node.cached("a")
    assert (value_of(entry) if entry else None) == {"older": "read", "newer": "told", "unknown": None}[known]
    assert node.metrics.lost_fills == (known != "older")


def test_a_read_that_several_writes_have_passed_must_be_newer_than_all_of_them() -> None:
    node = Node(budget=32_000)
    node.tables.put("a", "first")
    node.tables.put("a", "read")
    node.tables.held = True
    node.start("GetItem", get_of("a"))
    (read,) = node.tables.sent
    key = node.tables.schemas["tbl"].codec.encode({"pk": {"S": "a"}})
    node.tier.accept([Change("id-1", key, b"{}", 1, True), Change("id-1", key, b"x" * 3_000, 9, True)])
    assert node.cached("a") is None
    read.answer()
    assert node.cached("a") is None


def test_an_older_read_answers_with_what_is_known_to_be_newer() -> None:
    node = held(a="old")
    stamp = node.tables.stamp
    get = node.start("GetItem", get_of("a"))
    (read,) = node.tables.sent
    read.run()
    key = node.tables.schemas["tbl"].codec.encode({"pk": {"S": "a"}})
    node.tier.accept([Change("id-1", key, b'{"pk":{"S":"a"},"v":{"S":"told"}}', stamp + 1, False)])
    read.answer()
    assert got(get) == "told"
