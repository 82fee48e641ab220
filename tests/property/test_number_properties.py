"""Numbers against Python's decimal module: parsing, order, size and exact arithmetic over the whole range."""

from __future__ import annotations

import re
from decimal import Context, Decimal, InvalidOperation

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hashrange.errors import ApiError
from hashrange.model import number
from hashrange.model.shape_error import ShapeError
from tests.property.model_values import numbers, plain_text

# Wide enough for the exact sum of any two numbers: 126 places before the point and 130 behind it.
WIDE = Context(prec=300, Emax=10**6, Emin=-(10**6))

written = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "+", "-"]),
    st.from_regex(r"0{0,3}[0-9]{0,40}", fullmatch=True),
    st.from_regex(r"(\.[0-9]{0,40})?0{0,3}", fullmatch=True),
    st.one_of(st.just(""), st.integers(-140, 140).map("e{}".format), st.integers(0, 130).map("E+{}".format)),
)


def exact(text: str) -> Decimal:
    """The value of a text, or InvalidOperation if it is no number."""
    return WIDE.create_decimal(text)


def refusal_of(value: Decimal) -> str | None:
    """What makes a nonzero value impossible to store, by its digits and exponent."""
    digits = "".join(map(str, value.as_tuple().digits)).strip("0")
    if value.adjusted() > 125:
        return "overflow"
    if value.adjusted() < -130:
        return "underflow"
    return "38 significant" if len(digits) > 38 else None


@given(written)
def test_parsing_agrees_with_decimal(text: str) -> None:
    try:
        value = exact(text)
    except InvalidOperation:
        with pytest.raises(ShapeError, match="cannot be converted to a numeric value"):
            number.canonical(text)
        return
    if not value:
        # Zero is checked by the place of its last written digit, see the unit tests.
        if -130 <= value.as_tuple().exponent <= 125:  # type: ignore[operator]
            assert number.canonical(text) == "0"
        return
    refusal = refusal_of(value)
    if refusal is None:
        assert number.canonical(text) == plain_text(value)
    else:
        with pytest.raises(ShapeError, match=refusal):
            number.canonical(text)


@given(st.text(st.sampled_from("0123456789.+-eE"), max_size=8))
@example("1.e5")
@example(".e5")
def test_the_grammar_agrees_with_decimal(text: str) -> None:
    try:
        exact(text)
    except InvalidOperation:
        with pytest.raises(ShapeError, match="cannot be converted"):
            number.canonical(text)
    else:
        try:
            number.canonical(text)
        except ShapeError as error:
            assert "cannot be converted" not in str(error)


@given(st.text(max_size=10))
def test_any_text_is_canonical_or_refused(text: str) -> None:
    for classic in (False, True):
        try:
            result = number.canonical(text, classic)
        except ShapeError:
            continue
        assert number.canonical(result, classic) == result
        assert plain_text(exact(text)) == result


@given(numbers)
def test_canonical_texts_are_fixed_points(text: str) -> None:
    assert number.canonical(text) == text


@given(numbers, numbers)
def test_order(a: str, b: str) -> None:
    expected = (exact(a) > exact(b)) - (exact(a) < exact(b))
    assert number.compare(a, b) == expected
    key_a, key_b = number.order_key(a), number.order_key(b)
    assert (key_a > key_b) - (key_a < key_b) == expected


@given(numbers, numbers, st.binary(max_size=4), st.binary(max_size=4))
def test_order_keys_end_by_themselves(a: str, b: str, before: bytes, after: bytes) -> None:
    key = number.order_key(a)
    assert number.from_order_key(before + key + after, len(before)) == (a, len(before) + len(key))
    assert a == b or not number.order_key(b).startswith(key)


@given(numbers)
def test_size(text: str) -> None:
    digits = text.lstrip("-")
    whole, _, fraction = digits.partition(".")
    whole = whole.lstrip("0")
    if not fraction:
        whole = whole.rstrip("0")
    if not whole:
        fraction = fraction.lstrip("0")
    expected = 1 + -(-len(whole) // 2) + -(-len(fraction) // 2) + text.startswith("-")
    assert number.size(text) == expected
    assert number.quick_size(text) in (0, expected)


@given(st.one_of(st.text(max_size=6), written))
def test_the_quick_size_is_never_given_to_a_text_that_is_not_canonical(text: str) -> None:
    size = number.quick_size(text)
    if size:
        assert number.canonical(text) == text
        assert number.size(text) == size


@given(numbers, numbers)
def test_arithmetic(a: str, b: str) -> None:
    for operation, value in (
        (number.add, WIDE.add(exact(a), exact(b))),
        (number.subtract, WIDE.subtract(exact(a), exact(b))),
    ):
        refusal = refusal_of(value) if value else None
        if refusal is None:
            assert operation(a, b) == plain_text(value)
        else:
            with pytest.raises(ApiError, match=refusal):
                operation(a, b)


@given(numbers, numbers)
def test_what_is_added_can_be_taken_away(a: str, b: str) -> None:
    try:
        total = number.add(a, b)
    except ApiError:
        return
    assert re.fullmatch(r"0|-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?", total)
    assert number.subtract(total, b) == a
