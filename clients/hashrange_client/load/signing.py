"""Signature Version 4 for the load generator's requests, with the signing key kept for the day.

Source: AWS General Reference, "Signature Version 4 signing process". Pure: the time is an argument.
"""

from __future__ import annotations

import hashlib
import hmac

ALGORITHM = "AWS4-HMAC-SHA256"
SIGNED_HEADERS = "content-type;host;x-amz-date;x-amz-target"
CONTENT_TYPE = "application/x-amz-json-1.0"


class Signer:
    """Signs POST / requests of one endpoint with one access key."""

    def __init__(self, access_key: str, secret: str, region: str, host_header: str) -> None:
        self._access_key = access_key
        self._secret = secret
        self._region = region
        self._host = host_header
        self._day = ""
        self._signing_key = b""
        self._scope = ""

    def authorization(self, target: str, body: bytes, amz_date: str) -> str:
        """The Authorization header of a request; `amz_date` is its X-Amz-Date, like 20261003T120000Z."""
        day = amz_date[:8]
        if day != self._day:
            self._derive_key(day)
        canonical = (
            f"POST\n/\n\ncontent-type:{CONTENT_TYPE}\nhost:{self._host}\nx-amz-date:{amz_date}\n"
            f"x-amz-target:{target}\n\n{SIGNED_HEADERS}\n{hashlib.sha256(body).hexdigest()}"
        )
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"{ALGORITHM}\n{amz_date}\n{self._scope}\n{digest}"
        signature = hmac.new(self._signing_key, to_sign.encode(), hashlib.sha256).hexdigest()
        return (
            f"{ALGORITHM} Credential={self._access_key}/{self._scope}, "
            f"SignedHeaders={SIGNED_HEADERS}, Signature={signature}"
        )

    def _derive_key(self, day: str) -> None:
        derived = ("AWS4" + self._secret).encode()
        for part in (day, self._region, "dynamodb", "aws4_request"):
            derived = hmac.new(derived, part.encode(), hashlib.sha256).digest()
        self._day = day
        self._signing_key = derived
        self._scope = f"{day}/{self._region}/dynamodb/aws4_request"


def constant_authorization(region: str) -> str:
    """A header that has the form of a signature, for servers that accept any credentials."""
    return (
        f"{ALGORITHM} Credential=hashrange/20261001/{region}/dynamodb/aws4_request, "
        f"SignedHeaders={SIGNED_HEADERS}, Signature={'0' * 64}"
    )
