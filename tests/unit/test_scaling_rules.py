"""The rules of auto scaling: consumption by the minute, scaling out and in, cooldowns, bounds, scheduled actions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hashrange_node.meta.scaling import (
    IN_MINUTES,
    Minutes,
    after_action,
    decide,
    due_action,
    unsettled,
    without_action,
)
from hypothesis import given
from hypothesis import strategies as st

from hashrange.model.scaling import READ, WRITE, Scalable, scalable, with_activity

NOW = 1_800_000_000.0


def target(low: int = 5, high: int = 100, value: float = 70.0, **policy: Any) -> dict[str, Any]:
    """A target with one policy whose bounds were set, and are settled."""
    return {
        "ResourceId": "table/T",
        "ScalableDimension": "dynamodb:table:ReadCapacityUnits",
        "Target": {"Min": low, "Max": high, "CreatedAt": 0.0, "Suspended": {}, "BoundsAt": 1.0},
        "Policies": {
            "p": {
                "AlarmId": "id",
                "TargetValue": value,
                "InCooldown": 0,
                "OutCooldown": 0,
                "DisableIn": False,
                **policy,
            }
        },
        "Actions": {},
    }


DONE: dict[str, Any] = {"Activities": [], "BoundsDone": 1.0}


def wanted(document: dict[str, Any], capacity: int, rates: list[float], **more: Any) -> int | None:
    """The capacity of the next step, if there is one."""
    history = {**DONE, **more.pop("history", {})}
    step = decide(document, history, capacity, rates, NOW, **more)
    return step.capacity if step is not None else None


# Consumption.


def test_minutes_sum_up_seconds() -> None:
    minutes = Minutes(60.0, 120.0)
    for second in range(120, 300):
        minutes.add(second, 2 * (second // 60))
    assert minutes.rates() == [2.0, 3.0, 4.0]


def test_a_minute_of_which_a_part_is_unknown_does_not_count() -> None:
    minutes = Minutes(60.0, 121.0)
    for second in range(121, 299):
        minutes.add(second, 20)
    assert minutes.rates() == [10.0]


def test_a_minute_without_requests_counts_as_nothing() -> None:
    minutes = Minutes(2.0, 0.0)
    for second in range(100):
        minutes.add(second, 8 if second < 10 else 0)
    assert minutes.rates() == [0.0] * IN_MINUTES


@given(st.lists(st.integers(0, 10_000), max_size=60), st.sampled_from([1.0, 2.0, 5.0, 1.5]))
def test_nothing_is_lost_in_minutes(amounts: list[int], width_s: float) -> None:
    minutes = Minutes(width_s, 0.0)
    for second, amount in enumerate(amounts):
        minutes.add(float(second), 2 * amount)
    rates = minutes.rates()
    assert len(rates) == min(IN_MINUTES, int(len(amounts) // width_s))
    first = int(len(amounts) // width_s) - len(rates)
    inside = [a for s, a in enumerate(amounts) if first <= s // width_s < first + len(rates)]
    assert sum(rates) * width_s == pytest.approx(sum(inside))


# Out.


def test_two_minutes_above_the_target_scale_out() -> None:
    assert wanted(target(), 10, [7.1, 7.1]) == 11
    assert wanted(target(), 10, [9.0, 14.0]) == 20
    assert wanted(target(), 10, [0.0, 14.0]) is None
    assert wanted(target(), 10, [14.0, 7.0]) is None
    assert wanted(target(), 10, [14.0]) is None


def test_scaling_out_ends_at_the_maximum() -> None:
    assert wanted(target(high=15), 10, [50.0, 50.0]) == 15
    assert wanted(target(high=15), 15, [50.0, 50.0]) is None


def test_scaling_out_waits_for_its_cooldown() -> None:
    document = target(OutCooldown=60)
    assert wanted(document, 10, [20.0, 20.0], history={"LastOut": NOW - 59}) is None
    assert wanted(document, 10, [20.0, 20.0], history={"LastOut": NOW - 60}) == 29
    assert wanted(document, 10, [20.0, 20.0], history={"LastIn": NOW - 1}) == 29
    assert wanted(document, 10, [20.0, 20.0], history={"LastOut": NOW - 6}, speed=10.0) == 29


@pytest.mark.parametrize("cooldown", [0, 60])
def test_a_clock_that_was_set_back_makes_no_cooldown(cooldown: int) -> None:
    document = target(OutCooldown=cooldown, InCooldown=cooldown)
    history = {"LastOut": NOW + 3_600, "LastIn": NOW + 3_600}
    assert wanted(document, 10, [20.0, 20.0], history=history) == 29
    assert wanted(document, 10, [0.0] * IN_MINUTES, history=history) == 5


def test_bounds_set_by_a_process_whose_clock_is_behind_are_kept_to() -> None:
    document = target(low=20, high=100)
    assert wanted(document, 10, [], history={"BoundsDone": 3.0}) == 20
    assert wanted(document, 10, [], history={"BoundsDone": 1.0}) is None


def test_the_cause_names_alarm_and_policy() -> None:
    step = decide(target(), DONE, 10, [20.0, 20.0], NOW)
    assert step is not None and step.direction == "out"
    assert step.cause == (
        "monitor alarm TargetTracking-table/T-AlarmHigh-id in state ALARM triggered policy p"
    )


# In.


def test_fifteen_minutes_far_below_the_target_scale_in() -> None:
    assert wanted(target(), 100, [49.9] * 15) == 72
    assert wanted(target(), 100, [50.0] * 15) is None
    assert wanted(target(), 100, [49.9] * 14) is None
    assert wanted(target(), 100, [*[10.0] * 14, 60.0]) is None
    assert wanted(target(), 100, [*[10.0] * 14, 28.0]) == 40


def test_silence_scales_in_to_the_minimum() -> None:
    assert wanted(target(), 100, [0.0] * 15) == 5
    assert wanted(target(), 5, [0.0] * 15) is None


def test_the_margin_of_a_low_target_is_half_of_it() -> None:
    assert wanted(target(value=20.0), 100, [9.9] * 15) == 50
    assert wanted(target(value=20.0), 100, [10.0] * 15) is None


def test_scaling_in_can_be_switched_off_and_suspended() -> None:
    assert wanted(target(DisableIn=True), 100, [0.0] * 15) is None
    document = target()
    document["Target"]["Suspended"] = {"In": True}
    assert wanted(document, 100, [0.0] * 15) is None
    assert wanted(document, 10, [20.0] * 15) == 29
    document["Target"]["Suspended"] = {"Out": True}
    assert wanted(document, 10, [20.0] * 15) is None
    assert wanted(document, 100, [0.0] * 15) == 5


def test_scaling_in_waits_for_its_cooldown() -> None:
    document = target(InCooldown=300)
    assert wanted(document, 100, [0.0] * 15, history={"LastIn": NOW - 299}) is None
    assert wanted(document, 100, [0.0] * 15, history={"LastIn": NOW - 300}) == 5


def test_without_a_policy_nothing_follows_consumption() -> None:
    document = target()
    document["Policies"] = {}
    assert wanted(document, 10, [50.0] * 15) is None


@given(
    st.integers(1, 50),
    st.integers(0, 500),
    st.floats(20, 90),
    st.integers(1, 600),
    st.lists(st.floats(0, 1_000), max_size=15),
)
def test_what_is_wanted_lies_between_the_bounds_and_in_the_right_direction(
    low: int, more: int, value: float, capacity: int, rates: list[float]
) -> None:
    document = target(low, low + more, value)
    step = decide(document, DONE, capacity, rates, NOW)
    if step is None:
        return
    assert low <= step.capacity <= low + more
    if step.direction == "out":
        assert step.capacity > capacity
    else:
        assert step.capacity < capacity
    # Done once, it is done: the same consumption asks for nothing more.
    assert decide(document, DONE, step.capacity, rates, NOW) is None


@given(st.integers(1, 400), st.floats(20, 90))
def test_a_steady_load_ends_at_its_target(load: int, value: float) -> None:
    document, capacity = target(1, 40_000, value), 1
    for _ in range(10):
        step = decide(document, DONE, capacity, [float(load)] * 15, NOW)
        if step is None:
            break
        capacity = step.capacity
    assert load / capacity <= value / 100 + 1e-6
    assert capacity == 1 or load / (capacity - 1) > value / 100 - 1e-6


# Bounds.


def test_new_bounds_bring_the_capacity_between_them_once() -> None:
    document = target(20, 30)
    low = decide(document, None, 10, [], NOW)
    high = decide(document, None, 50, [], NOW)
    assert low is not None and high is not None
    assert (low.capacity, low.direction, low.cause) == (20, "bounds", "minimum capacity was set to 20")
    assert (high.capacity, high.cause) == (30, "maximum capacity was set to 30")
    assert decide(document, None, 25, [], NOW) is None
    assert decide(document, DONE, 10, [], NOW) is None
    assert unsettled(document, None) and not unsettled(document, DONE)


# Scheduled actions.


def scheduled(**members: Any) -> dict[str, Any]:
    document = target()
    action = {"CreatedAt": NOW, "ChangedAt": NOW, "Min": 10, "Max": 20, **members}
    return {**document, "Actions": {"a": action}}


def stamp(moment: float) -> str:
    return f"at({datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%S})"


def test_an_action_is_due_once_at_its_time() -> None:
    document = scheduled(Schedule=stamp(NOW + 60))
    assert due_action(document, NOW + 59) is None
    due = due_action(document, NOW + 60)
    assert due is not None and (due.name, due.low, due.high) == ("a", 10, 20)
    after = after_action(document, due, NOW + 61)
    assert after is not None
    assert (after["Target"]["Min"], after["Target"]["Max"], after["Target"]["BoundsAt"]) == (10, 20, NOW + 61)
    assert due_action(after, NOW + 10_000) is None


def test_an_action_in_the_past_is_never_due() -> None:
    assert due_action(scheduled(Schedule=stamp(NOW - 60)), NOW + 60) is None


def test_a_rate_is_due_again_and_what_was_missed_once() -> None:
    document = scheduled(Schedule="rate(5 minutes)")
    assert due_action(document, NOW + 299) is None
    due = due_action(document, NOW + 10_000)
    assert due is not None and due.due_at == NOW + 300
    after = after_action(document, due, NOW + 10_000)
    assert after is not None and due_action(after, NOW + 10_001) is None
    again = due_action(after, NOW + 10_200)
    assert again is not None and again.due_at == NOW + 10_200


def test_start_and_end_bound_the_times() -> None:
    document = scheduled(Schedule="rate(1 hour)", Start=NOW + 1_000, End=NOW + 5_000)
    assert due_action(document, NOW + 999) is None
    first = due_action(document, NOW + 1_000)
    assert first is not None and first.due_at == NOW + 1_000
    after = without_action(document, first, NOW + 1_000)
    second = due_action(after, NOW + 4_600)
    assert second is not None and second.due_at == NOW + 4_600
    assert due_action(without_action(after, second, NOW + 4_600), NOW + 90_000) is None


def test_suspended_actions_are_not_due() -> None:
    document = scheduled(Schedule="rate(5 minutes)")
    document["Target"] = {**document["Target"], "Suspended": {"Scheduled": True}}
    assert due_action(document, NOW + 1_000) is None


def test_an_action_that_contradicts_the_other_bound_does_nothing() -> None:
    document = scheduled(Schedule=stamp(NOW + 60), Min=500)
    del document["Actions"]["a"]["Max"]
    due = due_action(document, NOW + 60)
    assert due is not None and after_action(document, due, NOW + 60) is None
    after = without_action(document, due, NOW + 60)
    assert after["Target"] == document["Target"] and due_action(after, NOW + 90) is None


# Names.


@pytest.mark.parametrize(
    ("resource", "dimension", "found"),
    [
        ("table/T", "dynamodb:table:ReadCapacityUnits", Scalable("T", None, READ)),
        ("table/T/index/I", "dynamodb:index:WriteCapacityUnits", Scalable("T", "I", WRITE)),
        ("table/T/index/I", "dynamodb:table:WriteCapacityUnits", None),
        ("table/T", "dynamodb:index:WriteCapacityUnits", None),
        ("table/", "dynamodb:table:WriteCapacityUnits", None),
        ("index/T", "dynamodb:table:WriteCapacityUnits", None),
        ("table/T", "rds:cluster:ReadReplicaCount", None),
    ],
)
def test_resource_ids_and_dimensions(resource: str, dimension: str, found: Scalable | None) -> None:
    assert scalable(resource, dimension) == found
    if found is not None:
        assert (found.resource_id, found.dimension) == (resource, dimension)


def test_only_the_newest_activities_are_kept() -> None:
    history: dict[str, Any] | None = None
    for number in range(60):
        history = with_activity(history, {"Id": str(number)}, LastOut=number)
    assert history is not None and len(history["Activities"]) == 50
    assert history["Activities"][0] == {"Id": "59"} and history["LastOut"] == 59
