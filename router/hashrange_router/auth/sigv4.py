"""Verification of AWS Signature Version 4.

Pure: credentials and clock are arguments. There are two ways through:

- The exact way checks everything in the service's order and words its refusals.
- The short way serves the request of a client seen before. Of its Authorization header everything but the
  signature stays the same all day, so that stem is the key of a cache: behind it are the signing key, the
  list of signed headers as one look-up, and the canonical request as a template. The short way only ever says
  yes; whatever it does not accept takes the exact way.

The hash of the payload is always computed from the body received. An x-amz-content-sha256 header is only a
header: one that says UNSIGNED-PAYLOAD does not spare the body from being signed (observed behaviour; only S3
has such a thing).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from operator import itemgetter

from hashrange.errors import ApiError

from . import failures
from .authorization import SIGNATURE_CHARACTERS, Claim, SignedRequest, find_claim
from .canonical import canonical_request
from .dates import parse_date, to_basic
from .signing import SigningKey, SigningKeys

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
SKEW_S = 15 * 60
"""How far a client's clock may be off, and how long a signature lives."""

_STEMS_MAX = 1024
_DATES_MAX = 1024
_EXPIRES_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Secret:
    """What belongs to an access key. Temporary credentials have a session token, which requests must
    carry."""

    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class _Stem:
    """Everything about one Authorization header but the signature, prepared for the short way."""

    access_key: str
    secret: Secret
    token: bytes | None
    day: bytes
    service: str
    values: Callable[[Mapping[bytes, bytes]], tuple[bytes, ...]]
    canonical: bytes  # template: header values, payload hash
    to_sign: bytes  # template: date, hash of the canonical request
    key: SigningKey


