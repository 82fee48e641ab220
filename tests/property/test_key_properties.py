"""Keys against brute force: the order of bytes is the order of values, and bounds select what they should."""

from __future__ import annotations

from base64 import b64decode
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hashrange.model.key import KeyCodec, KeyPart, PartType, hash_of, successor
from hashrange.model.key_bytes import TERMINATED, escape, terminate
from tests.property.model_values import base64_text, binaries, numbers, texts

CONTENTS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "S": texts.map(lambda text: {"S": text}),
    "N": numbers.map(lambda text: {"N": text}),
    "B": binaries.map(lambda raw: {"B": base64_text(raw)}),
}
TYPES: tuple[PartType, ...] = ("S", "N", "B")


def rank(value: dict[str, Any]) -> Any:
    """What DynamoDB orders a key value by."""
    [(kind, content)] = value.items()
    if kind == "N":
        return Decimal(content)
    return content.encode() if kind == "S" else raw_of(value)


def raw_of(value: dict[str, Any]) -> bytes:
    """The bytes that begins_with looks at."""
    [(kind, content)] = value.items()
    return content.encode() if kind == "S" else b64decode(content)


def build(hash_types: str, range_types: str, suffix: KeyCodec | None = None) -> KeyCodec:
    """A codec with hash parts h0, h1 ... and range parts r0, r1 ... of these types."""
    return KeyCodec(
        tuple(KeyPart(f"h{i}", kind) for i, kind in enumerate(hash_types)),  # type: ignore[arg-type]
        tuple(KeyPart(f"r{i}", kind) for i, kind in enumerate(range_types)),  # type: ignore[arg-type]
        suffix,
    )


TABLE = KeyCodec((KeyPart("p", "S"),), (KeyPart("q", "B"),))
CODECS = [
    build(hash_type, range_types, suffix)
    for suffix in (None, TABLE)
    for hash_type in TYPES
    for range_types in ("", *TYPES)
] + [build("SN", "SNB", TABLE), build("BBNS", "BSNS", TABLE), build("S", "SS", TABLE)]


@st.composite
def codecs_and_items(draw: st.DrawFn, count: int, one_partition: bool = False) -> tuple[KeyCodec, list[Any]]:
    """A codec and items that have all its parts."""
    codec = draw(st.sampled_from(CODECS))
    shared = {part.name: draw(CONTENTS[part.type]) for part in codec.hash_parts} if one_partition else {}
    drawn = [
        {part.name: draw(CONTENTS[part.type]) for part in codec.key_parts} | shared for _ in range(count)
    ]
    return codec, drawn


def order_of(codec: KeyCodec, item: dict[str, Any]) -> list[Any]:
    """What the items of one partition key value are ordered by."""
    ranks = [rank(item[part.name]) for part in codec.range_parts]
    if codec.suffix is not None:
        ranks += [hash_of(rank(item["p"])), rank(item["p"]), rank(item["q"])]
    return ranks


@pytest.mark.parametrize("kind", TYPES)
@given(data=st.data())
def test_parts_keep_their_order_and_none_is_a_prefix_of_another(kind: str, data: st.DataObject) -> None:
    a, b = data.draw(CONTENTS[kind]), data.draw(CONTENTS[kind])
    after_a, after_b = data.draw(st.binary(max_size=3)), data.draw(st.binary(max_size=3))
    encoded_a, encoded_b = TERMINATED[kind](a[kind]), TERMINATED[kind](b[kind])
    if rank(a) == rank(b):
        assert encoded_a == encoded_b
    else:
        assert (encoded_a + after_a < encoded_b + after_b) == (rank(a) < rank(b))
        assert not encoded_a.startswith(encoded_b)


@given(codecs_and_items(count=2, one_partition=True))
def test_keys_of_a_partition_are_in_the_order_of_their_values(drawn: tuple[KeyCodec, list[Any]]) -> None:
    codec, (a, b) = drawn
    order_a, order_b = order_of(codec, a), order_of(codec, b)
    key_a, key_b = codec.encode(a), codec.encode(b)
    assert (key_a < key_b) == (order_a < order_b)
    assert (key_a == key_b) == (order_a == order_b)


@given(codecs_and_items(count=2))
def test_keys_are_equal_only_if_all_parts_are(drawn: tuple[KeyCodec, list[Any]]) -> None:
    codec, (a, b) = drawn
    same = all(rank(a[part.name]) == rank(b[part.name]) for part in codec.key_parts)
    assert (codec.encode(a) == codec.encode(b)) == same


