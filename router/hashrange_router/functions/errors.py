"""The errors of the Lambda API: a type, which the header x-amzn-ErrorType names, a status, a text in the body."""

from __future__ import annotations

from typing import Any

from hashrange.errors import ApiError


def _error(type_name: str, message: str, status: int = 400, **fields: Any) -> ApiError:
    return ApiError(
        type_name, message, status=status, namespace="", message_key="Message", fields=fields or None
    )


def validation(message: str) -> ApiError:
    """ValidationException: a member breaks a constraint of the API's model."""
    return _error("ValidationException", message)


def invalid(message: str) -> ApiError:
    """InvalidParameterValueException: a parameter has a value that cannot be taken."""
    return _error("InvalidParameterValueException", message)


def unsupported(what: str, why: str = "") -> ApiError:
    """InvalidParameterValueException for something that the service has and this server has not."""
    return invalid(f"{what} is not supported by this server{': ' if why else ''}{why}")


def not_found(message: str) -> ApiError:
    """ResourceNotFoundException."""
    return _error("ResourceNotFoundException", message, 404)


def function_not_found(arn: str) -> ApiError:
    """ResourceNotFoundException for a function, a version or an alias."""
    return not_found(f"Function not found: {arn}")


def conflict(message: str) -> ApiError:
    """ResourceConflictException."""
    return _error("ResourceConflictException", message, 409)


def in_use(message: str) -> ApiError:
    """ResourceInUseException."""
    return _error("ResourceInUseException", message)


def precondition_failed() -> ApiError:
    """PreconditionFailedException: the RevisionId given is not that of the resource."""
    return _error(
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. Call the "
        "GetFunction/GetAlias API to retrieve the latest Revision Id",
        412,
    )


def too_large(limit: int, operation: str) -> ApiError:
    """RequestTooLargeException: the request has more bytes than the operation takes."""
    return _error(
        "RequestTooLargeException",
        f"Request must be smaller than {limit} bytes for the {operation} operation",
        413,
    )


def bad_content(message: str) -> ApiError:
    """InvalidRequestContentException: the payload is not JSON."""
    return _error("InvalidRequestContentException", message)


def code_storage_exceeded(limit: int) -> ApiError:
    """CodeStorageExceededException: the packages of all functions are too large."""
    return _error("CodeStorageExceededException", f"Code storage limit exceeded. Limit: {limit} bytes")


def too_many_versions(name: str, limit: int) -> ApiError:
    """CodeStorageExceededException: one function has too many versions."""
    return _error(
        "CodeStorageExceededException",
        f"A function has at most {limit} versions here: delete some of {name} that are no longer needed",
    )


def too_many_aliases(limit: int) -> ApiError:
    """AliasLimitExceededException: one function has too many aliases."""
    return _error("AliasLimitExceededException", f"A function has at most {limit} aliases here")


def policy_too_long(limit: int) -> ApiError:
    """PolicyLengthExceededException."""
    return _error(
        "PolicyLengthExceededException", f"The final policy size is bigger than the limit ({limit})."
    )


def concurrent_update(name: str) -> ApiError:
    """ResourceConflictException: others changed the same function all the time."""
    return conflict(
        f"The operation cannot be performed at this time. An update is in progress for resource: {name}"
    )


def unknown_operation() -> ApiError:
    """No such method and path."""
    return _error("UnknownOperationException", "Unknown operation", 404)


def serialization(message: str) -> ApiError:
    """SerializationException: the body is not what the operation takes."""
    return _error("SerializationException", message)


_OWN_NAMES = {
    "InternalServerError": ("ServiceException", 500),
    "ServiceUnavailable": ("ServiceException", 503),
    "ThrottlingException": ("TooManyRequestsException", 429),
}


_FORBIDDEN = frozenset(
    {
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "UnrecognizedClientException",
    }
)


def as_service(error: ApiError) -> ApiError:
    """Any error of this program in the service's shape. Refused signatures have a status of their own here."""
    type_name, status = _OWN_NAMES.get(error.type_name, (error.type_name, error.status))
    if type_name in _FORBIDDEN:
        status = 403
    return ApiError(
        type_name,
        error.message or "",
        status=status,
        namespace="",
        message_key="Message",
        fields=error.fields,
    )


_CAPITAL = frozenset({"ResourceInUseException", "ResourceNotFoundException", "ServiceException"})
"""Errors whose text is in `Message`; that of the others is in `message` (service model of Lambda)."""


def body_of(error: ApiError) -> dict[str, Any]:
    """The JSON body of an error."""
    kind = "Service" if error.status >= 500 else "User"
    key = "Message" if error.type_name in _CAPITAL else "message"
    return {"Type": kind, key: error.message, **(error.fields or {})}
