"""Who signs the requests of the command line, and of programs to one another."""

from __future__ import annotations

import time
from dataclasses import dataclass

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
    return outgoing.signed(
        credentials.access_key,
        credentials.secret,
        credentials.token,
        region,
        service,
        method,
        target,
        headers,
        body,
        time.time(),
    )
