"""CORS: which pages may read answers."""

from __future__ import annotations

import pytest
from hashrange_router.http.limits import HttpLimits
from hashrange_router.http.replies import allow_origin_line

LISTED = ("https://app.example", "http://localhost:3000")


@pytest.mark.parametrize(
    ("origin", "allowed", "line"),
    [
        (b"https://any.example", ("*",), b"access-control-allow-origin: *\r\n"),
        (
            b"http://localhost:3000",
            LISTED,
            b"access-control-allow-origin: http://localhost:3000\r\nvary: Origin\r\n",
        ),
        (b"https://other.example", LISTED, b""),
        (b"https://app.example", (), b""),
    ],
)
def test_allowed_origins(origin: bytes, allowed: tuple[str, ...], line: bytes) -> None:
    assert allow_origin_line(origin, allowed) == line


def test_all_origins_are_allowed_by_default() -> None:
    assert HttpLimits().cors_origins == ("*",)
