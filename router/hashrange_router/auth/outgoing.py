"""Signing requests of our own, as an SDK does: Signature Version 4 in headers (AWS General Reference). Pure.

headers = signed("AKID", "secret", None, "us-east-1", "lambda", "POST", target, {"host": "h:1"}, body, now_s)
"""

from __future__ import annotations

from hashlib import sha256

from .canonical import canonical_request
from .dates import to_basic
from .signing import derive


def signed(
    access_key: str,
    secret: str,
    token: str | None,
    region: str,
    service: str,
    method: str,
    target: str,
    headers: dict[str, str],
    body: bytes,
    now_s: float,
) -> dict[str, str]:
    """The headers of a request with its signature, all names in lower case; `headers` have at least `host`."""
    date = to_basic(now_s)
    everything = {"x-amz-date": date, **headers}
    if token:
        everything["x-amz-security-token"] = token
    names = sorted(everything)
    encoded = {name.encode(): everything[name].encode() for name in names}
    canonical = canonical_request(method.encode(), target.encode(), encoded, names, body)
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{sha256(canonical).hexdigest()}"
    key = derive(secret, date[:8], region, service)
    everything["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={key.sign(to_sign.encode()).decode()}"
    )
    return everything
