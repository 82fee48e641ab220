"""What the statement of an update counts against the limit on the size of an item."""

from __future__ import annotations

from typing import Any

import pytest

from hashrange.errors import ApiError
from hashrange.expr import ExpressionContext, compile_update, legacy_update
from hashrange.expr.update_charge import Charge, charge_of


def charge(text: str) -> Charge:
    names = [f":{letter}" for letter in "abc" if f":{letter}" in text]
    return charge_of(
        compile_update(text, None, {name: {"N": "1"} for name in names} or None).program.tree or ()
    )


@pytest.mark.parametrize(
    ("text", "fixed", "uses"),
    [
        ("SET b = :a", 3 + 19 + 1, 1),
        ("SET b = :a, cc = :a", 3 + 2 * 19 + 1 + 2, 2),
        ("SET m.leaf = :a", 3 + 19 + 1 + 4 + 4, 1),
        ("SET m[10] = :a", 3 + 19 + 1 + 4 + 2, 1),
        ("SET x = long_one", 3 + 19 + 1 + 1 + 14 + 8, 0),
        ("SET x = m.y[12]", 3 + 19 + 1 + 1 + 3 * 14 + 1 + 1 + 2, 0),
        ("SET x = x + :a", 3 + 19 + 1 + 34 + 1 + 14 + 1, 1),
        ("SET x = :a - :b", 3 + 19 + 1 + 37, 2),
        ("SET x = if_not_exists(x, :a)", 3 + 19 + 1 + 39 + 1 + 14 + 1, 1),
        ("SET x = if_not_exists(x, :a) + :b", 3 + 19 + 1 + 34 + 39 + 1 + 14 + 1, 2),
        ("SET x = list_append(x, y)", 3 + 19 + 1 + 37 + 2 * (1 + 14 + 1), 0),
        ("ADD tally :a", 3 + 19 + 5, 1),
        ("REMOVE tally", 3 + 1 + 5, 0),
        ("REMOVE m.leaf, l[3]", 3 + 1 + 1 + 4 + 4 + 1 + 1 + 4 + 1, 0),
    ],
)
def test_charges(text: str, fixed: int, uses: int) -> None:
    found = charge(text)
    assert (found.fixed, len(found.uses)) == (fixed, uses)


def test_names_count_their_bytes_in_utf_8() -> None:
    assert charge_of((("remove", ("é",)),)).fixed == 3 + 1 + 2


def test_taking_members_away_does_not_count_them() -> None:
    update = compile_update("DELETE tags :v", None, {":v": {"SS": ["x" * 500]}})
    assert update.plan.charge == Charge(3 + 1 + 4, ())


def update_of(text: str, values: Any) -> Any:
    context = ExpressionContext(None, values)
    update = context.update(text)
    context.finish()
    return update


@pytest.mark.parametrize(("text", "fixed", "uses"), [("SET b = :v", 23, 1), ("SET b = :v, c = :v", 43, 2)])
def test_the_limit_to_the_byte(text: str, fixed: int, uses: int) -> None:
    most = (409_600 - fixed) // uses
    update_of(text, {":v": {"S": "x" * most}}).check_charge()
    with pytest.raises(ApiError, match="Item size to update has exceeded the maximum allowed size"):
        update_of(text, {":v": {"S": "x" * (most + 1)}}).check_charge()


def test_large_values_that_only_a_condition_uses_are_free() -> None:
    context = ExpressionContext(None, {":v": {"N": "1"}, ":w": {"S": "x" * 409_600}})
    update = context.update("SET b = :v")
    context.condition("a = :w")
    context.finish()
    update.check_charge()


def test_the_legacy_parameter_has_no_charge() -> None:
    update = legacy_update({"b": {"Action": "PUT", "Value": {"S": "x" * 500_000}}})
    assert update is not None
    update.check_charge()
