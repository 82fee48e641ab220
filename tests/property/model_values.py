"""Strategies for numbers, attribute values and keys, shared by the property tests of the data model."""

from __future__ import annotations

from base64 import b64encode
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st


def plain_text(value: Decimal) -> str:
    """The text DynamoDB gives a number, worked out by Python's decimal module."""
    if not value:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _number(digits: int, places: int, negative: bool) -> str:
    # Digits and their place are drawn apart: the magnitude is always in range, and every length is likely.
    # A Decimal made of its parts is exact, where its arithmetic would round.
    exponent = min(places, 126 - len(str(digits)))
    return plain_text(Decimal((negative, tuple(map(int, str(digits))), exponent)))


_any_digits = st.one_of(
    st.integers(0, 99),
    st.integers(0, 10**38 - 1),
    st.builds(lambda digit, count: int(str(digit) * count), st.integers(1, 9), st.integers(1, 38)),
    st.builds(lambda digit, zeros: digit * 10**zeros, st.integers(1, 9), st.integers(0, 37)),
)

numbers = st.one_of(
    st.integers(-1000, 1000).map(str),
    st.builds(_number, _any_digits, st.integers(-40, 10), st.booleans()),
    st.builds(_number, _any_digits, st.integers(-130, 125), st.booleans()),
)
"""Canonical texts of numbers over the whole range."""

texts = st.one_of(
    st.text(max_size=8),
    st.text(st.sampled_from("\x00\x01a\x7fé\ud7ff\ue000\uffff\U00010000\U0010ffff"), max_size=6),
)
"""Strings, with many that share prefixes, hold zero characters or lie on the edges of UTF-8 and UTF-16."""

binaries = st.one_of(
    st.binary(max_size=8), st.lists(st.sampled_from([0, 1, 0x7F, 0x80, 0xFE, 0xFF]), max_size=6).map(bytes)
)
"""Byte strings, with many that share prefixes or hold 00 and FF."""


def base64_text(raw: bytes) -> str:
    """The canonical text of a binary value."""
    return b64encode(raw).decode()


scalars: st.SearchStrategy[dict[str, Any]] = st.one_of(
    texts.map(lambda text: {"S": text}),
    numbers.map(lambda text: {"N": text}),
    binaries.map(lambda raw: {"B": base64_text(raw)}),
    st.booleans().map(lambda flag: {"BOOL": flag}),
    st.just({"NULL": True}),
    st.lists(texts, min_size=1, max_size=4, unique=True).map(lambda members: {"SS": members}),
    st.lists(numbers, min_size=1, max_size=4, unique=True).map(lambda members: {"NS": members}),
    st.lists(binaries, min_size=1, max_size=4, unique=True).map(
        lambda members: {"BS": [base64_text(raw) for raw in members]}
    ),
)

names = st.text(min_size=1, max_size=5)

values: st.SearchStrategy[dict[str, Any]] = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda elements: {"L": elements}),
        st.dictionaries(names, inner, max_size=4).map(lambda members: {"M": members}),
    ),
    max_leaves=12,
)
"""Valid attribute values with canonical numbers, their sets in any order."""

items = st.dictionaries(names, values, max_size=6)
