"""DynamoDB numbers as canonical texts: parsing, size, order and exact arithmetic.

A number is never a Python number on the data path: it is the text that DynamoDB would answer, so that
equal numbers are equal strings (and equal bytes on disk). `canonical` makes that text of anything a client
may send; all other functions take canonical texts only and do not check them again.

Canonical: optional `-`, digits without an exponent, no leading or trailing zeros, no `-0`; at most 38
significant digits and a magnitude from 1E-130 to 9.99...E+125 (DynamoDB Developer Guide, Supported data
types; grammar and texts of the errors: observed behaviour of the real service).

The service words some errors in two ways, depending on the operation and the region: `classic=True` asks
for the older wording, which reads a number as Java's BigDecimal does.
"""

from __future__ import annotations

import re

from hashrange.errors import ApiError, validation
from hashrange.model.number_order import from_order_key, order_key, plain
from hashrange.model.shape_error import ShapeError

__all__ = [
    "MAX_DIGITS",
    "add",
    "canonical",
    "compare",
    "from_order_key",
    "order_key",
    "quick_size",
    "size",
    "subtract",
]

MAX_DIGITS = 38
# Decimal places of the point in 0.ddd x 10^n: 1E-130 has n = -129, 9.99E+125 has n = 126.
_MAX_MAGNITUDE = 126
_MIN_MAGNITUDE = -129
# Exponents are read as 64-bit integers; longer ones cannot be converted at all.
_MAX_EXPONENT = 2**63 - 1

_TOO_PRECISE = "Attempting to store more than 38 significant digits in a Number"
_OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"
_UNDERFLOW = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
_NOT_NUMERIC = "The parameter cannot be converted to a numeric value"

_is_canonical = re.compile(r"-?(?:[1-9][0-9]*(?:\.[0-9]*[1-9])?|0\.[0-9]*[1-9])|0").fullmatch
_grammar = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?").fullmatch


def canonical(text: str, classic: bool = False) -> str:
    """The canonical text of a number as a client wrote it.

    Accepts `+1`, `.5`, `5.`, `1.e5` and exponents. Raises `ShapeError` for anything that is no number, has
    more than 38 significant digits after trimming zeros, or is out of range.
    """
    # Plain positive integers need no regular expression. isdigit() also takes digits of other scripts.
    if text.isdigit() and text >= "1" and len(text) <= MAX_DIGITS and text.isascii():
        return text
    if len(text) <= MAX_DIGITS and _is_canonical(text):
        return text
    return _parse(text, classic)


def _parse(text: str, classic: bool) -> str:
    match = _grammar(text)
    if match is None:
        raise _not_numeric(text, classic)
    sign, whole, fraction, exponent_text = match.groups("")
    digits = whole + fraction
    if not digits:
        raise _not_numeric(text, classic)
    exponent = _exponent(exponent_text, text, classic)
    significant = digits.lstrip("0")
    # Zero has a magnitude too, that of its last written place: 0e126 is out of range while 0.0e126 is not.
    leading_zeros = len(digits) - max(len(significant), 1)
    magnitude = len(whole) - leading_zeros + exponent
    if classic:
        magnitude = _wrap_32_bits(magnitude, len(fraction) - exponent, text)
    if magnitude > _MAX_MAGNITUDE:
        raise ShapeError(_OVERFLOW)
    if magnitude < _MIN_MAGNITUDE:
        raise ShapeError(_UNDERFLOW)
    significant = significant.rstrip("0")
    if len(significant) > MAX_DIGITS:
        raise ShapeError(_TOO_PRECISE)
    if not significant:
        return "0"
    number = plain(significant, magnitude)
    return "-" + number if sign == "-" else number


def _exponent(exponent_text: str, text: str, classic: bool) -> int:
    if not exponent_text:
        return 0
    # Converting a text of a million digits would be slow, and refused by int().
    if len(exponent_text.lstrip("+-").lstrip("0")) > 19:
        raise _not_numeric(text, classic)
    exponent = int(exponent_text)
    if not -_MAX_EXPONENT - 1 <= exponent <= _MAX_EXPONENT:
        raise _not_numeric(text, classic)
    return exponent


