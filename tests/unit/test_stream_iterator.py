"""Shard iterators: nothing but what this cluster made is one, and that for 15 minutes."""

from __future__ import annotations

import pytest
from hashrange_router.streams.iterator import LIFETIME_MS, Position, check_age, make, parse
from hypothesis import given
from hypothesis import strategies as st

from hashrange.errors import ApiError

KEY = bytes(range(32))
ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-11-23T03:25:53.708"
SHARD = "shardId-00000001795404353929-0000002a"
POSITION = Position(SHARD, 1 << 63, 42 << 72 | 7, 1_795_404_353_929)

positions = st.builds(
    Position,
    st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=65),
    st.integers(0, (1 << 64) - 1),
    st.integers(0, (1 << 120) - 1),
    st.integers(0, 1 << 48),
)


@given(st.binary(min_size=32, max_size=32), positions)
def test_an_iterator_is_read_as_it_was_made(key: bytes, position: Position) -> None:
    text = make(key, ARN, position)
    assert text.startswith(ARN + "|1|")
    assert len(text) <= 2048
    assert parse(key, text) == (ARN, position)


@given(st.integers(0, len(make(KEY, ARN, POSITION)) - 1), st.characters(codec="ascii"))
def test_an_altered_iterator_is_none(at: int, other: str) -> None:
    text = make(KEY, ARN, POSITION)
    altered = text[:at] + other + text[at + 1 :]
    if altered == text:
        return
    with pytest.raises(ApiError) as raised:
        parse(KEY, altered)
    assert (raised.value.type_name, raised.value.message) == ("ValidationException", "Invalid ShardIterator")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "foo",
        "a|b|c",
        ARN + "|1|",
        ARN + "|1|zzzz",
        ARN + "|001|AAAA",
        ARN + "|1|é",
        "\udc80|1|AAAA",
        make(KEY, ARN, POSITION) + "!",
    ],
)
def test_other_texts_are_no_iterators(text: str) -> None:
    with pytest.raises(ApiError, match="Invalid ShardIterator"):
        parse(KEY, text)


def test_another_clusters_iterator_is_none() -> None:
    with pytest.raises(ApiError, match="Invalid ShardIterator"):
        parse(KEY, make(bytes(32), ARN, POSITION))


def test_an_iterator_of_another_stream_cannot_be_made_of_one() -> None:
    with pytest.raises(ApiError, match="Invalid ShardIterator"):
        parse(KEY, make(KEY, ARN, POSITION).replace("orders", "others"))


def test_an_iterator_lives_for_15_minutes() -> None:
    check_age(POSITION, POSITION.created_ms)
    check_age(POSITION, POSITION.created_ms + LIFETIME_MS)
    check_age(POSITION, POSITION.created_ms - 5_000)
    with pytest.raises(ApiError) as raised:
        check_age(POSITION, POSITION.created_ms + LIFETIME_MS + 1)
    assert raised.value.type_name == "ExpiredIteratorException"
