"""Signing a request like an SDK: Signature Version 4 in headers (AWS General Reference)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from hashrange_router.auth.canonical import canonical_request
from hashrange_router.auth.signing import derive


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
    date = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    everything = {"x-amz-date": date, **headers}
    if credentials.token:
        everything["x-amz-security-token"] = credentials.token
    names = sorted(everything)
    encoded = {name.encode(): everything[name].encode() for name in names}
    canonical = canonical_request(method.encode(), target.encode(), encoded, names, body)
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{sha256(canonical).hexdigest()}"
    key = derive(credentials.secret, date[:8], region, service)
    everything["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={key.sign(to_sign.encode()).decode()}"
    )
    return everything
