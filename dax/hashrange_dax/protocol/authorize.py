"""Verification of authorizeConnection: AWS Signature Version 4 over a fixed request.

    verifier = Verifier(secrets, region, wall_s)
    verifier.verify(access_key, signature, to_sign)      # raises ApiError

What a client signs is always the same request, `POST /` to dax.amazonaws.com with an empty body; only the date and the
scope differ. A session token is not part of what is signed. Pure: secrets and clock are arguments.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from hashrange.errors import CORAL, ApiError

VALID_S: Final = 5 * 60
"""How far a client's clock may be off, and how long a connection stays authorized."""

_CANONICAL: Final = (
    "POST\n/\n\nhost:dax.amazonaws.com\nx-amz-date:{date}\n\nhost;x-amz-date\n" + sha256(b"").hexdigest()
)
_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_DATE: Final = re.compile(r"\d{8}T\d{6}Z", re.ASCII)


def required() -> ApiError:
    """The connection has not been authorized, or too long ago."""
    return ApiError(
        "MissingAuthenticationTokenException",
        "The connection must be authorized first: the client has to sign with an access key of this server.",
        namespace=CORAL,
    )


def unknown_key() -> ApiError:
    """No such access key."""
    return ApiError(
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
        namespace=CORAL,
    )


def invalid(detail: str) -> ApiError:
    """The signature is not that of the access key, or does not hold now."""
    return ApiError("InvalidSignatureException", detail, namespace=CORAL)


class Verifier:
    """Verifies signatures against secrets, a mapping from access key that may change; none: everybody is let in.

    `now_s` is the wall clock in seconds. Signatures for another region than `region` are refused if `strict_region`.
    """

    def __init__(
        self,
        secrets: Mapping[str, str],
        region: str,
        now_s: Callable[[], float],
        strict_region: bool = False,
    ) -> None:
        self._secrets = secrets
        self._region = region
        self._strict_region = strict_region
        self._now_s = now_s

    @property
    def wanted(self) -> bool:
        """Whether connections must be authorized at all."""
        return bool(self._secrets)

    def verify(self, access_key: Any, signature: Any, to_sign: Any) -> None:
        """Accept what authorizeConnection brought, or raise what the next request is to be answered with."""
        if not self._secrets:
            return
        if (
            not isinstance(access_key, str)
            or not isinstance(signature, str)
            or not isinstance(to_sign, bytes)
        ):
            raise invalid(
                "The authorization is not in the form of an access key, a signature and a string to sign."
            )
        secret = self._secrets.get(access_key)
        if secret is None:
            raise unknown_key()
        date, day, region = self._scope(to_sign)
        if self._strict_region and region != self._region:
            raise invalid(f"Credential should be scoped to a valid region, not '{region}'.")
        key = f"AWS4{secret}".encode()
        for part in (day, region, "dax", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        expected = hmac.digest(key, to_sign, "sha256").hex()
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            raise invalid(
                "The request signature we calculated does not match the signature you provided. "
                "Check your AWS Secret Access Key and signing method."
            )
        self._check_time(date)

    def _scope(self, to_sign: bytes) -> tuple[str, str, str]:
        """Date, day and region of a string to sign that is in order."""
        lines = to_sign.decode("utf-8", "replace").split("\n")
        if len(lines) != 4 or lines[0] != _ALGORITHM or not _DATE.fullmatch(lines[1]):
            raise invalid("The string to sign is not that of AWS Signature Version 4.")
        date, scope = lines[1], lines[2].split("/")
        if len(scope) != 4 or scope[2:] != ["dax", "aws4_request"] or scope[0] != date[:8]:
            raise invalid("Credential should be scoped to the day of the request and to the service 'dax'.")
        if lines[3] != sha256(_CANONICAL.format(date=date).encode()).hexdigest():
            raise invalid("What was signed is not the authorization of a connection.")
        return date, scope[0], scope[1]

    def _check_time(self, date: str) -> None:
        try:
            signed_s = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        except ValueError:
            raise invalid("The date of the signature is no date.") from None
        if abs(self._now_s() - signed_s) > VALID_S:
            raise invalid(f"Signature expired or not yet current: {date} is not within 5 minutes of now.")
