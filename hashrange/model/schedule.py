"""Schedules of scheduled actions: `at(...)`, `rate(...)` and `cron(...)`, and when they are due next.

    schedule = parse("cron(0 12 * * ? *)", "Europe/Berlin")     # ScheduleError for text that is none
    moment = schedule.after(last_s)                             # epoch seconds, or None: never again

Cron has six fields: minutes, hours, day of month, month, day of week (1-7 or SUN-SAT), year; lists, ranges, steps,
`*` and `?`, and of the special signs `L` (last day of the month) in the day of month, `L` and `#` in the day of week.
Times of `at` and `cron` are local times of the time zone; one that the clocks skip in spring is due an hour later,
one that comes twice in autumn the first time. Source: Application Auto Scaling User Guide, scheduled actions.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo

_AT = re.compile(r"at\((\d{4})-(\d{1,2})-(\d{1,2})T(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?\)")
_RATE = re.compile(r"rate\((\d+) (minute|minutes|hour|hours|day|days)\)")
_CRON = re.compile(r"cron\((.*)\)")
_YEAR_S = 366 * 86_400
_UNIT_S = {"minute": 60, "hour": 3_600, "day": 86_400}
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}
_YEARS = range(1970, 2200)
_RATE_MAX_S = 1_000 * 365 * 86_400
"""A rate that is longer is refused: with it times could not be reckoned."""

DayRule = Callable[[date], bool]


class ScheduleError(ValueError):
    """Text that is no schedule. The message says what is expected."""


class Schedule(Protocol):
    """When something is due."""

    def after(self, moment: float) -> float | None:
        """The first time it is due after a moment, both in epoch seconds; None: never again."""
        ...


@dataclass(frozen=True, slots=True)
class At:
    """Once."""

    moment: float

    def after(self, moment: float) -> float | None:
        """See `Schedule`."""
        return self.moment if moment < self.moment else None


@dataclass(frozen=True, slots=True)
class Rate:
    """At a fixed interval, counted from `start`."""

    interval_s: int
    start: float

    def after(self, moment: float) -> float | None:
        """See `Schedule`."""
        if moment < self.start:
            return self.start
        return self.start + ((moment - self.start) // self.interval_s + 1) * self.interval_s


@dataclass(frozen=True, slots=True)
class Cron:
    """At the minutes that match a cron expression in a time zone."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: frozenset[int]
    years: frozenset[int]
    day: DayRule
    zone: tzinfo

    def after(self, moment: float) -> float | None:
        """See `Schedule`."""
        last_year = max(self.years)
        if moment >= _YEAR_S * (last_year + 2 - 1970):
            return None  # before it is made a date: there are none after 9999
        day = datetime.fromtimestamp(moment, self.zone).date()
        while day.year <= last_year:
            if day.year not in self.years:
                day = date(day.year + 1, 1, 1)
                continue
            if day.month not in self.months:
                day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
                continue
            if self.day(day):
                for hour in self.hours:
                    for minute in self.minutes:
                        local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone)
                        if (found := local.timestamp()) > moment:
                            return found
            day += timedelta(days=1)
        return None


def parse(text: str, timezone: str | None = None, start: float = 0.0) -> Schedule:
    """The schedule of a text. A rate is counted from `start` (epoch seconds). Raises ScheduleError."""
    zone = _zone(timezone)
    if found := _AT.fullmatch(text):
        year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
        try:
            return At(datetime(year, month, day, hour, minute, second, tzinfo=zone).timestamp())
        except ValueError as error:
            raise ScheduleError(f"{text}: {error}") from None
    if found := _RATE.fullmatch(text):
        count, unit = int(found[1]), found[2]
        if count < 1 or (count == 1) == unit.endswith("s"):
            raise ScheduleError(f"{text}: a rate is a positive number and a unit, in the singular after 1")
        interval_s = count * _UNIT_S[unit.removesuffix("s")]
        if interval_s > _RATE_MAX_S:
            raise ScheduleError(f"rate: an interval is at most {_RATE_MAX_S // 86_400} days")
        return Rate(interval_s, start)
    if found := _CRON.fullmatch(text):
        return _cron(found[1].split(), zone)
    raise ScheduleError("a schedule is at(yyyy-mm-ddThh:mm:ss), rate(value unit) or cron(six fields)")


def _zone(name: str | None) -> tzinfo:
    if name is None or name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ScheduleError(f"there is no time zone {name}") from None


def _cron(fields: list[str], zone: tzinfo) -> Cron:
    if len(fields) != 6:
        raise ScheduleError(
            "a cron expression has six fields: minutes, hours, day of month, month, day of week, year"
        )
    minutes, hours, month_day, month, week_day, year = (field.upper() for field in fields)
    if (month_day == "?") == (week_day == "?") and not (month_day == "*" and week_day == "*"):
        raise ScheduleError("one of day of month and day of week must be ?")
    return Cron(
        tuple(sorted(_numbers(minutes, 0, 59))),
        tuple(sorted(_numbers(hours, 0, 23))),
        frozenset(_numbers(month, 1, 12, _MONTHS)),
        frozenset(_numbers(year, _YEARS[0], _YEARS[-1])),
        _day_of_month(month_day) if week_day in ("?", "*") else _day_of_week(week_day),
        zone,
    )


def _day_of_month(field: str) -> DayRule:
    if field in ("*", "?"):
        return lambda day: True
    if field == "L":
        return lambda day: (day + timedelta(days=1)).month != day.month
    days = frozenset(_numbers(field, 1, 31))
    return lambda day: day.day in days


def _day_of_week(field: str) -> DayRule:
    if found := re.fullmatch(r"(\w+)#([1-5])", field):
        wanted, turn = _number(found[1], 1, 7, _DAYS), int(found[2])
        return lambda day: _week_day(day) == wanted and (day.day - 1) // 7 + 1 == turn
    if (found := re.fullmatch(r"(\w+)L", field)) and field != "L":
        wanted = _number(found[1], 1, 7, _DAYS)
        return lambda day: _week_day(day) == wanted and (day + timedelta(days=7)).month != day.month
    days = frozenset({7} if field == "L" else _numbers(field, 1, 7, _DAYS))
    return lambda day: _week_day(day) in days


def _week_day(day: date) -> int:
    """1 for Sunday to 7 for Saturday."""
    return day.isoweekday() % 7 + 1


def _numbers(field: str, low: int, high: int, names: dict[str, int] | None = None) -> set[int]:
    """The numbers of one field: lists of numbers, ranges and steps."""
    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        if slash and (not step.isdigit() or int(step) < 1):
            raise ScheduleError(f"{part}: a step is a positive number")
        first, dash, last = span.partition("-")
        if span in ("*", "?"):
            begin, end = low, high
        elif dash:
            begin, end = _number(first, low, high, names), _number(last, low, high, names)
        else:
            begin = _number(first, low, high, names)
            end = high if slash else begin
        if begin > end:
            raise ScheduleError(f"{part}: a range goes from the smaller to the larger number")
        found.update(range(begin, end + 1, int(step) if slash else 1))
    return found


def _number(text: str, low: int, high: int, names: dict[str, int] | None) -> int:
    number = (names or {}).get(text)
    if number is None and text.isascii() and text.isdigit():
        number = int(text)
    if number is None or not low <= number <= high:
        raise ScheduleError(f"{text}: must be from {low} to {high}")
    return number
