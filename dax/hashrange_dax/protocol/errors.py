"""Errors as the clients read them: a sequence of codes, a text, and the error of the API with its HTTP status.

The first code says whether to try again, and the clients read it differently: the Python client repeats whatever does
not begin with 3, the JavaScript client whatever does not begin with 4. So the handshake's user agent decides about
errors that no repetition helps. Sequences are complete ones that the clients know; the name of the error is always told
too, as each client lacks a few.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from hashrange.errors import ApiError
from hashrange_dax.codec.cbor import NULL, array_head, integer, text

RETRYABLE: Final = 1
FINAL: Final = 3
CLIENT: Final = 4

_API: Final[dict[str, int]] = {
    "ProvisionedThroughputExceededException": 40,
    "ResourceNotFoundException": 41,
    "ConditionalCheckFailedException": 43,
    "ResourceInUseException": 45,
    "ValidationException": 46,
    "SerializationException": 46,
    "InternalServerError": 47,
    "ItemCollectionSizeLimitExceededException": 48,
    "LimitExceededException": 49,
    "ThrottlingException": 50,
    "TransactionConflictException": 57,
    "TransactionCanceledException": 58,
    "TransactionInProgressException": 59,
    "IdempotentParameterMismatchException": 60,
    "RequestLimitExceeded": 61,
}
_THROTTLED: Final = frozenset((40, 50, 61))
"""Every client waits and tries these again if they begin with 4."""

_AUTHENTICATION: Final[dict[str, int]] = {
    "UnrecognizedClientException": 32,
    "InvalidSignatureException": 32,
    "MissingAuthenticationTokenException": 33,
}
_UNAVAILABLE: Final = (RETRYABLE, 37, 38, 54)
NOT_IMPLEMENTED: Final = "NotImplementedException"


def not_implemented(method: str) -> ApiError:
    """A method of the protocol that this server does not have."""
    return ApiError(NOT_IMPLEMENTED, f"{method} is not offered over this protocol: use the DynamoDB API.")


def sequence(error: ApiError, final: int) -> tuple[int, ...]:
    """The codes of an error. `final` is the first code that this client takes for: do not try again."""
    name = error.type_name
    code = _API.get(name)
    if code == 47 or (code is None and error.status == 500):
        return (RETRYABLE, 37, 38, 39, 47)
    if code is not None:
        return (CLIENT if code in _THROTTLED else final, 37, 38, 39, code)
    if name in _AUTHENTICATION:
        authentication = _AUTHENTICATION[name]
        return (CLIENT if authentication == 33 else final, 23, 31, authentication)
    if name == "AccessDeniedException":
        return (final, 37, 38, 42)
    if name == NOT_IMPLEMENTED:
        return (final, 37, 38, 44)
    if error.status >= 500:
        return _UNAVAILABLE
    return (final, 37, 38, 39, 46)


def error_reply(
    error: ApiError,
    final: int,
    request_id: str,
    reasons: list[Any] | None = None,
    codes: tuple[int, ...] | None = None,
) -> bytes:
    """An error reply. `reasons` are of a cancelled transaction: code, text and item (bytes) of each action in turn.

    `codes` stands in for the sequence where the place of an error says more than its name.
    """
    codes = codes or sequence(error, final)
    parts = [array_head(len(codes)), *map(integer, codes), text(_sendable(error.message or error.type_name))]
    parts += (
        array_head(3 if reasons is None else 4),
        text(request_id),
        text(error.type_name),
        integer(error.status),
    )
    if reasons is not None:
        parts.append(array_head(len(reasons)))
        parts += [NULL if part is None else part for part in reasons]
    return b"".join(parts)


def _sendable(message: str) -> str:
    """A message may quote what a client has sent, which need not be text that can be sent."""
    return message.encode("utf-8", "replace").decode()


def table_missing(final: int) -> tuple[int, ...]:
    """The codes with which defineKeySchema says that there is no such table."""
    return (final, 23, 24)


def reasons_of(error: ApiError) -> list[dict[str, Any]] | None:
    """The cancellation reasons of a transaction, as plain JSON values."""
    if not error.fields or "CancellationReasons" not in error.fields:
        return None
    reasons: list[dict[str, Any]] = orjson.loads(orjson.dumps(error.fields["CancellationReasons"]))
    return reasons
