"""Auto scaling, carried out: at the leader of the control plane, once a second, one target after the other.

    scaler = Scaler(catalogue, vendor, now=..., wall_s=..., call_later=..., new_id=..., speed=1.0)
    scaler.start()

What is to be done is decided by the rules of `scaling`. A change of a table goes the way of UpdateTable: it is planned
on the newest document and proposed as a compare-and-set, so it never undoes what somebody else has changed meanwhile,
and it is bound by the same limits. What was done, or refused, is written down as an activity of the target. A new
leader begins with what the documents say; of consumption it knows only what is reported to it from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from hashrange.errors import ApiError
from hashrange.model.scaling import (
    HISTORIES,
    READ,
    TARGETS,
    HistoryDocument,
    Scalable,
    TargetDocument,
    scalable,
    with_activity,
)
from hashrange.model.table_document import PROVISIONED, TableDocument, find_global_index
from hashrange.model.throughput import with_units
from hashrange.wire.documents import ChangeDocument
from hashrange.wire.messages import ChangeTable, ConflictError, Done
from hashrange_node.meta import scaling
from hashrange_node.meta.catalogue import Catalogue
from hashrange_node.meta.scaling import DueAction, Minutes, Step

ROUND_S = 1.0
LAG_S = 3.0
"""Seconds become known when all routers have reported on them."""

SECONDS_MAX = 299
REFUSED_MINUTES = 5
"""Minutes of the scaler after which a change that was refused is tried again."""

FORGET_S = 42 * 86_400.0
"""The activities of a target that is no more are kept for six weeks (Application Auto Scaling, activities)."""

FORGET_ROUNDS = 3_600


Refusal = tuple[str, int]
"""What was refused: the direction of a step, and its capacity where the bounds asked for it, which may be set anew."""


class Used(Protocol):
    """What was consumed in one second, in half units."""

    @property
    def read(self) -> int: ...

    @property
    def write(self) -> int: ...


class Consumption(Protocol):
    """Knows what tables and indexes consumed lately. `index` is "" for the table itself."""

    def seconds(self, table: str, index: str, now: float, count: int) -> Sequence[Used]:
        """The last whole seconds before `now` (monotonic), oldest first: up to `count` of which all is known."""
        ...


class Scaler:
    """See the module. `now` gives monotonic seconds, the clock of `consumption`; `wall_s` epoch seconds.

    `new_id()` makes the random id of an activity, `note(event, **details)` writes to the log, `report` an error.
    `speed` divides the minutes of the rules.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        consumption: Callable[[], Consumption | None],
        *,
        now: Callable[[], float],
        wall_s: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], Any],
        new_id: Callable[[], str],
        note: Callable[..., object] = lambda event, **details: None,
        report: Callable[[str, BaseException], None] = lambda what, error: None,
        speed: float = 1.0,
    ) -> None:
        self.stopped = False
        self._catalogue = catalogue
        self._consumption = consumption
        self._now = now
        self._wall_s = wall_s
        self._call_later = call_later
        self._new_id = new_id
        self._note = note
        self._report = report
        self._speed = speed
        self._used: dict[str, tuple[str, Minutes]] = {}
        self._busy: set[str] = set()
        self._refused: dict[str, tuple[Refusal, float]] = {}
        self._rounds = 0

    def start(self) -> None:
        """Begin the rounds."""
        self._call_later(ROUND_S, self._turn)

    def stop(self) -> None:
        """Begin nothing any more."""
        self.stopped = True

    def _turn(self) -> None:
        if self.stopped:
            return
        try:
            self.round()
        except Exception as error:
            self._report("a round of auto scaling failed", error)
        self._call_later(ROUND_S, self._turn)

    def round(self) -> None:
        """Look at every target once."""
        if not self._catalogue.group.serving:
            self._used.clear()
            self._busy.clear()
            self._refused.clear()
            return
        targets = self._catalogue.controls.of(TARGETS)
        for known in (self._used, self._refused):
            for gone in known.keys() - targets.keys():
                del known[gone]
        for name, stored in list(targets.items()):
            document = stored["document"]
            what = scalable(document["ResourceId"], document["ScalableDimension"])
            table = self._catalogue.documents.get(what.table) if what is not None else None
            if what is not None and table is not None:
                try:
                    self._count(name, what, table)
                    if name not in self._busy:
                        self._look_at(name, what, document, table)
                except Exception as error:  # the other targets are not to suffer
                    self._report(f"auto scaling of {name} failed", error)
        self._rounds += 1
        if self._rounds % FORGET_ROUNDS == 0:
            self._forget_old()

    # ---- what is known

    def _count(self, name: str, what: Scalable, table: TableDocument) -> None:
        """Take over what the target consumed since the last round."""
        now = self._now()
        life, minutes = self._used.get(name, ("", None))
        consumption = self._consumption()
        if consumption is None:
            return
        count = SECONDS_MAX
        if minutes is not None and life == table["TableId"]:
            count = min(count, int(now - minutes.counted) + 2)
        seconds = consumption.seconds(what.table, what.index or "", now, count)
        first = float(int(now) - len(seconds))
        if minutes is None or life != table["TableId"] or first > minutes.counted + 1.0:
            minutes = Minutes(scaling.MINUTE_S / self._speed, first)
            self._used[name] = (table["TableId"], minutes)
        for place, used in enumerate(seconds):
            second = first + place
            if minutes.counted <= second <= now - LAG_S - 1.0:
                minutes.add(second, used.read if what.units == READ else used.write)

    def _history(self, name: str) -> HistoryDocument | None:
        stored = self._catalogue.controls.get(HISTORIES, name)
        return stored["document"] if stored is not None else None

    # ---- what is done

    def _look_at(self, name: str, what: Scalable, document: TargetDocument, table: TableDocument) -> None:
        wall_s = self._wall_s()
        due = scaling.due_action(document, wall_s)
        if due is not None:
            self._fire(name, document, due)
            return
        owner = table if what.index is None else find_global_index(table, what.index)
        if owner is None or table["BillingMode"] != PROVISIONED:
            return
        capacity = owner["Throughput"]["Read" if what.units == READ else "Write"]
        history = self._history(name)
        used = self._used.get(name)
        rates = used[1].rates() if used is not None else []
        step = scaling.decide(document, history, capacity, rates, wall_s, self._speed)
        if step is not None:
            refusal, until = self._refused.get(name, (None, 0.0))
            if _kind(step) != refusal or self._now() >= until:
                self._step(name, what, document, table, step)
        elif scaling.unsettled(document, history):
            self._write(name, lambda h: {**(h or {"Activities": []}), "BoundsDone": _bounds_at(document)})

    def _step(
        self, name: str, what: Scalable, document: TargetDocument, table: TableDocument, step: Step
    ) -> None:
        """Change the capacity and write down what came of it."""
        began = self._wall_s()
        owner: Any = table if what.index is None else find_global_index(table, what.index)
        units = dict(owner["Throughput"])
        units["Read" if what.units == READ else "Write"] = step.capacity
        kind = "read" if what.units == READ else "write"
        activity = {
            "Id": self._new_id(),
            "Description": f"Setting {kind} capacity units to {step.capacity}.",
            "Cause": step.cause,
            "StartedAt": began,
        }

        def done(answer: Any) -> None:
            self._busy.discard(name)
            if isinstance(answer, ConflictError) or _passing(answer):
                return  # the next round plans anew
            activity["EndedAt"] = self._wall_s()
            members: dict[str, Any] = {}
            if isinstance(answer, Exception):
                text = answer.message if isinstance(answer, ApiError) else str(answer)
                activity["Status"] = "Failed"
                activity["Message"] = (
                    f"Failed to set {kind} capacity units to {step.capacity}. Reason: {text}"
                )
                until = self._now() + REFUSED_MINUTES * scaling.MINUTE_S / self._speed
                self._refused[name] = (_kind(step), until)
            else:
                activity["Status"] = "Successful"
                activity["Message"] = (
                    f"Successfully set {kind} capacity units to {step.capacity}. "
                    "Change successfully fulfilled by dynamodb."
                )
                members = {"BoundsDone": _bounds_at(document)}
                if step.direction != "bounds":
                    members["LastOut" if step.direction == "out" else "LastIn"] = activity["EndedAt"]
            self._note(
                "scaling", target=name, capacity=step.capacity, cause=step.cause, status=activity["Status"]
            )
            self._write(name, lambda history: with_activity(history, activity, **members))

        try:
            after = with_units(table, what.index, units["Read"], units["Write"], began)
        except ApiError as error:
            done(error)
            return
        expected = (table["TableId"], table["Generation"])
        self._change(name, ChangeTable(what.table, expected, after, []), done)

    def _fire(self, name: str, document: TargetDocument, due: DueAction) -> None:
        """Let a scheduled action set the bounds; the next round brings the capacity between them."""
        wall_s = self._wall_s()
        after = scaling.after_action(document, due, wall_s)
        parts = [
            f"{kind} capacity to {value}"
            for kind, value in (("min", due.low), ("max", due.high))
            if value is not None
        ]
        what = " and ".join(parts)
        activity = {
            "Id": self._new_id(),
            "Description": f"Setting {what}",
            "Cause": f"scheduled action name {due.name} was triggered",
            "StartedAt": wall_s,
            "Status": "Successful",
            "Message": f"Successfully set {what}",
        }
        if after is None:
            activity["Status"] = "Failed"
            activity["Message"] = (
                f"Failed to set {what}. Reason: Maximum capacity cannot be less than minimum capacity"
            )

        def done(answer: Any) -> None:
            self._busy.discard(name)
            if not isinstance(answer, Exception):
                self._note("a scheduled action", target=name, action=due.name, status=activity["Status"])
                self._write(name, lambda history: with_activity(history, activity))

        stored = self._catalogue.controls.get(TARGETS, name)
        if stored is None or stored["document"] is not document:
            return
        new = after if after is not None else scaling.without_action(document, due, wall_s)
        self._change(name, ChangeDocument(TARGETS, name, stored["generation"], new), done)

    # ---- proposing

    def _write(self, name: str, revise: Callable[[HistoryDocument | None], HistoryDocument]) -> None:
        """Write down what was done. Only the scaler writes there, so that a lost race is one with its own past."""
        stored = self._catalogue.controls.get(HISTORIES, name)
        after = revise(stored["document"] if stored is not None else None)
        expected = stored["generation"] if stored is not None else None

        def done(answer: Any) -> None:
            self._busy.discard(name)
            if isinstance(answer, ConflictError):
                self._write(name, revise)
            elif isinstance(answer, Exception):
                self._note("an activity could not be written down", target=name, reason=str(answer))

        self._change(name, ChangeDocument(HISTORIES, name, expected, after), done)

    def _change(self, name: str, message: ChangeTable | ChangeDocument, done: Done) -> None:
        """Propose a change; the target is left alone until its answer is there."""
        self._busy.add(name)
        try:
            self._catalogue.change(message, done)
        except Exception as error:
            done(error)

    def _forget_old(self) -> None:
        """Let go of activities of long ago."""
        controls, wall_s = self._catalogue.controls, self._wall_s()
        for name, stored in list(controls.of(HISTORIES).items()):
            activities = stored["document"]["Activities"]
            newest = activities[0]["StartedAt"] if activities else stored["document"].get("BoundsDone", 0.0)
            if controls.get(TARGETS, name) is None and newest < wall_s - FORGET_S:
                self._change(
                    name, ChangeDocument(HISTORIES, name, stored["generation"], None), self._freed(name)
                )

    def _freed(self, name: str) -> Done:
        def done(answer: Any) -> None:
            self._busy.discard(name)

        return done


def _bounds_at(document: TargetDocument) -> float:
    return float(document["Target"]["BoundsAt"])


def _kind(step: Step) -> Refusal:
    """Steps of one kind are tried again later when one was refused; others are not held up by that."""
    return step.direction, step.capacity if step.direction == "bounds" else 0


def _passing(answer: Any) -> bool:
    """A refusal that says nothing about the change: the table is being changed, or group 0 has no leader here."""
    return isinstance(answer, ApiError) and (
        answer.type_name == "ResourceInUseException" or answer.status >= 500
    )