def _wrap_32_bits(magnitude: int, scale: int, text: str) -> int:
    """The magnitude as BigDecimal arithmetic in 32 bits gives it; a scale beyond 32 bits is no number."""
    if not -(2**31) <= scale < 2**31:
        raise _not_numeric(text, classic=True)
    return (magnitude + 2**31) % 2**32 - 2**31


def _not_numeric(text: str, classic: bool) -> ApiError:
    if not text and classic:
        return ShapeError(_NOT_NUMERIC)
    return ShapeError(f"{_NOT_NUMERIC}: {text}")


def size(number: str) -> int:
    """Bytes that a number counts in the size of an item.

    One, plus one for every two significant digits on each side of the point (rounded up on each side), plus
    one if negative; zero is 1. Source: observed behaviour of the real service, which differs from the
    approximation in the Developer Guide.
    """
    if number.isdigit():
        return 1 + ((len(number.rstrip("0")) + 1) >> 1)
    negative = number[0] == "-"
    point = number.find(".")
    if point < 0:
        return 2 + (len(number.rstrip("0")) >> 1)
    if number[negative] == "0":
        fraction = len(number[negative + 2 :].lstrip("0"))
        return 1 + ((fraction + 1) >> 1) + negative
    whole = point - negative
    fraction = len(number) - point - 1
    return 1 + ((whole + 1) >> 1) + ((fraction + 1) >> 1) + negative


def quick_size(text: str) -> int:
    """The `size` of a text of the usual kind that is canonical as it stands; 0 if that takes a closer look.

    This is `canonical` and `size` in one for short positive numbers, which nearly all numbers are.
    """
    if text.isdigit():
        if text >= "1" and len(text) <= MAX_DIGITS and text.isascii():
            return 1 + ((len(text.rstrip("0")) + 1) >> 1)
        return 0
    whole, _, fraction = text.partition(".")
    if (
        whole >= "1"
        and fraction[-1:] > "0"
        and len(text) <= MAX_DIGITS
        and whole.isdigit()
        and fraction.isdigit()
        and text.isascii()
    ):
        return 1 + ((len(whole) + 1) >> 1) + ((len(fraction) + 1) >> 1)
    return 0


def compare(a: str, b: str) -> int:
    """Negative, zero or positive as `a` is less than, equal to or greater than `b`."""
    if a == b:
        return 0
    negative = a[0] == "-"
    if negative != (b[0] == "-"):
        return -1 if negative else 1
    # Without leading zeros the longer whole part is the larger; equally long ones compare as texts.
    whole_a, whole_b = a.find("."), b.find(".")
    if whole_a < 0:
        whole_a = len(a)
    if whole_b < 0:
        whole_b = len(b)
    smaller = a < b if whole_a == whole_b else whole_a < whole_b
    return -1 if smaller != negative else 1


def add(a: str, b: str) -> str:
    """a + b exactly; a validation error if it needs more than 38 digits or is out of range."""
    return _combine(a, b, 1)


def subtract(a: str, b: str) -> str:
    """a - b exactly; a validation error if it needs more than 38 digits or is out of range."""
    return _combine(a, b, -1)


def _combine(a: str, b: str, factor: int) -> str:
    """a + factor x b in integers, at the scale of the longer fraction."""
    if "." not in a and "." not in b:
        text = str(int(a) + factor * int(b))
        return text if len(text) <= MAX_DIGITS else _checked(text, 0)
    whole_a, _, fraction_a = a.partition(".")
    whole_b, _, fraction_b = b.partition(".")
    scale = max(len(fraction_a), len(fraction_b))
    scaled_a = int(whole_a + fraction_a.ljust(scale, "0"))
    scaled_b = int(whole_b + fraction_b.ljust(scale, "0"))
    return _checked(str(scaled_a + factor * scaled_b), scale)


def _checked(text: str, scale: int) -> str:
    """The canonical text of integer `text` x 10^-`scale`, if it is within the limits."""
    digits = text.lstrip("-")
    magnitude = len(digits) - scale
    significant = digits.rstrip("0")
    if not significant:
        return "0"
    if magnitude > _MAX_MAGNITUDE:
        raise validation(_OVERFLOW)
    if len(significant) > MAX_DIGITS:
        raise validation(_TOO_PRECISE)
    number = plain(significant, magnitude)
    return "-" + number if text[0] == "-" else number
