"""Rules on parameters that several data operations share: expressions against the older parameters.

Each `check_*` here takes a request that has passed its validator, so types are right and no member is null.
The order of the rules is the service's: a mixture first, then names and values without an expression, then
what is particular to an operation, then empty maps. Source of the texts and their order: observed behaviour
of the real service.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from hashrange.errors import ApiError, invalid_parameter, validation
from hashrange_router.api.prefix import Wording, rejection

NAMES: Final = "ExpressionAttributeNames"
VALUES: Final = "ExpressionAttributeValues"

WITHOUT_EXPRESSION: Final = " can only be specified when using expressions"
EMPTY_MAP: Final = " must not be empty"
OPERATOR_ALONE: Final = "ConditionalOperator cannot be used without Filter or Expected"
OPERATOR_FOR_ONE: Final = (
    "ConditionalOperator can only be used when Filter or Expected has two or more elements"
)
EMPTY_ATTRIBUTE_NAME: Final = "Empty attribute name"


class Parameters(NamedTuple):
    """How one operation takes conditions and projections, members in the order in which errors list them.

    `expressions` are its expressions, `legacy` the older parameters that exclude them, `with_values` those
    expressions that can use values (none: the operation takes no values, and ignores any), `filter` the older
    parameter that a ConditionalOperator joins.
    """

    operation: str
    expressions: tuple[str, ...]
    legacy: tuple[str, ...]
    with_values: tuple[str, ...]
    filter: str


def check_expressions(request: dict[str, Any], parameters: Parameters, wording: Wording) -> None:
    """Mixture of expressions with older parameters; names or values without an expression to use them."""
    operation, expressions, legacy, with_values, _ = parameters
    used = [name for name in expressions if name in request]
    if used:
        mixed = [name for name in legacy if name in request]
        if "KeyConditions" in mixed and "KeyConditionExpression" not in used:
            mixed.remove("KeyConditions")  # a filter expression may go with the older key conditions
        if mixed:
            raise rejection(operation, mixture(mixed, used), wording)
    elif NAMES in request:
        raise rejection(operation, NAMES + WITHOUT_EXPRESSION, wording)
    if with_values and VALUES in request and not any(name in request for name in with_values):
        raise values_without_expression(operation, with_values, wording)


def mixture(legacy: list[str], expressions: list[str]) -> str:
    """The text for older parameters and expressions in one request."""
    return (
        "Can not use both expression and non-expression parameters in the same request: "
        f"Non-expression parameters: {{{', '.join(legacy)}}} "
        f"Expression parameters: {{{', '.join(expressions)}}}"
    )


def values_without_expression(operation: str, with_values: tuple[str, ...], wording: Wording) -> ApiError:
    """The error for values that no expression can use; the classic wording names the missing expressions."""
    text = VALUES + WITHOUT_EXPRESSION
    if wording == "classic":
        verb = "is" if len(with_values) == 1 else "are"
        text += f": {' and '.join(with_values)} {verb} null"
    return rejection(operation, text, wording)


def check_empty_maps(request: dict[str, Any], parameters: Parameters, wording: Wording) -> None:
    """Names and values, where given at all, must hold something."""
    for member in (NAMES, VALUES) if parameters.with_values else (NAMES,):
        given = request.get(member)
        if given is not None and not given:
            raise rejection(parameters.operation, member + EMPTY_MAP, wording)


def check_conditional_operator(request: dict[str, Any], parameters: Parameters, wording: Wording) -> None:
    """A ConditionalOperator needs at least two older conditions to join."""
    if "ConditionalOperator" not in request:
        return
    conditions = request.get(parameters.filter)
    if not conditions:
        raise rejection(parameters.operation, OPERATOR_ALONE, wording)
    if len(conditions) < 2:
        raise rejection(parameters.operation, OPERATOR_FOR_ONE, wording)


def check_attributes_to_get(names: list[str] | None) -> None:
    """The older projection: each name once, none empty."""
    if names is None:
        return
    seen: set[str] = set()
    for name in names:
        if not name:
            raise validation(EMPTY_ATTRIBUTE_NAME)
        if name in seen:
            raise invalid_parameter(f"Duplicate value in attribute name: {name}")
        seen.add(name)