@given(codecs_and_items(count=1))
def test_a_key_begins_with_its_partition(drawn: tuple[KeyCodec, list[Any]]) -> None:
    codec, [item] = drawn
    hash_values = [item[part.name] for part in codec.hash_parts]
    prefix = codec.partition_prefix(hash_values)
    key = codec.encode(item)
    assert key.startswith(prefix)
    if len(hash_values) == 1 and hash_values[0].keys() != {"N"}:
        assert prefix[:8] == hash_of(rank(hash_values[0]))
    lo, hi = codec.range_bounds(prefix, [], None, [])
    assert lo <= key < hi


@given(codecs_and_items(count=1), st.data())
def test_items_without_a_part_have_no_entry(drawn: tuple[KeyCodec, list[Any]], data: st.DataObject) -> None:
    codec, [item] = drawn
    assume(all(next(iter(item[part.name].values())) for part in codec.own_parts))
    assert codec.encode_entry(item) == codec.encode(item)
    missing = data.draw(st.sampled_from(codec.attribute_names))
    assert codec.encode_entry({name: value for name, value in item.items() if name != missing}) is None


def selects(value: dict[str, Any], op: str, operands: list[dict[str, Any]]) -> bool:
    """Whether a value meets a key condition."""
    if op == "begins_with":
        return raw_of(value).startswith(raw_of(operands[0]))
    left, first = rank(value), rank(operands[0])
    if op == "BETWEEN":
        return bool(first <= left <= rank(operands[1]))
    return bool(
        {
            "=": left == first,
            "<": left < first,
            "<=": left <= first,
            ">": left > first,
            ">=": left >= first,
        }[op]
    )


@st.composite
def queries(draw: st.DrawFn) -> Any:
    """A codec, keys over few values (so that many match), and a condition made of the same values."""
    codec = draw(st.sampled_from([codec for codec in CODECS if codec.range_parts]))
    pools = {
        part.name: draw(st.lists(CONTENTS[part.type], min_size=1, max_size=4)) for part in codec.key_parts
    }
    items = [
        {name: draw(st.sampled_from(pool)) for name, pool in pools.items()}
        for _ in range(draw(st.integers(1, 12)))
    ]
    equals_count = draw(st.integers(0, len(codec.range_parts)))
    equals = [draw(st.sampled_from(pools[f"r{i}"])) for i in range(equals_count)]
    op: str | None = None
    operands: list[dict[str, Any]] = []
    if equals_count < len(codec.range_parts):
        part = codec.range_parts[equals_count]
        ops = [None, "=", "<", "<=", ">", ">=", "BETWEEN"] + ([] if part.type == "N" else ["begins_with"])
        op = draw(st.sampled_from(ops))
        operand = st.one_of(st.sampled_from(pools[part.name]), CONTENTS[part.type])
        if op == "begins_with":
            operand = st.one_of(operand, shortened(operand))
        operands = [draw(operand) for _ in range({None: 0, "BETWEEN": 2}.get(op, 1))]
    return codec, items, equals, op, operands


def shortened(values: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Prefixes of these values."""
    return st.builds(
        lambda value, length: (
            {"S": value["S"][:length]} if "S" in value else {"B": base64_text(raw_of(value)[:length])}
        ),
        values,
        st.integers(0, 4),
    )


@given(queries())
def test_bounds_select_what_a_filter_would(query: Any) -> None:
    codec, items, equals, op, operands = query
    partition = [items[0][part.name] for part in codec.hash_parts]
    lo, hi = codec.range_bounds(codec.partition_prefix(partition), equals, op, operands)
    assert lo <= hi
    for item in items:
        expected = (
            all(
                rank(item[part.name]) == rank(value)
                for part, value in zip(codec.hash_parts, partition, strict=True)
            )
            and all(rank(item[f"r{i}"]) == rank(value) for i, value in enumerate(equals))
            and (op is None or selects(item[f"r{len(equals)}"], op, operands))
        )
        assert (lo <= codec.encode(item) < hi) == expected


@given(st.binary(max_size=5), st.binary(max_size=5))
def test_successor_is_the_end_of_a_prefix(prefix: bytes, other: bytes) -> None:
    end = successor(prefix)
    assert prefix + other < end
    assert prefix + b"\xff" * 50 < end
    if prefix.rstrip(b"\xff"):
        assert (prefix <= other < end) == other.startswith(prefix)


@given(binaries, binaries)
def test_escaped_values_keep_their_prefixes(a: bytes, b: bytes) -> None:
    assert terminate(a).startswith(escape(b)) == a.startswith(b)


@pytest.mark.parametrize(("hash_type", "range_type"), list(product(TYPES, ("", *TYPES))))
@given(data=st.data())
def test_chosen_functions_agree_with_the_general_one(
    hash_type: str, range_type: str, data: st.DataObject
) -> None:
    codec = build(hash_type, range_type)
    item = {part.name: data.draw(CONTENTS[part.type]) for part in codec.own_parts}
    assert codec.encode(item) == codec._encode_any(item)
