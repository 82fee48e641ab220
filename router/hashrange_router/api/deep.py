"""Writes nested so deeply that the service's newer validation layer leaves them to the older one.

The newer layer reads 127 levels of JSON. A PutItem, UpdateItem or DeleteItem with more is refused in any case,
since no attribute value may be that deep, but in the classic wording and with its order of checks. So once
such a request has been refused, `older_answer` looks at its depth and, if need be, asks the classic checks
for the error to answer. Valid requests never come here. Source: observed behaviour of the real service.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from hashrange.errors import ApiError, validation
from hashrange.model.value import CLASSIC
from hashrange_router.api import expressions

LEVELS_MAX: Final = 127
"""Objects and arrays inside one another, the request itself included, that the newer layer reads."""

Request = dict[str, Any]
Check = Callable[[Request], object]


def _check_put(request: Request) -> None:
    CLASSIC.normalise_item(request["Item"])
    expressions.condition_of(request, "classic")


def _check_delete(request: Request) -> None:
    for value in request["Key"].values():
        CLASSIC.normalise_value(value)
    expressions.condition_of(request, "classic")


def _check_update(request: Request) -> None:
    for value in request["Key"].values():
        CLASSIC.normalise_value(value)
    expressions.update_of(request, "classic")


VALUE_CHECKS: Final[dict[str, Check]] = {
    "PutItem": _check_put,
    "UpdateItem": _check_update,
    "DeleteItem": _check_delete,
}
"""Values and expressions of the writes, in the older layer's order; all three take a validated request."""


def older_answer(operation: str, validate: Check) -> Callable[[Request, ApiError], ApiError]:
    """What makes of a refused request and its error the error to answer.

    `validate` is the classic validator of the operation, one of `VALUE_CHECKS`, with its rules on parameters.
    """
    check_values = VALUE_CHECKS[operation]

    def answer(request: Request, error: ApiError) -> ApiError:
        if error.type_name != "ValidationException" or not is_deep(request):
            return error
        try:
            validate(request)
            check_values(request)
        except ApiError as older:
            # Plain, so that it gets no prefix later.
            return (
                validation(older.message) if older.type_name == error.type_name and older.message else older
            )
        return error

    return answer


def is_deep(request: Request) -> bool:
    """Whether a parsed request has more than `LEVELS_MAX` objects and arrays inside one another."""
    level: list[Any] = [request]
    for _ in range(LEVELS_MAX):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if outer.__class__ is dict else outer)
            if inner.__class__ is dict or inner.__class__ is list
        ]
        if not level:
            return False
    return True
