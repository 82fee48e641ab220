"""Validation against any JSON: only ApiError is raised, and the fast path decides as the exact one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hashrange_router.api.model import Shape, Shapes, service_model
from hashrange_router.api.prefix import Wording
from hashrange_router.api.rules_batch import check_batch_get_item, check_batch_write_item
from hashrange_router.api.rules_item import (
    check_delete_item,
    check_get_item,
    check_put_item,
    check_update_item,
)
from hashrange_router.api.rules_query import check_query, check_scan
from hashrange_router.api.validate import Validation, exact_validator, quick_validator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashrange.errors import ApiError

RULES: dict[str, Callable[[dict[str, Any], Wording], None]] = {
    "PutItem": check_put_item,
    "GetItem": check_get_item,
    "UpdateItem": check_update_item,
    "DeleteItem": check_delete_item,
    "Query": check_query,
    "Scan": check_scan,
    "BatchGetItem": check_batch_get_item,
    "BatchWriteItem": check_batch_write_item,
}
OPERATIONS = [*RULES, "TransactWriteItems", "CreateTable", "UpdateTable", "GetRecords"]
WORDINGS: tuple[Wording, ...] = ("2026", "classic")
VALIDATIONS = {wording: Validation(wording=wording) for wording in WORDINGS}
EXACT = {
    (name, wording): exact_validator(service_model().operations[name], wording)
    for name in OPERATIONS
    for wording in WORDINGS
}

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 300)
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
    | st.sampled_from(["abc", "true", "ALL_OLD", "COUNT", "HASH", "NONE", "arn:x", "a" * 256])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


class Requests:
    """Strategies for requests of one service: `exact` ones are valid; the others may break a constraint
    anywhere, and with `wild` have any JSON in any place."""

    def __init__(self, shapes: Shapes, *, exact: bool, wild: bool) -> None:
        self.shapes = shapes
        self.exact = exact
        self.wild = wild

    def of(self, name: str, depth: int = 0) -> st.SearchStrategy[Any]:
        """Values of the shape `name`."""
        shape = self.shapes[name]
        strategy = self._of_shape(shape, depth) if depth < 8 else st.just({})
        if self.wild and depth:
            return st.one_of([strategy] * 15 + [JSON])
        return strategy

    def _of_shape(self, shape: Shape, depth: int) -> st.SearchStrategy[Any]:
        if shape.name == "AttributeValue":
            return st.sampled_from([{"S": "x"}, {"N": "1"}, {"L": [{"S": "x"}]}, {"M": {}}, {"B": "AA=="}])
        if shape.kind == "structure":
            members = {name: self.of(child, depth + 1) for name, child in shape.members.items()}
            needed = {name: members.pop(name) for name in sorted(shape.required)}
            if not self.exact:
                needed = {name: st.one_of([child] * 7 + [st.none()]) for name, child in needed.items()}
            return st.fixed_dictionaries(needed, optional=members)
        low = (shape.minimum or 0) if self.exact else 0
        if shape.kind == "list":
            return st.lists(self.of(shape.element, depth + 1), min_size=low, max_size=low + 2)
        if shape.kind == "map":
            names = st.sampled_from(["abc", "abd", "a.b"] if self.exact else ["abc", "a!", "#a"])
            return st.dictionaries(names, self.of(shape.value, depth + 1), min_size=low, max_size=low + 1)
        return self._of_scalar(shape)

    def _of_scalar(self, shape: Shape) -> st.SearchStrategy[Any]:
        if shape.kind == "boolean":
            return st.booleans()
        if shape.kind in ("timestamp", "double"):
            return st.integers(0, 2**31) | st.floats(0, 1e9)
        if shape.kind in ("integer", "long"):
            low, high = shape.minimum or 0, 100 if shape.maximum is None else shape.maximum
            if self.exact:
                return st.integers(low, min(high, 1000))
            return st.sampled_from([low - 1, low, 5, high, high + 1, 2**31, 2**63, None])
        right = st.sampled_from(shape.enum or ("abc", "abcd", "a.b"))
        return right if self.exact else st.one_of(right, right, st.sampled_from(["", "hi", "a!", "a" * 256]))


def requests(operation: str) -> st.SearchStrategy[dict[str, Any]]:
    """Requests of all degrees of validity."""
    described = service_model().operations[operation]
    kinds = [(True, False), (False, False), (True, True), (False, True)]
    degrees = [Requests(described.shapes, exact=exact, wild=wild) for exact, wild in kinds]
    return st.one_of(
        *(degree.of(described.input_shape) for degree in degrees), st.dictionaries(st.text(max_size=5), JSON)
    )


def check_rules(operation: str, wording: Wording, request: dict[str, Any]) -> None:
    """The rules of an operation as a validator."""
    RULES[operation](request, wording)


def outcome(validator: Callable[[dict[str, Any]], None], request: dict[str, Any]) -> tuple[str, str | None]:
    """What a validator makes of a request; any exception but ApiError fails the test."""
    try:
        validator(request)
    except ApiError as refused:
        assert refused.type_name in ("SerializationException", "ValidationException")
        assert refused.body()
        return refused.type_name, refused.message
    return "accepted", None


REQUESTS = {operation: requests(operation) for operation in OPERATIONS}


@pytest.mark.parametrize("operation", OPERATIONS)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_request_is_decided_alike_on_both_paths(operation: str, data: st.DataObject) -> None:
    request = data.draw(REQUESTS[operation])
    for wording in WORDINGS:
        quick, exact = copy.deepcopy(request), copy.deepcopy(request)
        validator = VALIDATIONS[wording].compile_validator(operation)
        decided = outcome(validator, quick)
        assert decided == outcome(EXACT[operation, wording], exact)
        if decided[0] != "accepted":
            continue
        assert quick == exact
        again = copy.deepcopy(quick)
        assert outcome(validator, again) == decided
        assert again == quick, "what was put right once needs nothing more"
        if operation in RULES:
            outcome(partial(check_rules, operation, wording), quick)


@pytest.mark.parametrize("operation", sorted(service_model().operations))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_operation_takes_any_json(operation: str, data: st.DataObject) -> None:
    members = service_model().operations[operation].input.members
    names = st.sampled_from([*members, "Unknown"])
    request = data.draw(st.dictionaries(names, JSON, max_size=4))
    outcome(VALIDATIONS["2026"].compile_validator(operation), request)


@pytest.mark.parametrize("operation", sorted(RULES))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_the_fast_path_takes_valid_requests(operation: str, data: st.DataObject) -> None:
    """What the exact passes would accept without changing it never gets to them."""
    described = service_model().operations[operation]
    strategy = Requests(described.shapes, exact=True, wild=False).of(described.input_shape)
    request = data.draw(strategy)
    before = copy.deepcopy(request)
    assert outcome(EXACT[operation, "2026"], request)[0] == "accepted"
    assert request == before

    def never(refused: dict[str, Any]) -> None:
        raise AssertionError(f"sent to the exact passes: {refused}")

    quick_validator(described, never)(request)
