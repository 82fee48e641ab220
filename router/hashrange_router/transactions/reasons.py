"""Why a transaction was cancelled: the reasons as the service words them, in the order of the request's items.

Codes and texts: DynamoDB API Reference, TransactionCanceledException, and observed behaviour of the real service.
"""

from __future__ import annotations

from typing import Any, Final

from hashrange.errors import ApiError
from hashrange.model.throttling import PROVISIONED_TYPE, is_throttling

CONDITIONAL_CHECK_FAILED: Final = "ConditionalCheckFailed"
TRANSACTION_CONFLICT: Final = "TransactionConflict"
COLLECTION_TOO_LARGE: Final = "ItemCollectionSizeLimitExceeded"
PROVISIONED_EXCEEDED: Final = "ProvisionedThroughputExceeded"
THROTTLING_ERROR: Final = "ThrottlingError"
VALIDATION_ERROR: Final = "ValidationError"
NONE: Final = "None"

CONFLICT_TEXT: Final = "Transaction is ongoing for the item"

Reason = dict[str, Any]
"""`Code`, `Message` (absent for None) and `Item` (only for a failed condition that asked for it)."""

_CODES: Final = {
    "ConditionalCheckFailedException": CONDITIONAL_CHECK_FAILED,
    "TransactionConflictException": TRANSACTION_CONFLICT,
    "ItemCollectionSizeLimitExceededException": COLLECTION_TOO_LARGE,
    "ValidationException": VALIDATION_ERROR,
}


class Cancelled(ApiError):  # noqa: N818 - named as what it is an answer to
    """TransactionCanceledException. `reasons` has one entry for each item of the request.

    `errors` are those of single items that led to it, by number, as far as there are any.
    """

    __slots__ = ("errors", "reasons")

    def __init__(self, reasons: list[Reason], errors: dict[int, ApiError] | None = None) -> None:
        self.reasons = reasons
        self.errors = errors or {}
        codes = ", ".join(reason["Code"] for reason in reasons)
        super().__init__(
            "TransactionCanceledException",
            "Transaction cancelled, please refer cancellation reasons for specific reasons [" + codes + "]",
            message_key="Message",
            fields={"CancellationReasons": reasons},
        )


def reason_code(error: ApiError) -> str | None:
    """The code under which an item's error cancels a transaction; None for what is no reason but a failure."""
    if is_throttling(error):
        return PROVISIONED_EXCEEDED if error.type_name == PROVISIONED_TYPE else THROTTLING_ERROR
    return _CODES.get(error.type_name)


def cancelled(count: int, errors: dict[int, ApiError]) -> Cancelled:
    """The cancellation of a transaction of `count` items, of which those in `errors` stand against it.

    All of the errors must have a code (see `reason_code`).
    """
    return Cancelled(
        [_reason(errors[number]) if number in errors else {"Code": NONE} for number in range(count)]
    )


def conflict(count: int, numbers: list[int]) -> Cancelled:
    """The cancellation for items that something else is writing."""
    reason = {"Code": TRANSACTION_CONFLICT, "Message": CONFLICT_TEXT}
    chosen = set(numbers)
    return Cancelled([reason if number in chosen else {"Code": NONE} for number in range(count)])


def _reason(error: ApiError) -> Reason:
    reason: Reason = {"Code": reason_code(error), "Message": error.message}
    if error.fields and "Item" in error.fields:
        reason["Item"] = error.fields["Item"]
    return reason


def in_progress() -> ApiError:
    """TransactionInProgressException: the first request with the token is still being worked on."""
    return ApiError(
        "TransactionInProgressException",
        "The transaction with the given request token is already in progress.",
        message_key="Message",
    )


def mismatch() -> ApiError:
    """IdempotentParameterMismatchException: the token was used for another request."""
    return ApiError(
        "IdempotentParameterMismatchException",
        "DynamoDB rejected the request because you retried a request with a different payload but with an "
        "idempotent token that was already used.",
        message_key="Message",
    )
