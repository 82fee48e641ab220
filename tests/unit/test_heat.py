"""Heat of a partition: the bounded summary of hot keys, sampling, bytes, and keys decoded for people."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hashrange_node.replica.heat import BUSY_GAP_S, HALF_LIFE_S, INTERVALS, Heat
from hashrange_node.replica.hot_keys import GATHERED, KEPT, HotKeys

from hashrange.errors import unavailable
from hashrange.model import record as records
from hashrange.model.key import KeyCodec, KeyPart
from hashrange.model.key_decode import decode_key
from hashrange.wire.messages import RangeResult, WriteResult

TABLE = KeyCodec((KeyPart("p", "S"),), ())
RANGED = KeyCodec((KeyPart("p", "S"),), (KeyPart("r", "N"),))


def key(name: str) -> bytes:
    return TABLE.encode({"p": {"S": name}})


# ---- the summary


def test_the_hottest_keys_come_first_with_their_shares() -> None:
    hot = HotKeys()
    rng = random.Random(4)
    for _ in range(20_000):
        chance = rng.random()
        name = "hot" if chance < 0.4 else "warm" if chance < 0.6 else f"cold-{rng.randrange(5_000)}"
        hot.observe(key(name), 1)
    first, second, *others = hot.top(10)
    assert (first.key, second.key) == (key("hot"), key("warm"))
    assert 0.4 - 1 / (KEPT + 1) - 0.02 <= first.share <= 0.42
    assert 0.2 - 1 / (KEPT + 1) - 0.02 <= second.share <= 0.22
    assert others == []


def test_nothing_is_hot_when_all_keys_are_asked_for_alike() -> None:
    hot = HotKeys()
    for round_ in range(20):
        for number in range(1_000):
            hot.observe(key(f"k{(number * 7 + round_) % 1_000}"), 16)
    assert hot.top(5) == []


def test_the_summary_is_bounded() -> None:
    hot = HotKeys()
    for number in range(10_000):
        hot.observe(key(f"k{number}"), 1)
    assert len(hot._counts) <= KEPT
    assert len(hot._gathered) < GATHERED


def test_weights_count() -> None:
    hot = HotKeys()
    hot.observe(key("a"), 30)
    hot.observe(key("b"), 10)
    assert [(each.key, each.share) for each in hot.top(2)] == [(key("a"), 0.75), (key("b"), 0.25)]
    assert [each.key for each in hot.top(1)] == [key("a")]


def test_what_was_hot_fades() -> None:
    hot = HotKeys()
    hot.observe(key("before"), 1_000)
    for _ in range(10):
        hot.age()
    hot.observe(key("now"), 9)
    assert hot.top(1)[0].key == key("now")


def test_a_partition_key_with_several_items_is_not_one_item() -> None:
    hot = HotKeys()
    for number in (1, 1, 2):
        hot.observe(RANGED.encode({"p": {"S": "a"}, "r": {"N": str(number)}}), 1)
    hot.observe(RANGED.encode({"p": {"S": "b"}, "r": {"N": "7"}}), 1)
    assert [(each.whole, each.share) for each in hot.top(2)] == [(False, 0.75), (True, 0.25)]


# ---- sampling


def ask(heat: Heat, name: str, now_s: float, answer: Any, kind: str = "reading") -> list[Any]:
    """One request, as the node makes it; returns what its sender was answered."""
    answers: list[Any] = []
    done = answers.append
    if heat.due:
        heat.due -= 1
    else:
        done = getattr(heat, kind)(key(name), now_s, done)
    done(answer)
    return answers


def test_every_slow_request_is_looked_at() -> None:
    heat = Heat()
    record = records.pack(b"{}", 700, 1, 1)
    for number in range(50):
        assert ask(heat, "a", 100 + number, record) == [record]
        assert heat.due == 0
    assert heat.read_bytes == 50 * 700


def test_fast_requests_are_sampled_and_stand_for_the_others() -> None:
    heat = Heat()
    record = records.pack(b"{}", 1_000, 1, 1)
    looked = 0
    for number in range(16_000):
        looked += heat.due == 0
        ask(heat, "hot" if number % 2 else f"k{number}", 100 + number * BUSY_GAP_S / 10, record)
    assert 16_000 / max(INTERVALS) <= looked <= 16_000 / min(INTERVALS)
    assert heat.read_bytes == pytest.approx(16_000_000, rel=0.05)
    [hot] = heat.keys.top(5)
    assert hot.key == key("hot")
    assert hot.share == pytest.approx(0.5, abs=0.1)
    assert heat.sample.halving() is not None


def test_writes_count_the_larger_item_and_failures_nothing() -> None:
    heat = Heat()
    ask(heat, "a", 1.0, WriteResult(300, 100), "writing")
    ask(heat, "a", 2.0, WriteResult(0, 50), "writing")
    assert heat.write_bytes == 350
    failure = unavailable("no")
    assert ask(heat, "a", 3.0, failure, "writing") == [failure]
    ask(heat, "a", 4.0, None)
    assert (heat.read_bytes, heat.write_bytes) == (0, 350)


def test_a_query_tells_of_its_partition_key_and_a_scan_of_none() -> None:
    heat = Heat()
    prefix = RANGED.partition_prefix([{"S": "a"}])
    low, high = RANGED.range_bounds(prefix, [], None, [])
    page = RangeResult()
    page.size_bytes, page.fetched_sizes = 4_000, [10, 20]
    heat.ranging(low, high, 1.0, lambda answer: None)(page)
    heat.ranging(b"\x00" * 8, b"\xff" * 9, 1.0, lambda answer: None)(page)
    assert heat.read_bytes == 2 * 4_030
    [hot] = heat.keys.top(5)
    assert (decode_key(RANGED, hot.key), hot.whole, hot.share) == ({"p": {"S": "a"}}, False, 1.0)


def test_deliveries_and_transactions_count_too() -> None:
    heat = Heat()
    record = records.pack(b"{}", 100, 1, 1)
    heat.delivering([(key("a"), record, 1)] * 8 + [(key("a"), None, 1)] * 4, 1.0)
    heat.several([key("b"), key("b")], 1.0)
    assert (heat.entries, heat.write_bytes) == (12, 800)
    heat.delivering([(key("c"), None, 1)] * 1_000, 1.0)
    assert heat.entries == 1_012
    assert len(heat.keys._gathered) < 60
    assert [each.key for each in heat.keys.top(3)] == [key("c"), key("a")], "b has less than a hundredth"


def test_time_lets_observations_fade() -> None:
    heat = Heat()
    heat.several([key("before")] * 64, 100.0)
    heat.several([key("now")] * 4, 100.0 + 10 * HALF_LIFE_S)
    assert heat.keys.top(1)[0].key == key("now")


# ---- keys for people


@pytest.mark.parametrize(
    ("codec", "item"),
    [
        (TABLE, {"p": {"S": "a\x00b"}}),
        (KeyCodec((KeyPart("p", "N"),), ()), {"p": {"N": "-12.5"}}),
        (KeyCodec((KeyPart("p", "B"),), ()), {"p": {"B": "AAE="}}),
        (RANGED, {"p": {"S": "ä\x00\x01"}, "r": {"N": "0"}}),
        (KeyCodec((KeyPart("p", "B"),), (KeyPart("r", "S"),)), {"p": {"B": "AAD/"}, "r": {"S": "x\x00"}}),
        (KeyCodec((KeyPart("p", "N"),), (KeyPart("r", "B"),)), {"p": {"N": "7"}, "r": {"B": "AA=="}}),
        (
            KeyCodec((KeyPart("g", "S"), KeyPart("h", "N")), (KeyPart("i", "S"), KeyPart("j", "S"))),
            {"g": {"S": "a"}, "h": {"N": "3"}, "i": {"S": "b"}, "j": {"S": "c"}},
        ),
    ],
)
def test_keys_come_back(codec: KeyCodec, item: Any) -> None:
    assert decode_key(codec, codec.encode(item)) == item


def test_an_index_entry_gives_the_keys_of_the_index() -> None:
    index = KeyCodec((KeyPart("g", "S"),), (KeyPart("s", "N"),), RANGED)
    entry = index.encode({"g": {"S": "x"}, "s": {"N": "9"}, "p": {"S": "a"}, "r": {"N": "1"}})
    assert decode_key(index, entry) == {"g": {"S": "x"}, "s": {"N": "9"}}


def test_the_beginning_of_a_key_gives_what_is_there() -> None:
    prefix = RANGED.partition_prefix([{"S": "a"}])
    assert decode_key(RANGED, prefix) == {"p": {"S": "a"}}
    assert decode_key(RANGED, RANGED.encode({"p": {"S": "a"}, "r": {"N": "1"}}), hash_only=True) == {
        "p": {"S": "a"}
    }
    assert decode_key(RANGED, prefix[:9]) == {}
    assert decode_key(RANGED, prefix + b"\x80") == {"p": {"S": "a"}}
    assert decode_key(TABLE, key("a")[:8]) == {}
