"""Validation of requests against the service model: the first thing done with a parsed request.

`Validation(model, wording)` is made once at start. `compile_validator(operation)` gives a function that takes
the request and returns None, or raises: first SerializationException for JSON of wrong types, then
ValidationException listing every constraint of the model that is broken. Each validator is compiled on first
use and kept. After it come the rules of the single operations (`rules_*`), then the values and expressions.

A valid request costs one dictionary look-up and at most one call for each of its members: see
`validate_quick`. Any doubt goes to the exact passes, which may also change the request: they remove members
that are null, make booleans of the strings the service takes for such, and drop the fraction of a number
where a whole one belongs. So whoever comes later may rely on `name in request` and on JSON types as the model
has them, except inside attribute values, which are not looked at here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hashrange_router.api.model import Operation, ServiceModel, service_model
from hashrange_router.api.prefix import Wording
from hashrange_router.api.validate_constraints import Violation, compile_constraints
from hashrange_router.api.validate_layers import arrangement
from hashrange_router.api.validate_quick import Predicate, compile_quick, plain_type
from hashrange_router.api.validate_types import compile_types

Validator = Callable[[dict[str, Any]], None]


class Validation:
    """The validators of all operations, in one wording."""

    __slots__ = ("_compiled", "_model", "wording")

    def __init__(self, model: ServiceModel | None = None, wording: Wording = "2026") -> None:
        self._model = model or service_model()
        self._compiled: dict[str, Validator] = {}
        self.wording = wording

    def compile_validator(self, operation: str) -> Validator:
        """The validator of one operation of the model; raises KeyError for any other name."""
        validator = self._compiled.get(operation)
        if validator is None:
            described = self._model.operations[operation]
            validator = self._compiled[operation] = quick_validator(
                described, exact_validator(described, self.wording)
            )
        return validator

    def validate(self, operation: str, request: dict[str, Any]) -> None:
        """Check one request; see `compile_validator`."""
        self.compile_validator(operation)(request)


def exact_validator(operation: Operation, wording: Wording) -> Validator:
    """The two exact passes, without the fast path: whatever they accept is valid, and they word all errors.

    Compiled when the first request needs them, because most operations see only valid ones.
    """
    passes: list[Validator] = []

    def validate(request: dict[str, Any]) -> None:
        if not passes:
            passes.append(_exact_passes(operation, wording))
        passes[0](request)

    return validate


def _exact_passes(operation: Operation, wording: Wording) -> Validator:
    shapes, name = operation.shapes, operation.input_shape
    convert = compile_types(shapes, name)
    convert_deeply = compile_types(shapes, name, deep=True)
    check = compile_constraints(shapes, name)
    arrange = arrangement(operation.name, wording)

    def validate(request: dict[str, Any]) -> None:
        convert(request)
        found: list[Violation] = []
        if check is not None:
            check(request, "", found)
        if found:
            convert_deeply(request)
            raise arrange(request, found)

    return validate


def quick_validator(operation: Operation, exact: Validator) -> Validator:
    """The fast path for valid requests of `operation`; all others go to `exact`."""
    shapes, members = operation.shapes, operation.input.members
    types: dict[str, type] = {}
    checks: dict[str, Predicate] = {}
    for name, child in members.items():
        plain = plain_type(shapes, child)
        if plain is None:
            checks[name] = compile_quick(shapes, child)
        else:
            types[name] = plain
    required = operation.input.required

    def validate(request: dict[str, Any]) -> None:
        try:
            for name, value in request.items():
                expected = types.get(name)
                if expected is type(value):
                    continue
                check = checks.get(name)
                if check is None:
                    # No member of this operation is ignored, as the service does. An expression may be Compiled.
                    if expected is None or isinstance(value, expected):
                        continue
                    break
                if not check(value):
                    break
            else:
                if required <= request.keys():
                    return
        except TypeError:
            pass  # an unhashable value where a name or an enum belongs
        exact(request)

    return validate
