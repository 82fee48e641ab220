"""Events: what has happened to clusters and groups, kept in one document; DescribeEvents."""

from __future__ import annotations

from typing import Any, Final

from hashrange.model.dax import Event, EventsDocument
from hashrange_router.dax import pages
from hashrange_router.dax.errors import combination, invalid
from hashrange_router.dax.setting import Request

CLUSTER: Final = "CLUSTER"
PARAMETER_GROUP: Final = "PARAMETER_GROUP"
SUBNET_GROUP: Final = "SUBNET_GROUP"

EVENTS_MAX: Final = 200
"""Events that are kept: all are in one document, which is replaced with each new one."""
DAY_S: Final = 86_400.0
KEPT_S: Final = 14 * DAY_S
"""How long events are kept, and how far back they are shown when nothing is said (API reference, DescribeEvents)."""
SHOWN_S: Final = DAY_S


def with_event(before: EventsDocument | None, event: Event) -> EventsDocument:
    """The document with one more event, less those that are too old or too many."""
    known = before["Events"] if before is not None else []
    kept = [each for each in known if each["Date"] > event["Date"] - KEPT_S][1 - EVENTS_MAX :]
    return {"Events": [*kept, event], "Total": (before["Total"] if before is not None else 0) + 1}


def describe(request: Request, document: EventsDocument | None, now: float) -> dict[str, Any]:
    """DescribeEvents: the latest first."""
    start, end = _span(request, now)
    found: list[tuple[int, Event]] = []
    if document is not None:
        newest = document["Total"]
        for age, event in enumerate(reversed(document["Events"])):
            if _wanted(request, event) and start <= event["Date"] <= end:
                found.append((age - newest, event))
    return pages.page(request, "Events", found, dict)


def _wanted(request: Request, event: Event) -> bool:
    kind, name = request.get("SourceType"), request.get("SourceName")
    return (kind is None or event["SourceType"] == kind) and (name is None or event["SourceName"] == name)


def _span(request: Request, now: float) -> tuple[float, float]:
    """From when to when, in seconds. `Duration` is in minutes, from the start time or until the end."""
    start, end, minutes = request.get("StartTime"), request.get("EndTime"), request.get("Duration")
    if minutes is not None and minutes < 1:
        raise invalid(f"Duration must be at least 1 minute: {minutes}")
    if start is not None and end is not None and minutes is not None:
        raise combination("Duration cannot be combined with both StartTime and EndTime")
    if start is not None and end is not None and start > end:
        raise combination("StartTime must not be after EndTime")
    if start is not None and minutes is not None:
        return start, start + minutes * 60
    until = end if end is not None else now
    if start is not None:
        return start, until
    return until - (minutes * 60 if minutes is not None else SHOWN_S), until
