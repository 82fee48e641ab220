"""Finding and parsing the signature of a request, in the Authorization header or in the query string.

Pure. The result is a `Claim`: what the client says it signed, not yet believed. Failures are raised as the
ApiError the service answers, in the order the service checks them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote_plus

from . import failures

SIGNATURE_CHARACTERS = 64
"""A SHA-256 HMAC in hexadecimal."""

_SEPARATORS = re.compile(r"[,\s]+")
_HEADER_PARTS = ("Credential", "Signature", "SignedHeaders")
_QUERY_PARTS = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date")
_COMPLETE_MAX = 1024

# Authorization headers without their signature that were found complete: clients send the same one all day.
_complete: set[bytes] = set()


class SignedRequest(Protocol):
    """The parts of a request that a signature covers. Header names are in lower case, repeated values joined
    by comma.

    `wire_body` is the body as received, before any content encoding is undone.
    """

    @property
    def method(self) -> bytes: ...
    @property
    def target(self) -> bytes: ...
    @property
    def headers(self) -> Mapping[bytes, bytes]: ...
    @property
    def wire_body(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Claim:
    """A signature as presented. `date` is X-Amz-Date or Date as sent; `expires` only comes with query
    parameters."""

    algorithm: str
    credential: str
    signed_headers: tuple[str, ...]
    signature: str
    date: str
    session_token: str | None
    in_query: bool
    expires: str | None = None


def check_presence(request: SignedRequest) -> None:
    """Raises if the request carries no signature, an incomplete one, or two; checks nothing else of it."""
    headers = request.headers
    authorization = headers.get(b"authorization")
    if (
        authorization is not None
        and authorization[:-SIGNATURE_CHARACTERS] in _complete
        and headers.get(b"x-amz-date")
        and request.target == b"/"
    ):
        return
    claim = find_claim(request)
    if authorization is not None and len(claim.signature) == SIGNATURE_CHARACTERS:
        stem = authorization[:-SIGNATURE_CHARACTERS]
        if stem.endswith(b"Signature="):
            if len(_complete) >= _COMPLETE_MAX:
                _complete.clear()
            _complete.add(stem)


def find_claim(request: SignedRequest) -> Claim:
    """The signature of the request. Raises what the service answers to none, two, or less than one."""
    authorization = request.headers.get(b"authorization")
    query = query_parameters(request.target) if b"X-Amz-Algorithm" in request.target else {}
    in_query = "X-Amz-Algorithm" in query
    if authorization is not None:
        if in_query:
            raise failures.both_forms()
        return _claim_in_header(authorization.decode("latin-1"), request.headers)
    if in_query:
        return _claim_in_query(query)
    raise failures.missing_token()


def _claim_in_header(authorization: str, headers: Mapping[bytes, bytes]) -> Claim:
    if not authorization.lstrip().startswith("AWS4-"):
        raise failures.missing_token()
    algorithm, *parts = _SEPARATORS.split(authorization.strip(", \t"))
    values: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals:
            raise failures.not_a_pair(authorization)
        values[key] = value
    missing = [part for part in _HEADER_PARTS if not values.get(part)]
    if "SignedHeaders" in values and "SignedHeaders" in missing:
        # An empty list is complete; that the Host must be in it is a later check.
        missing.remove("SignedHeaders")
    message = "".join(f"Authorization header requires '{part}' parameter. " for part in missing)
    date = headers.get(b"x-amz-date") or headers.get(b"date")
    if not date:
        message += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
    if message or not date:
        raise failures.incomplete(f"{message}Authorization={authorization}")
    token = headers.get(b"x-amz-security-token")
    return Claim(
        algorithm=algorithm,
        credential=values["Credential"],
        signed_headers=tuple(values["SignedHeaders"].lower().split(";")),
        signature=values["Signature"],
        date=date.decode("latin-1"),
        session_token=None if token is None else token.decode("latin-1"),
        in_query=False,
    )


def _claim_in_query(query: Mapping[str, str]) -> Claim:
    message = "".join(
        f"AWS query-string parameters must include '{part}'. " for part in _QUERY_PARTS if not query.get(part)
    )
    if message:
        raise failures.incomplete(message + "Re-examine the query-string parameters.")
    return Claim(
        algorithm=query["X-Amz-Algorithm"],
        credential=query["X-Amz-Credential"],
        signed_headers=tuple(query["X-Amz-SignedHeaders"].lower().split(";")),
        signature=query["X-Amz-Signature"],
        date=query["X-Amz-Date"],
        session_token=query.get("X-Amz-Security-Token"),
        in_query=True,
        expires=query.get("X-Amz-Expires"),
    )


def query_parameters(target: bytes) -> dict[str, str]:
    """The decoded query parameters of a request target; of repeated names the last one counts."""
    parameters: dict[str, str] = {}
    for pair in target.partition(b"?")[2].decode("latin-1").split("&"):
        name, _, value = pair.partition("=")
        parameters[unquote_plus(name)] = unquote_plus(value)
    return parameters
