"""Numbers as bytes: memcmp order is numeric order, and an encoding ends by itself.

Layout, for value = 0.p1p2p3... x 100^m with base-100 digits p and p1 > 0:

    zero       80 00
    positive   80 + (m + 64), one byte (p + 1 in BCD) for each base-100 digit, 00
    negative   every byte of the positive encoding inverted, so it ends in FF

m runs from -64 to 63 for the range 1E-130 ... 9.99E+125 (DynamoDB Developer Guide, Supported data types),
which fills the head byte exactly. Aligning digits to powers of 100 lets one `bytes.fromhex` do the packing. A
digit byte is never 00 (nor FF inverted), so no encoding is a prefix of another, and anything may follow one.
At most 22 bytes. This layout is on disk: it must never change.
"""

from __future__ import annotations

_INVERT = bytes(255 - byte for byte in range(256))
# BCD 00..99 moves up by one to keep 00 free for the terminator. The other 156 bytes never occur.
_PACK = bytes((byte + 1) & 0xFF for byte in range(256))
_UNPACK = bytes((byte - 1) & 0xFF for byte in range(256))
_HEADS = tuple(bytes((0x80 + index,)) for index in range(128))
_HEAD_OF_M_ZERO = 0x80 + 64
_ZERO = b"\x80\x00"

_from_hex = bytes.fromhex


def order_key(canonical: str) -> bytes:
    """The bytes of a canonical number text; compare them to compare the numbers."""
    if canonical[0] == "-":
        return _positive(canonical[1:]).translate(_INVERT)
    return _positive(canonical)


def _positive(text: str) -> bytes:
    point = text.find(".")
    if point < 0:
        digits = text.rstrip("0")
        if not digits:
            return _ZERO
        magnitude = len(text)
    elif text[0] == "0":
        digits = text[2:].lstrip("0")
        magnitude = len(digits) - len(text) + 2
    else:
        digits = text[:point] + text[point + 1 :]
        magnitude = point
    if magnitude & 1:
        digits = "0" + digits
    if len(digits) & 1:
        digits += "0"
    return _HEADS[(magnitude + 129) >> 1] + _from_hex(digits).translate(_PACK) + b"\x00"


def from_order_key(buf: bytes, offset: int) -> tuple[str, int]:
    """The canonical text encoded at `offset`, and the offset just after it: the inverse of `order_key`.

    `ValueError` if the encoding does not end inside `buf`.
    """
    if buf[offset] < 0x80:
        end = buf.index(0xFF, offset + 1)
        body = buf[offset:end].translate(_INVERT)
        sign = "-"
    else:
        end = buf.index(0x00, offset + 1)
        body = buf[offset:end]
        sign = ""
    padded = body[1:].translate(_UNPACK).hex()
    if not padded:
        return "0", end + 1
    digits = padded.lstrip("0")
    magnitude = 2 * (body[0] - _HEAD_OF_M_ZERO) - (len(padded) - len(digits))
    return sign + plain(digits.rstrip("0"), magnitude), end + 1


def plain(digits: str, magnitude: int) -> str:
    """The canonical text of 0.`digits` x 10^`magnitude`, written without an exponent.

    `digits` is not empty and neither begins nor ends with a zero.
    """
    if magnitude <= 0:
        return "0." + "0" * -magnitude + digits
    if magnitude >= len(digits):
        return digits + "0" * (magnitude - len(digits))
    return digits[:magnitude] + "." + digits[magnitude:]
