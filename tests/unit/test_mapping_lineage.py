"""Which shards may be processed, where they begin, and how pools divide them."""

from __future__ import annotations

from hashrange_router.triggers.mapping.lineage import SKEW_MS, LeaseRow, begins_at, fair_share, plan, surplus

from hashrange.wire.streams import Shard


def shard(name: str, parent: str | None = None, opened: int = 0, closed: int | None = None) -> Shard:
    return Shard(name, "l", "KEYS_ONLY", 1, 0, parent, 1, opened, None if closed is None else 9, closed)


def row(name: str, done: bool = False) -> LeaseRow:
    return LeaseRow(name, None, 0, 1, done)


def ready(shards: list[Shard], rows: list[LeaseRow], latest_from_ms: int | None = None) -> list[str]:
    return [each.id for each in plan(shards, {one.shard: one for one in rows}, latest_from_ms).ready]


FAMILY = [shard("a", closed=5), shard("b", "a"), shard("c", "a", closed=7), shard("d", "c")]


def test_children_come_after_their_parents() -> None:
    assert ready(FAMILY, []) == ["a"]
    assert ready(FAMILY, [row("a")]) == ["a"]
    assert ready(FAMILY, [row("a", done=True)]) == ["b", "c"]
    assert ready(FAMILY, [row("a", done=True), row("c", done=True), row("b")]) == ["b", "d"]


def test_a_parent_that_is_trimmed_away_is_finished_unless_somebody_has_it() -> None:
    assert ready(FAMILY[1:], []) == ["b", "c"]
    assert ready(FAMILY[1:], [row("a")]) == []
    todo = plan(FAMILY[1:], {"a": row("a"), "z": row("z", done=True)}, None)
    assert (todo.vanished, todo.stale) == (["a"], ["z"])


def test_what_was_closed_long_before_has_nothing_for_latest() -> None:
    shards = [shard("a", closed=1000), shard("b", "a", opened=1000)]
    assert ready(shards, [], 1000 + SKEW_MS + 1) == ["b"]
    assert ready(shards, [], 1000 + SKEW_MS) == ["a"], "clocks differ: it is looked at"
    assert begins_at(shards[1], 500) is None
    assert begins_at(shards[1], 1000) == 1000
    assert begins_at(shards[1], None) is None


def test_shares() -> None:
    assert [fair_share(7, pools) for pools in (0, 1, 2, 3, 8)] == [7, 7, 4, 3, 1]
    assert surplus({"me": 6}, "me", ["me"]) == 0
    assert surplus({"me": 6}, "me", ["me", "you"]) == 3
    assert surplus({"me": 4, "you": 3}, "me", ["me", "you"]) == 0
    assert surplus({"me": 5, "you": 3}, "me", ["me", "you"]) == 1
    assert surplus({"me": 1}, "me", ["me", "you"]) == 0
