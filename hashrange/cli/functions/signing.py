"""Signing a request like an SDK: Signature Version 4 in headers (AWS General Reference)."""

from __future__ import annotations

from dataclasses import dataclass
from time import time

from hashrange_router.auth import outgoing


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key. Servers without configured credentials accept any."""

    access_key: str
    secret: str
    token: str | None = None


ANY = Credentials("hashrange", "hashrange")
"""For servers that take any credentials, but insist on some."""


def signed(
    credentials: Credentials,
    region: str,
    service: str,
    method: str,
    target: str,
    headers: dict[str, str],
    body: bytes,
) -> dict[str, str]:
    """The headers of a request with its signature, all names in lower case; `headers` have at least host."""
    token = credentials.token
    return outgoing.signed(
        credentials.access_key,
        credentials.secret,
        token,
        region,
        service,
        method,
        target,
        headers,
        body,
        time(),
    )
