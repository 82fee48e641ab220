"""Auto scaling, the rules: what is to be done about one target, from what is set up, what was done and what was used.

    used = Minutes(width_s)                        # of one target; `add` what was consumed, second by second
    due = due_action(document, now)                # a scheduled action that sets other bounds
    step = decide(document, history, capacity, used.rates(), now, speed)

The rules are those of target tracking for DynamoDB (DynamoDB Developer Guide, managing throughput capacity
automatically; alarms of the real service as observed):

- Out: in each of two minutes in a row more than the target value of the capacity was consumed. The new capacity is
  the one of which the larger of the two would be the target value.
- In: in each of 15 minutes in a row less than the target value less 20 points (for 70 %: 50 %), or than half of it
  where that is more. The new capacity is the one of which the largest of the 15 would be the target value. A minute
  without any request counts: an idle table goes down to its minimum.
- A cooldown begins with a change, and holds up the next in the same direction. Its default is none.
- The capacity is brought between the bounds when they are set (by a registration or a scheduled action), and not when
  somebody changes it by hand later.

`speed` divides the minutes and the cooldowns, not the times of scheduled actions. Times are epoch seconds, capacities
units. This is a pure core; `hashrange_node.meta.scaler` runs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Any

from hashrange.model.scaling import HistoryDocument, TargetDocument
from hashrange.model.schedule import ScheduleError, parse

MINUTE_S = 60.0
OUT_MINUTES = 2
IN_MINUTES = 15
IN_MARGIN = 0.20
IN_SHARE_MIN = 0.5
TINY = 1e-9
"""Rounding errors of a division do not make a unit more."""


class Minutes:
    """What one target consumed, by the minute of the scaler: the last `IN_MINUTES`, of which everything is known."""

    def __init__(self, width_s: float, since: float) -> None:
        self.width_s = width_s
        self.counted = since
        """Everything before is counted, or not known at all."""
        self._first = ceil(since / width_s - TINY)
        self._sums: dict[int, float] = {}

    def add(self, second: float, half_units: int) -> None:
        """Count what was consumed in the second that begins then. Seconds come in order."""
        if half_units:
            period = int(second // self.width_s)
            self._sums[period] = self._sums.get(period, 0.0) + half_units / 2
            for old in [each for each in self._sums if each < period - IN_MINUTES]:
                del self._sums[old]
        self.counted = second + 1.0

    def rates(self) -> list[float]:
        """Units a second in each of the last whole minutes, oldest first: fewer than `IN_MINUTES` at the beginning."""
        current = int((self.counted + TINY) // self.width_s)
        first = max(self._first, current - IN_MINUTES)
        return [self._sums.get(period, 0.0) / self.width_s for period in range(first, current)]


@dataclass(frozen=True, slots=True)
class Step:
    """A change of the capacity. `direction`: "out", "in", or "bounds" when it is brought between the bounds."""

    capacity: int
    direction: str
    cause: str


@dataclass(frozen=True, slots=True)
class DueAction:
    """A scheduled action whose time has come: the bounds that it sets (None: as they are), and when it was due."""

    name: str
    due_at: float
    low: int | None
    high: int | None


def decide(
    document: TargetDocument,
    history: HistoryDocument | None,
    capacity: int,
    rates: Sequence[float],
    now: float,
    speed: float = 1.0,
) -> Step | None:
    """The next change of one target, or None. `rates`: see `Minutes.rates`; `history` None: nothing was done yet."""
    target, done = document["Target"], history or {}
    if unsettled(document, history):
        if capacity < target["Min"]:
            return Step(target["Min"], "bounds", f"minimum capacity was set to {target['Min']}")
        if capacity > target["Max"]:
            return Step(target["Max"], "bounds", f"maximum capacity was set to {target['Max']}")
    for name, policy in sorted(document["Policies"].items()):
        step = _out(document, name, policy, capacity, rates)
        if step is not None and not _cooling(done.get("LastOut"), policy["OutCooldown"] / speed, now):
            return step
        if step is None:
            step = _in(document, name, policy, capacity, rates)
            if step is not None and not _cooling(done.get("LastIn"), policy["InCooldown"] / speed, now):
                return step
    return None


def unsettled(document: TargetDocument, history: HistoryDocument | None) -> bool:
    """Whether the bounds were set since the capacity was last brought between them.

    Clocks differ from process to process: those that were set last need not have the latest time.
    """
    return bool(document["Target"]["BoundsAt"] != (history or {}).get("BoundsDone"))


def _cooling(began: float | None, cooldown_s: float, now: float) -> bool:
    """Whether a cooldown is going on; one that began in the future is none, the clock was set back since."""
    return began is not None and 0 <= now - began < cooldown_s


def _out(
    document: TargetDocument, name: str, policy: dict[str, Any], capacity: int, rates: Sequence[float]
) -> Step | None:
    target = document["Target"]
    share = policy["TargetValue"] / 100
    last = rates[-OUT_MINUTES:]
    if target["Suspended"].get("Out") or len(last) < OUT_MINUTES or min(last) <= share * capacity + TINY:
        return None
    wanted = min(max(ceil(max(last) / share - TINY), target["Min"]), target["Max"])
    if wanted <= capacity:
        return None
    return Step(wanted, "out", _cause(document, name, policy, "AlarmHigh"))


def _in(
    document: TargetDocument, name: str, policy: dict[str, Any], capacity: int, rates: Sequence[float]
) -> Step | None:
    target = document["Target"]
    share = policy["TargetValue"] / 100
    last = rates[-IN_MINUTES:]
    if policy["DisableIn"] or target["Suspended"].get("In") or len(last) < IN_MINUTES:
        return None
    if max(last) >= max(share - IN_MARGIN, share * IN_SHARE_MIN) * capacity - TINY:
        return None
    wanted = min(max(ceil(max(last) / share - TINY), target["Min"]), target["Max"])
    if wanted >= capacity:
        return None
    return Step(wanted, "in", _cause(document, name, policy, "AlarmLow"))


def _cause(document: TargetDocument, name: str, policy: dict[str, Any], alarm: str) -> str:
    return (
        f"monitor alarm TargetTracking-{document['ResourceId']}-{alarm}-{policy['AlarmId']} "
        f"in state ALARM triggered policy {name}"
    )


def due_action(document: TargetDocument, now: float) -> DueAction | None:
    """The scheduled action of a target that has been due for the longest time; what was missed is due once."""
    if document["Target"]["Suspended"].get("Scheduled"):
        return None
    found = [
        DueAction(name, due_at, action.get("Min"), action.get("Max"))
        for name, action in document["Actions"].items()
        if (due_at := _due_at(action, now)) is not None
    ]
    return min(found, key=lambda due: (due.due_at, due.name), default=None)


def _due_at(action: dict[str, Any], now: float) -> float | None:
    """When an action was due first since it was last carried out, or changed; None: not yet, or never again."""
    start, end = action.get("Start"), action.get("End")
    since = max(action["ChangedAt"], action.get("FiredAt", 0.0))
    # What is due at the very start of its time is due.
    if start is not None:
        since = max(since, start - TINY * start)
    counted_from = start if start is not None else action["CreatedAt"]
    due_at = _next(action["Schedule"], action.get("Timezone"), counted_from, since)
    if due_at is None or due_at > now or (end is not None and due_at > end):
        return None
    return due_at


@lru_cache(maxsize=4_096)
def _next(schedule: str, timezone: str | None, counted_from: float, since: float) -> float | None:
    """When a schedule is due after a time. It is asked every second, and changes when an action is carried out."""
    try:
        return parse(schedule, timezone, counted_from).after(since)
    except ScheduleError:
        return None  # a time zone that this machine does not know


def after_action(document: TargetDocument, due: DueAction, now: float) -> TargetDocument | None:
    """The target after a scheduled action; None when its bounds contradict those that stay."""
    target = document["Target"]
    low = due.low if due.low is not None else target["Min"]
    high = due.high if due.high is not None else target["Max"]
    if low > high:
        return None
    changed = {**target, "Min": low, "Max": high, "BoundsAt": now}
    return {**without_action(document, due, now), "Target": changed}


def without_action(document: TargetDocument, due: DueAction, now: float) -> TargetDocument:
    """The target once a scheduled action was dealt with: it is not due again for the same time."""
    fired = {**document["Actions"], due.name: {**document["Actions"][due.name], "FiredAt": now}}
    return {**document, "Actions": fired}
