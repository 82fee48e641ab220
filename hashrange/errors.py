"""One error type for everything a client may be told, and the one place that turns it into a reply body.

Shapes follow the real service (JSON 1.0 protocol): the `__type` namespace depends on the family of the
error, and so does the case of the message key, which clients read exactly. Inside the programs errors are
raised with the named factories below; only the HTTP front calls `body()`.
"""

from __future__ import annotations

from typing import Any

import orjson

SERVICE = "com.amazonaws.dynamodb.v20120810#"
VALIDATE = "com.amazon.coral.validate#"
CORAL = "com.amazon.coral.service#"


class ApiError(Exception):
    """An error answer: HTTP status, `__type` and message as the service words them.

    `fields` holds further members of the body (for example `CancellationReasons`); a value may be an
    `orjson.Fragment` of stored JSON bytes, so that an item is never decoded only to be reported.
    `message` None means that the body has no text at all. `item_size` is for whoever counts capacity and is never
    shown: the size in bytes of the stored item (0: none) that a condition failed on, which the attempt is charged by.
    """

    __slots__ = ("fields", "item_size", "message", "message_key", "namespace", "status", "type_name")

    def __init__(
        self,
        type_name: str,
        message: str | None,
        *,
        status: int = 400,
        namespace: str = SERVICE,
        message_key: str = "message",
        fields: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{type_name}: {message}")
        self.type_name = type_name
        self.message = message
        self.status = status
        self.namespace = namespace
        self.message_key = message_key
        self.fields = fields
        self.item_size = 0

    def body(self) -> bytes:
        """The JSON body of this error."""
        document: dict[str, Any] = {"__type": self.namespace + self.type_name}
        if self.message is not None:
            document[self.message_key] = self.message
        if self.fields:
            document.update(self.fields)
        return orjson.dumps(document)


def validation(message: str) -> ApiError:
    """ValidationException: the request breaks a rule of the API."""
    return ApiError("ValidationException", message, namespace=VALIDATE)


def invalid_parameter(detail: str) -> ApiError:
    """ValidationException with the common prefix of bad item content."""
    return validation("One or more parameter values were invalid: " + detail)


def serialization(message: str | None = None) -> ApiError:
    """SerializationException: a JSON value has the wrong type, or the body is not JSON (then no text)."""
    return ApiError("SerializationException", message, namespace=CORAL, message_key="Message")


def resource_not_found(message: str = "Requested resource not found") -> ApiError:
    """ResourceNotFoundException with the short text of the item operations, or the one given."""
    return ApiError("ResourceNotFoundException", message)


def table_not_found(name: str) -> ApiError:
    """ResourceNotFoundException as the table operations word it."""
    return resource_not_found(f"Requested resource not found: Table: {name} not found")


def resource_in_use(message: str) -> ApiError:
    """ResourceInUseException: the table exists already, or is being changed."""
    return ApiError("ResourceInUseException", message)


def limit_exceeded(message: str) -> ApiError:
    """LimitExceededException: too many control-plane changes at once."""
    return ApiError("LimitExceededException", message)


CONDITION_FAILED = "ConditionalCheckFailedException"


def conditional_check_failed(item_json: bytes | None = None, item_size: int = 0) -> ApiError:
    """ConditionalCheckFailedException; `item_json` is the stored item to attach, as JSON bytes.

    `item_size` is the size in bytes of the stored item, attached or not; 0 when there is none.
    """
    fields = {"Item": orjson.Fragment(item_json)} if item_json is not None else None
    failure = ApiError(CONDITION_FAILED, "The conditional request failed", fields=fields)
    failure.item_size = item_size
    return failure


def transaction_conflict() -> ApiError:
    """TransactionConflictException: a transaction is under way on the item."""
    return ApiError("TransactionConflictException", "Transaction is ongoing for the item")


def collection_too_large() -> ApiError:
    """ItemCollectionSizeLimitExceededException: more than 10 GB under one key of a table with an LSI."""
    return ApiError("ItemCollectionSizeLimitExceededException", "Collection size exceeded.")


def unknown_operation() -> ApiError:
    """UnknownOperationException: no such target. It carries no text."""
    return ApiError("UnknownOperationException", None, namespace=CORAL)


def internal(message: str = "Internal server error") -> ApiError:
    """InternalServerError, HTTP 500: the outcome of a write is unknown and clients retry."""
    return ApiError("InternalServerError", message, status=500)


def unavailable(message: str) -> ApiError:
    """ServiceUnavailable, HTTP 503: nothing was done; clients retry."""
    return ApiError("ServiceUnavailable", message, status=503)