class Verifier:
    """Verifies requests against credentials.

    credentials: access key to Secret; looked up anew for each request, so it may change.  region: the one
    this endpoint serves; with `strict_region` a signature for another is refused, otherwise regions are not
    compared.  clock: Unix time in seconds.
    """

    def __init__(
        self,
        credentials: Mapping[str, Secret],
        region: str,
        clock: Callable[[], float],
        *,
        strict_region: bool = False,
    ) -> None:
        self._credentials = credentials
        self._region = region
        self._clock = clock
        self._strict_region = strict_region
        self._keys = SigningKeys()
        self._stems: dict[bytes, _Stem] = {}
        self._dates: dict[bytes, float] = {}

    def verify(self, request: SignedRequest, service: str = "dynamodb") -> str:
        """The access key that signed the request for `service`; raises the service's ApiError if none did."""
        authorization = request.headers.get(b"authorization")
        if authorization is not None:
            stem = self._stems.get(authorization[:-SIGNATURE_CHARACTERS])
            if stem is not None and stem.service == service and self._accepts(stem, request, authorization):
                return stem.access_key
        return self._verify_exactly(request, service)

    # The short way.

    def _accepts(self, stem: _Stem, request: SignedRequest, authorization: bytes) -> bool:
        """Whether a request under a known stem is in order. False means: take the exact way."""
        headers = request.headers
        date = headers.get(b"x-amz-date", b"")
        signed_at = self._dates.get(date) or self._remember_date(date)
        if (
            not -SKEW_S <= self._clock() - signed_at <= SKEW_S
            or date[:8] != stem.day
            or request.target != b"/"
            or request.method != b"POST"
            or self._credentials.get(stem.access_key) is not stem.secret
        ):
            return False
        try:
            values = stem.values(headers)
        except KeyError:
            return False
        canonical = stem.canonical % (*values, sha256(request.wire_body).hexdigest().encode())
        signature = stem.key.sign(stem.to_sign % (date, sha256(canonical).hexdigest().encode()))
        return (
            compare_digest(signature, authorization[-SIGNATURE_CHARACTERS:])
            and headers.get(b"x-amz-security-token") == stem.token
        )

    def _remember_date(self, date: bytes) -> float:
        """Parses and caches the date of a request; 0.0, which is out of time, when it is not in order."""
        try:
            signed_at = parse_date(date.decode("latin-1"))
        except ApiError:
            return 0.0
        if len(self._dates) >= _DATES_MAX:
            self._dates.clear()
        self._dates[date] = signed_at
        return signed_at

    def _remember_stem(
        self, authorization: bytes, claim: Claim, elements: list[str], secret: Secret, key: SigningKey
    ) -> None:
        """Prepares the short way for further requests of this client.

        Only stems that sign the target: the short way does not look for an unsigned one.
        """
        stem = authorization[:-SIGNATURE_CHARACTERS]
        names = [name.encode("latin-1") for name in claim.signed_headers]
        if not stem.endswith(b"Signature=") or b"x-amz-target" not in names:
            return
        access_key, day, _, service, _ = elements
        scope = "/".join(elements[1:]).encode().replace(b"%", b"%%")
        escaped = [name.replace(b"%", b"%%") for name in names]
        lines = [b"POST", b"/", b"", *(name + b":%b" for name in escaped), b"", b";".join(escaped), b"%b"]
        if len(self._stems) >= _STEMS_MAX:
            self._stems.clear()
        self._stems[stem] = _Stem(
            access_key=access_key,
            secret=secret,
            token=None if secret.session_token is None else secret.session_token.encode("latin-1"),
            day=day.encode(),
            service=service,
            values=itemgetter(*names),
            canonical=b"\n".join(lines),
            to_sign=b"\n".join((ALGORITHM.encode(), b"%b", scope, b"%b")),
            key=key,
        )

    # The exact way.

    def _verify_exactly(self, request: SignedRequest, service: str) -> str:
        claim = find_claim(request)
        signed_at = parse_date(claim.date)
        elements = _check_form(claim, request)
        access_key, day, region, _, _ = elements
        secret = self._credentials.get(access_key)
        if secret is None:
            raise failures.unknown_access_key()
        self._check_time(claim, signed_at)
        self._check_scope(elements, to_basic(signed_at)[:8], service)
        key = self._keys.get(access_key, secret.secret_key, day, region, service)
        canonical = canonical_request(
            request.method, request.target, request.headers, claim.signed_headers, request.wire_body
        )
        scope = "/".join(elements[1:])
        to_sign = f"{ALGORITHM}\n{to_basic(signed_at)}\n{scope}\n{sha256(canonical).hexdigest()}"
        if not compare_digest(key.sign(to_sign.encode()), claim.signature.encode("utf-8", "replace")):
            raise failures.invalid_signature()
        _check_session_token(claim, secret)
        authorization = request.headers.get(b"authorization")
        if authorization is not None:
            self._remember_stem(authorization, claim, elements, secret, key)
        return access_key

    def _check_time(self, claim: Claim, signed_at: float) -> None:
        """Signatures hold for 15 minutes, even if X-Amz-Expires asks for longer; a shorter time counts."""
        now = self._clock()
        lifetime_s = SKEW_S
        if claim.expires is not None and claim.expires.isdecimal() and len(claim.expires) <= _EXPIRES_DIGITS:
            lifetime_s = min(lifetime_s, int(claim.expires))
        date = to_basic(signed_at)
        if now - signed_at > lifetime_s:
            lifetime = f"{lifetime_s // 60} min" if lifetime_s % 60 == 0 else f"{lifetime_s} sec"
            raise failures.invalid_signature(
                f"Signature expired: {date} is now earlier than {to_basic(now - lifetime_s)} "
                f"({to_basic(now)} - {lifetime}.)"
            )
        if signed_at - now > SKEW_S:
            raise failures.invalid_signature(
                f"Signature not yet current: {date} is still later than {to_basic(now + SKEW_S)} "
                f"({to_basic(now)} + {SKEW_S // 60} min.)"
            )

    def _check_scope(self, elements: list[str], day: str, service: str) -> None:
        """All that is wrong with the credential scope is told at once."""
        message = ""
        if self._strict_region and elements[2] != self._region:
            message += "Credential should be scoped to a valid region. "
        if elements[3] != service:
            message += f"Credential should be scoped to correct service: '{service}'. "
        if elements[4] != TERMINATOR:
            message += f"Credential should be scoped with a valid terminator: '{TERMINATOR}'. "
        if elements[1] != day:
            message += (
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP. "
            )
        if message:
            raise failures.invalid_signature(message)


def _check_form(claim: Claim, request: SignedRequest) -> list[str]:
    """What can be said without knowing any credentials. Returns the five elements of the credential."""
    if "host" not in claim.signed_headers:
        raise failures.invalid_signature(
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
        )
    if b"x-amz-target" in request.headers and "x-amz-target" not in claim.signed_headers:
        # Otherwise a signature for one operation could be sent along with another.
        raise failures.invalid_signature("'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.")
    if claim.algorithm != ALGORITHM:
        raise failures.incomplete(
            f"Unsupported AWS 'algorithm': '{claim.algorithm}' (only {ALGORITHM} for now). "
        )
    elements = claim.credential.rstrip("/").split("/")
    if len(elements) != 5:
        raise failures.incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{claim.credential}'"
        )
    return elements


def _check_session_token(claim: Claim, secret: Secret) -> None:
    if secret.session_token is None:
        if claim.session_token is not None:
            raise failures.wrong_session_token()
        return
    if claim.session_token is None:
        raise failures.unknown_access_key()
    if not compare_digest(claim.session_token.encode(), secret.session_token.encode()):
        raise failures.wrong_session_token()
