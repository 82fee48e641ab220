"""The errors of the Application Auto Scaling API, as that service gives them: no namespace, `message` in lower case."""

from __future__ import annotations

from hashrange.errors import ApiError
from hashrange.model.scaling import Scalable


def _error(type_name: str, message: str, status: int = 400) -> ApiError:
    return ApiError(type_name, message, status=status, namespace="")


def validation(message: str) -> ApiError:
    """ValidationException: the request breaks a rule of the API."""
    return _error("ValidationException", message)


def not_found(message: str) -> ApiError:
    """ObjectNotFoundException: no such target, policy or action."""
    return _error("ObjectNotFoundException", message)


def no_target(verb: str, what: Scalable) -> ApiError:
    """ObjectNotFoundException for a target; `verb` is "found" or "registered", which depends on the operation."""
    return not_found(f"No scalable target {verb} for {in_words(what)}")


def in_words(what: Scalable) -> str:
    """A target as messages name it."""
    return (
        f"service namespace: dynamodb, resource ID: {what.resource_id}, scalable dimension: {what.dimension}"
    )


def resource_not_found(arn: str) -> ApiError:
    """ResourceNotFoundException of the operations on tags."""
    error = _error("ResourceNotFoundException", f"The resource doesn't exist: {arn}")
    error.fields = {"ResourceName": arn}
    return error


def too_many_tags(arn: str, limit: int) -> ApiError:
    """TooManyTagsException."""
    error = _error("TooManyTagsException", f"A scalable target has at most {limit} tags")
    error.fields = {"ResourceName": arn}
    return error


def limit_exceeded(message: str) -> ApiError:
    """LimitExceededException."""
    return _error("LimitExceededException", message)


def invalid_token() -> ApiError:
    """InvalidNextTokenException."""
    return _error("InvalidNextTokenException", "The next token supplied is invalid")


def concurrent_update() -> ApiError:
    """ConcurrentUpdateException: others changed the same target all the time."""
    return _error("ConcurrentUpdateException", "The scalable target is being changed by too many at once")


def as_service(operation: str, error: ApiError) -> ApiError:
    """Any error of the router or the control plane in this service's shape."""
    if not error.namespace:
        return error
    name = "InternalServiceException" if error.type_name == "InternalServerError" else error.type_name
    return _error(name, error.message or "", error.status)
