"""Binary values as canonical base64 texts: RFC 4648 alphabet, padded, unused bits zero.

A binary stays base64 on the whole data path; it is decoded only to check, compare or build a key from it.
"""

from __future__ import annotations

from binascii import a2b_base64
from typing import Final

# Characters that may stand before the padding: the bits that carry no data are zero.
_BEFORE_ONE_PAD: Final = frozenset("AEIMQUYcgkosw048")
_BEFORE_TWO_PADS: Final = frozenset("AQgw")


def decode_strict(text: str) -> bytes:
    """The bytes of a canonical base64 text; `ValueError` or `TypeError` for anything else."""
    raw = a2b_base64(text, strict_mode=True)
    # The strict mode lets padding behind a complete group pass, and ignores the bits that padding leaves unused.
    if len(text) & 3:
        raise ValueError(text)
    if text[-1:] == "=":
        if text[-2] == "=":
            if text[-3] not in _BEFORE_TWO_PADS:
                raise ValueError(text)
        elif text[-2] not in _BEFORE_ONE_PAD:
            raise ValueError(text)
    return raw


def decode(canonical: str) -> bytes:
    """The bytes of a text already known to be canonical."""
    return a2b_base64(canonical)


def size(canonical: str) -> int:
    """Bytes that a canonical text stands for, without decoding it."""
    return len(canonical) * 3 // 4 - canonical[-2:].count("=")
