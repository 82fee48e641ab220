"""Encoded keys give back the key attributes that they were made of, whatever these are."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hashrange.model.key import KeyCodec, KeyPart, PartType
from hashrange.model.key_decode import decode_key
from hashrange.model.number import canonical

TABLE = KeyCodec((KeyPart("tp", "S"),), (KeyPart("tr", "B"),))

VALUES: dict[PartType, st.SearchStrategy[str]] = {
    "S": st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=6) | st.just("\x00\x01"),
    "N": st.integers(-(10**20), 10**20).map(str).map(canonical)
    | st.decimals(allow_nan=False, allow_infinity=False, places=5, min_value=-1000, max_value=1000).map(
        lambda number: canonical(str(number))
    ),
    "B": st.binary(min_size=1, max_size=6).map(lambda raw: b64encode(raw).decode()),
}


@st.composite
def keys(draw: st.DrawFn) -> tuple[KeyCodec, dict[str, Any], dict[str, Any]]:
    """A codec, an item with its keys, and the part of them that is the hash key."""
    kinds = st.lists(st.sampled_from(("S", "N", "B")), max_size=2)
    hashes = [KeyPart(f"h{number}", kind) for number, kind in enumerate(draw(kinds) or ["S"])]  # type: ignore[arg-type]
    ranges = [KeyPart(f"r{number}", kind) for number, kind in enumerate(draw(kinds))]  # type: ignore[arg-type]
    codec = KeyCodec(tuple(hashes), tuple(ranges), draw(st.sampled_from((None, TABLE))))
    item = {part.name: {part.type: draw(VALUES[part.type])} for part in (*hashes, *ranges)}
    return codec, item, {part.name: item[part.name] for part in hashes}


@given(keys())
def test_keys_come_back(made: tuple[KeyCodec, dict[str, Any], dict[str, Any]]) -> None:
    codec, item, hash_key = made
    encoded = codec.encode({**item, "tp": {"S": "a"}, "tr": {"B": "AA=="}})
    assert decode_key(codec, encoded) == item
    assert decode_key(codec, encoded, hash_only=True) == hash_key


@given(keys(), st.integers(0, 40))
def test_the_beginning_of_a_key_never_fails(
    made: tuple[KeyCodec, dict[str, Any], dict[str, Any]], size: int
) -> None:
    codec, item, _ = made
    encoded = codec.encode({**item, "tp": {"S": "a"}, "tr": {"B": "AA=="}})
    found = decode_key(codec, encoded[:size])
    assert set(found) <= set(item)
