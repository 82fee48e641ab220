"""The limits on changing provisioned capacity, under a clock that the tests set."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashrange.errors import ApiError
from hashrange.model.throughput import set_units, with_units
from tests.unit.table_support import NOW, refused
from tests.unit.table_update_support import (
    DAY,
    gsi,
    provisioned,
    provisioned_with_index,
    units,
    update,
)

MIDNIGHT = float((NOW // DAY + 1) * DAY)
ON_DEMAND: dict[str, Any] = {"BillingMode": "PAY_PER_REQUEST"}


def accepted(throughput: dict[str, Any], now: float) -> bool:
    """Whether one unit fewer is accepted at a time."""
    before = dict(throughput)
    try:
        set_units(throughput, throughput["Read"] - 1, throughput["Write"], now)
    except ApiError as error:
        assert error.type_name == "LimitExceededException"
        assert throughput == before
        return False
    return True


def new(read: int = 1000) -> dict[str, Any]:
    return {"Read": read, "Write": 5, "Decreases": 0, "DecreaseDay": 0}


def test_a_day_has_at_most_27_decreases() -> None:
    throughput = new()
    made = [now for now in range(int(MIDNIGHT), int(MIDNIGHT) + DAY, 60) if accepted(throughput, now)]
    assert len(made) == 27
    assert made[:4] == [MIDNIGHT, MIDNIGHT + 60, MIDNIGHT + 120, MIDNIGHT + 180]
    assert {after - before for before, after in pairwise(made[3:])} == {3600}


def test_the_first_four_may_come_at_any_time_of_the_day() -> None:
    throughput = new()
    evening = MIDNIGHT + 20 * 3600
    assert [accepted(throughput, evening + second) for second in range(5)] == [True] * 4 + [False]


@given(st.lists(st.integers(0, 3 * DAY), max_size=80))
def test_no_more_than_four_and_one_an_hour(moments: list[int]) -> None:
    throughput = new()
    made = [MIDNIGHT + moment for moment in sorted(moments) if accepted(throughput, MIDNIGHT + moment)]
    days: dict[float, list[float]] = {}
    for moment in made:
        days.setdefault(moment // DAY, []).append(moment)
    for day in days.values():
        assert len(day) <= 27
        assert all(day[n] - day[n - 1] >= 3600 for n in range(4, len(day)))


def test_a_request_that_is_refused_for_its_index_changes_nothing() -> None:
    document = provisioned_with_index()
    for second in range(4):
        index = next(iter(document["GlobalSecondaryIndexes"]))
        read = index["Throughput"]["Read"] + 5
        raise_it = [gsi("Update", "gsi1", ProvisionedThroughput=units(read, 5))]
        document = update(document, MIDNIGHT + second, GlobalSecondaryIndexUpdates=raise_it).document
        lower = [gsi("Update", "gsi1", ProvisionedThroughput=units(read - 1, 5))]
        document = update(document, MIDNIGHT + second, GlobalSecondaryIndexUpdates=lower).document
    before = repr(document)
    request = {
        "ProvisionedThroughput": units(1, 1),
        "GlobalSecondaryIndexUpdates": [gsi("Update", "gsi1", ProvisionedThroughput=units(1, 1))],
    }
    kind, _ = refused(update, document, now=MIDNIGHT + 60, **request)
    assert kind == "LimitExceededException"
    assert repr(document) == before
    assert update(document, MIDNIGHT + 60, ProvisionedThroughput=units(1, 1)).changed


def test_four_switches_to_on_demand_in_24_hours() -> None:
    document = provisioned()
    for hour in range(4):
        document = update(document, MIDNIGHT + 3600 * hour, **ON_DEMAND).document
        back = update(
            document,
            MIDNIGHT + 3600 * hour + 60,
            BillingMode="PROVISIONED",
            ProvisionedThroughput=units(5, 5),
        )
        document = back.document
    kind, message = refused(update, document, now=MIDNIGHT + DAY - 1, **ON_DEMAND)
    assert kind == "LimitExceededException"
    assert message is not None and "limited to 4 times in 1 day(s)" in message
    assert message.endswith(
        "Next update can be made at Wednesday, September 23, 2026 at 12:00:00 AM Coordinated Universal Time"
    )
    fifth = update(document, MIDNIGHT + DAY, **ON_DEMAND)
    assert len(fifth.document["ModeSwitches"]) == 4


def test_what_auto_scaling_changes_is_what_a_request_would_change() -> None:
    document = provisioned(5, 5)
    asked = update(document, MIDNIGHT, ProvisionedThroughput=units(9, 5)).document
    assert with_units(document, None, 9, 5, MIDNIGHT) == asked
    lowered = update(asked, MIDNIGHT + 60, ProvisionedThroughput=units(2, 5)).document
    assert with_units(asked, None, 2, 5, MIDNIGHT + 60) == lowered


def test_auto_scaling_changes_an_index() -> None:
    document = provisioned_with_index()
    after = with_units(document, "gsi1", 1, 7, MIDNIGHT)
    lowered = update(
        document,
        MIDNIGHT,
        GlobalSecondaryIndexUpdates=[gsi("Update", "gsi1", ProvisionedThroughput=units(1, 7))],
    )
    assert after == lowered.document


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"Status": "DELETING"}, "ResourceInUseException"),
        ({"BillingMode": "PAY_PER_REQUEST"}, "ResourceInUseException"),
        ({"StreamChanging": "ENABLE"}, "ResourceInUseException"),
    ],
)
def test_auto_scaling_leaves_a_table_that_is_being_changed(change: dict[str, Any], kind: str) -> None:
    with pytest.raises(ApiError) as caught:
        with_units({**provisioned(), **change}, None, 9, 9, MIDNIGHT)
    assert caught.value.type_name == kind


def test_auto_scaling_is_bound_by_the_quota_of_a_table() -> None:
    with pytest.raises(ApiError) as caught:
        with_units(provisioned(), None, 10, 45_000, MIDNIGHT)
    assert caught.value.type_name == "LimitExceededException"
    assert str(caught.value.message).startswith(
        "The requested WriteCapacityUnits, 45000, is above the per table maximum for the account in us-east-1. "
        "Per table maximum: 40000."
    )
