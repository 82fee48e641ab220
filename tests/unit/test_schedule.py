"""Schedules of scheduled actions: at, rate and cron, and when they are due next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashrange.model.schedule import ScheduleError, parse


def epoch(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def following(schedule: str, after: str, zone: str | None = None, count: int = 1) -> list[str]:
    """The next times, in UTC."""
    moment: float | None = epoch(after)
    found = []
    for _ in range(count):
        assert moment is not None
        moment = parse(schedule, zone).after(moment)
        found.append(datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M") if moment else "never")
    return found


def test_at_is_due_once() -> None:
    assert following("at(2030-05-01T12:30:00)", "2030-05-01") == ["2030-05-01 12:30"]
    assert following("at(2030-05-01T12:30:00)", "2030-05-01T12:30:00") == ["never"]
    assert following("at(2030-05-01T12:30)", "2030-05-01", "Europe/Berlin") == ["2030-05-01 10:30"]


def test_a_rate_counts_from_its_start() -> None:
    schedule = parse("rate(5 minutes)", start=1_000.0)
    assert [schedule.after(moment) for moment in (0.0, 1_000.0, 1_299.9, 1_300.0)] == [
        1_000.0,
        1_300.0,
        1_300.0,
        1_600.0,
    ]


def test_no_time_is_too_far_away() -> None:
    last = 253_402_300_799.0  # the end of 9999, which is the next year in zones east of Greenwich
    assert parse("cron(0 0 * * ? *)", "Pacific/Kiritimati").after(last) is None
    assert parse("cron(0 0 * * ? 1970)", "America/New_York").after(0.0) == 18_000.0
    with pytest.raises(ScheduleError, match="at most 365000 days"):
        parse(f"rate({'9' * 400} days)")
    assert parse("rate(365000 days)").after(last) == 365_000 * 86_400 * 9.0


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        ("0 12 * * ? *", None, "2030-01-01T12:00:00", ["2030-01-02 12:00", "2030-01-03 12:00"]),
        ("0/20 8-9 ? * MON-FRI *", None, "2030-01-04T09:20:00", ["2030-01-04 09:40", "2030-01-07 08:00"]),
        ("0 0 1,15 * ? *", None, "2030-01-02", ["2030-01-15 00:00", "2030-02-01 00:00"]),
        ("0 0 L * ? *", None, "2030-01-31T01:00:00", ["2030-02-28 00:00", "2030-03-31 00:00"]),
        ("0 6 ? * 6L *", None, "2030-01-01", ["2030-01-25 06:00", "2030-02-22 06:00"]),
        ("0 6 ? * 2#1 *", None, "2030-01-08", ["2030-02-04 06:00", "2030-03-04 06:00"]),
        ("0 0 29 2 ? *", None, "2030-01-01", ["2032-02-29 00:00", "2036-02-29 00:00"]),
        ("0 0 29 2 ? *", None, "2096-03-01", ["2104-02-29 00:00"]),
        ("0 0 1 JAN ? 2031-2032", None, "2030-06-01", ["2031-01-01 00:00", "2032-01-01 00:00", "never"]),
        ("0 0 1 1 ? 2199", None, "2030-06-01", ["2199-01-01 00:00", "never"]),
        ("0 0 31 2 ? *", None, "2030-06-01", ["never"]),
        ("5 4 ? 12 * *", None, "2030-11-30T23:59:00", ["2030-12-01 04:05"]),
        ("0 9 * * ? *", "America/New_York", "2030-07-01", ["2030-07-01 13:00"]),
        # The clocks go forward from 2 to 3 on 31 March, and back from 3 to 2 on 27 October.
        ("30 2 * * ? *", "Europe/Berlin", "2030-03-31", ["2030-03-31 01:30", "2030-04-01 00:30"]),
        ("30 2 * * ? *", "Europe/Berlin", "2030-10-26T12:00:00", ["2030-10-27 00:30", "2030-10-28 01:30"]),
    ],
)
def test_cron(cron: str, zone: str | None, after: str, expected: list[str]) -> None:
    assert following(f"cron({cron})", after, zone, len(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "at(2030-02-30T00:00:00)",
        "at(2030-01-01)",
        "rate(0 minutes)",
        "rate(1 days)",
        "rate(2 day)",
        "rate(5 seconds)",
        "cron(* * * * *)",
        "cron(60 * * * ? *)",
        "cron(* * * * * MON)",
        "cron(0 0 1 * 1 *)",
        "cron(0 0 ? * ? *)",
        "cron(5-1 0 * * ? *)",
        "cron(0/0 0 * * ? *)",
        "cron(0 0 * * 8 *)",
        "cron(0 0 * FOO ? *)",
        "cron(0 0 1 1 ? 1900)",
    ],
)
def test_what_is_no_schedule(text: str) -> None:
    with pytest.raises(ScheduleError):
        parse(text)


@pytest.mark.parametrize("zone", ["Nowhere/Land", "../etc/passwd", "", "Europe"])
def test_what_is_no_time_zone(zone: str) -> None:
    with pytest.raises(ScheduleError, match="no time zone"):
        parse("cron(0 0 * * ? *)", zone)


minutes = st.integers(0, 59)


@given(minutes, st.integers(0, 23), st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)))
def test_a_daily_time_is_the_first_after_the_moment(minute: int, hour: int, moment: datetime) -> None:
    after = moment.replace(tzinfo=UTC)
    found = parse(f"cron({minute} {hour} * * ? *)").after(after.timestamp())
    assert found is not None
    expected = after.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if expected <= after:
        expected += timedelta(days=1)
    assert found == expected.timestamp()
