"""Numbers: grammar, canonical texts, limits with their error texts in both wordings, sizes, arithmetic."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hashrange.errors import ApiError
from hashrange.model import number
from hashrange.model.shape_error import ShapeError

TOO_PRECISE = "Attempting to store more than 38 significant digits in a Number"
OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"
UNDERFLOW = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
NOT_NUMERIC = "The parameter cannot be converted to a numeric value"

NINES = "9" * 38
LARGEST = NINES + "0" * 88
SMALLEST = "0." + "0" * 129 + "1"

CANONICAL = [
    ("0", "0"),
    ("-0", "0"),
    ("+0", "0"),
    ("000", "0"),
    ("0.000", "0"),
    ("-0.0e10", "0"),
    ("1", "1"),
    ("+1", "1"),
    ("-1", "-1"),
    ("0042.1200", "42.12"),
    ("1.0", "1"),
    (".5", "0.5"),
    ("-.5", "-0.5"),
    ("5.", "5"),
    ("1.e5", "100000"),
    ("1E2", "100"),
    ("1e+3", "1000"),
    ("1.5E2", "150"),
    ("15e-1", "1.5"),
    ("12.34e-3", "0.01234"),
    ("100e-2", "1"),
    ("1e0000000000000000000000000000002", "100"),
    (NINES, NINES),
    ("1" + "0" * 39, "1" + "0" * 39),
    ("0" * 50 + "7", "7"),
    ("7." + "0" * 500, "7"),
    ("9.9999999999999999999999999999999999999E+125", LARGEST),
    ("-9.9999999999999999999999999999999999999e125", "-" + LARGEST),
    ("1e-130", SMALLEST),
    ("0e125", "0"),
    ("0.0e126", "0"),
    ("0e-130", "0"),
]


@pytest.mark.parametrize(("written", "read"), CANONICAL)
def test_canonical(written: str, read: str) -> None:
    assert number.canonical(written) == read
    assert number.canonical(written, classic=True) == read
    assert number.canonical(read) == read


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1" * 39, TOO_PRECISE),
        ("1" * 20 + "." + "1" * 19, TOO_PRECISE),
        ("1" + "0" * 37 + "1", TOO_PRECISE),
        ("1e126", OVERFLOW),
        ("-1e126", OVERFLOW),
        ("1" + "0" * 126, OVERFLOW),
        ("1" * 127, OVERFLOW),
        ("1e-131", UNDERFLOW),
        ("-0." + "0" * 130 + "1", UNDERFLOW),
        ("0e126", OVERFLOW),
        ("0e-131", UNDERFLOW),
    ],
)
def test_limits(text: str, message: str) -> None:
    for classic in (False, True):
        with pytest.raises(ShapeError) as caught:
            number.canonical(text, classic)
        assert caught.value.message == message
        assert caught.value.shape


@pytest.mark.parametrize(
    "text",
    [
        "abc", " 1", "1 ", "1\n", "1 2", "1+2", "1.2.3", "+e2", "1e", "1e+", "e5", ".", "-", "+", "--1",
        "+-1", "1e5.5", "0x10", "NaN", "Infinity", "-Infinity", "1_000", "1,5", "\u0661", "\u00b2",
        "1\u0661", "1f", "", " ", "0.\u0661", "1.\u0661",
    ],
)  # fmt: skip
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(ShapeError) as caught:
        number.canonical(text)
    assert caught.value.message == f"{NOT_NUMERIC}: {text}"


def test_the_classic_wording_of_an_empty_number_has_no_colon() -> None:
    with pytest.raises(ShapeError) as caught:
        number.canonical("", classic=True)
    assert caught.value.message == NOT_NUMERIC


@pytest.mark.parametrize(
    ("text", "message", "classic_message"),
    [
        ("1e2147483647", OVERFLOW, UNDERFLOW),
        ("1e2147483646", OVERFLOW, OVERFLOW),
        ("1e2147483649", OVERFLOW, f"{NOT_NUMERIC}: 1e2147483649"),
        ("1e-2147483648", UNDERFLOW, f"{NOT_NUMERIC}: 1e-2147483648"),
        ("1e99999999999", OVERFLOW, f"{NOT_NUMERIC}: 1e99999999999"),
        ("-1e99999999999", OVERFLOW, f"{NOT_NUMERIC}: -1e99999999999"),
        ("1e-99999999999", UNDERFLOW, f"{NOT_NUMERIC}: 1e-99999999999"),
        ("1e9223372036854775807", OVERFLOW, f"{NOT_NUMERIC}: 1e9223372036854775807"),
        (
            "1e9223372036854775808",
            f"{NOT_NUMERIC}: 1e9223372036854775808",
            f"{NOT_NUMERIC}: 1e9223372036854775808",
        ),
    ],
)
def test_exponents_beyond_an_integer(text: str, message: str, classic_message: str) -> None:
    for classic, expected in ((False, message), (True, classic_message)):
        with pytest.raises(ShapeError) as caught:
            number.canonical(text, classic)
        assert caught.value.message == expected


def test_a_very_long_exponent_is_refused_without_being_read() -> None:
    with pytest.raises(ShapeError, match="cannot be converted"):
        number.canonical("1e" + "9" * 1_000_000)


def test_a_very_long_number_is_refused_as_out_of_range() -> None:
    with pytest.raises(ShapeError, match="overflow"):
        number.canonical("1" * 300_000)


@pytest.mark.parametrize(
    ("written", "size"),
    [
        # Each of these was measured on the real service, by items one byte either side of the limit.
        ("0", 1), ("1", 2), ("12", 2), ("123", 3), ("1234", 3),
        ("12345678901234567890123456789012345678", 20), ("0042", 2), ("100", 2), ("1010", 3),
        ("0.0000001", 2), ("1E125", 2), ("1E-100", 2), ("1.5", 3), ("15", 2), ("1.2", 3), ("1.200", 3),
        ("1.234", 4), ("3.14159", 5), ("123456", 4), ("100.5", 4), ("0.15", 2), ("-42", 3), ("-0", 1),
    ],
)  # fmt: skip
def test_sizes(written: str, size: int) -> None:
    text = number.canonical(written)
    assert number.size(text) == size
    assert number.quick_size(text) in (0, size)


@pytest.mark.parametrize("text", ["7", "1722470400", "12.75", "100", NINES, "1.5"])
def test_the_quick_size_knows_usual_numbers(text: str) -> None:
    assert number.quick_size(text) == number.size(text) > 0


@pytest.mark.parametrize(
    "text", ["007", "1.50", "+1", "1e5", ".5", "5.", "\u0661", "1.\u0661", "x", "", "1.5.5"]
)
def test_the_quick_size_leaves_all_else_alone(text: str) -> None:
    assert number.quick_size(text) == 0


ASCENDING = [
    "-" + LARGEST, "-1" + "0" * 100, "-1000", "-999.999", "-101", "-100.5", "-100", "-99", "-10", "-9",
    "-1.5", "-1.49999", "-1", "-0.1", "-0.01", "-" + SMALLEST, "0", SMALLEST, "0." + "0" * 128 + "1",
    "0.001", "0.0011", "0.01", "0.1", "0.10001", "1", "1.0000000000000000000000000000000000001", "1.1",
    "2", "9", "9.9", "10", "10.5", "11", "99", "100", "100.01", "101", "1" + "0" * 37, NINES,
    "1" + "0" * 38, "1" + "0" * 125, LARGEST,
]  # fmt: skip


def test_order() -> None:
    for smaller, larger in pairwise(ASCENDING):
        assert number.compare(smaller, larger) < 0 < number.compare(larger, smaller)
        assert number.order_key(smaller) < number.order_key(larger)


@pytest.mark.parametrize("text", ASCENDING)
def test_order_keys_are_decoded_in_place(text: str) -> None:
    assert number.compare(text, text) == 0
    key = number.order_key(text)
    assert len(key) <= 22
    assert number.from_order_key(b"\x80\x00" + key + b"\xff\x00", 2) == (text, 2 + len(key))


def test_the_layout_of_order_keys_is_fixed() -> None:
    assert number.order_key("0").hex() == "8000"
    assert number.order_key("1").hex() == "c10200"
    assert number.order_key("12.3").hex() == "c1133100"
    assert number.order_key("-1").hex() == "3efdff"


def test_a_truncated_order_key_is_refused() -> None:
    with pytest.raises(ValueError):
        number.from_order_key(number.order_key("12")[:-1], 0)


@pytest.mark.parametrize(
    ("a", "b", "total", "difference"),
    [
        ("1", "1", "2", "0"),
        ("-5", "2", "-3", "-7"),
        ("0.1", "0.2", "0.3", "-0.1"),
        ("1.5", "1.5", "3", "0"),
        ("-0.5", "0.25", "-0.25", "-0.75"),
        ("100", "0.001", "100.001", "99.999"),
        ("9" * 37, "1", "1" + "0" * 37, "9" * 36 + "8"),
        (SMALLEST, "0", SMALLEST, SMALLEST),
        ("5" + "0" * 125, "4" + "0" * 125, "9" + "0" * 125, "1" + "0" * 125),
    ],
)
def test_arithmetic(a: str, b: str, total: str, difference: str) -> None:
    assert number.add(a, b) == total
    assert number.subtract(a, b) == difference


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ("1" + "0" * 50, "1", TOO_PRECISE),
        ("1", SMALLEST, TOO_PRECISE),
        (NINES, "0.1", TOO_PRECISE),
        ("9" + "0" * 125, "9" + "0" * 125, OVERFLOW),
        ("-9" + "0" * 125, "-9" + "0" * 125, OVERFLOW),
    ],
)
def test_arithmetic_out_of_reach(a: str, b: str, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        number.add(a, b)
    assert caught.value.message == message
    assert not isinstance(caught.value, ShapeError)
