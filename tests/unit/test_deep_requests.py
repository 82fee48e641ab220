"""Writes nested beyond what the newer validation layer reads: the older layer words their errors."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_router.api.deep import VALUE_CHECKS, is_deep, older_answer
from hashrange_router.api.validate import Validation

from hashrange.errors import ApiError, serialization, validation

KEY = {"pk": {"S": "a"}}
NESTING = (
    "Nesting Levels have exceeded supported limits: "
    "Attributes in the item have nested levels beyond supported limit"
)
CURRENT = validation("1 validation error detected: as the newer layer words it")


def nested(levels: int) -> dict[str, Any]:
    """A string in `levels` maps."""
    value: dict[str, Any] = {"S": "leaf"}
    for _ in range(levels):
        value = {"M": {"n": value}}
    return value


def answer(operation: str, request: dict[str, Any], error: ApiError = CURRENT) -> ApiError:
    validate = Validation(wording="classic").compile_validator(operation)
    return older_answer(operation, validate)({"TableName": "abc", **request}, error)


def test_the_depth_of_a_request_counts_objects_and_arrays() -> None:
    assert not is_deep({})
    assert not is_deep({"Item": {"a": nested(62)}})  # 3 levels around 62 times 2
    assert is_deep({"Item": {"a": nested(63)}})
    assert not is_deep({"Expected": {"a": {"Value": nested(61)}}})
    assert is_deep({"Expected": {"a": {"Value": nested(62)}}})
    lists: Any = []
    for _ in range(125):
        lists = [lists]
    assert not is_deep({"Item": lists})
    assert is_deep({"Item": [lists]})


@pytest.mark.parametrize("levels", [33, 40, 62])
def test_the_newer_layer_keeps_what_it_can_read(levels: int) -> None:
    assert answer("PutItem", {"Item": {**KEY, "a": nested(levels)}}) is CURRENT


def test_values_nested_deeper() -> None:
    assert answer("PutItem", {"Item": {**KEY, "a": nested(63)}}).message == NESTING
    condition = {"ConditionExpression": "a = :v", "ExpressionAttributeValues": {":v": nested(63)}}
    for operation in ("UpdateItem", "DeleteItem"):
        error = answer(operation, {"Key": KEY, **condition})
        assert error.message == f"ExpressionAttributeValues contains invalid value: {NESTING} for key :v"
        assert answer(operation, {"Key": {"pk": nested(100)}}).message == NESTING


def test_enums_come_first_and_name_the_value() -> None:
    expected = {"a": {"Value": nested(100)}, "b": {"Exists": False}}
    error = answer("PutItem", {"Item": KEY, "Expected": expected, "ConditionalOperator": "XOR"})
    assert error.message == (
        "1 validation error detected: Value 'XOR' at 'conditionalOperator' failed to satisfy constraint: "
        "Member must satisfy enum value set: [OR, AND]"
    )


def test_a_deep_part_that_nothing_looks_at() -> None:
    for operation in VALUE_CHECKS:
        member = {"Item": KEY} if operation == "PutItem" else {"Key": KEY}
        assert answer(operation, {**member, "Unknown": nested(100)}) is CURRENT


def test_only_validation_errors_are_reconsidered() -> None:
    error = serialization()
    assert answer("PutItem", {"Item": {"a": nested(100)}}, error) is error
