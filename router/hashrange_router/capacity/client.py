"""The way of capacity between a router and the vendor: reports go out, grants come back.

    client = CapacityClient(name, needs=admission.needs, grant=admission.grant, send=transport.send, ...)
    client.start()
    client.dry()            # a bucket has run dry: do not wait for the next turn

About once a second, and only when there is something to tell, the router reports what it has consumed of each table
and index; a bucket that runs dry brings the next report forward. One report is under way at a time. What was not
answered in time is sent again under the same number, together with what has come since, so that the vendor counts
everything and nothing twice. While the vendor is away nothing happens here: the buckets go on with the rates that
they were given last, and what is consumed is told when the vendor is back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hashrange.wire.capacity import Answer, CapacityNeed, CapacityReport

PERIOD_S = 1.0
"""The time between reports, unless an answer says another."""

DRY_PERIOD_S = 0.2
"""The time between reports while a bucket is dry."""

ANSWER_S = 2.0
"""A report is taken for lost then."""

Key = tuple[str, str]


class CapacityClient:
    """See the module. `name` is this process's own, as long as it runs; `now` gives monotonic seconds.

    `needs()` gives what was consumed since the last call, and what is left; `grant(answer)` takes an answer over.
    """

    def __init__(
        self,
        name: str,
        *,
        needs: Callable[[], list[CapacityNeed]],
        grant: Callable[[Answer], None],
        send: Callable[[Any, Callable[[Any], None]], None],
        now: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], Any],
    ) -> None:
        self.stopped = False
        self._name = name
        self._needs = needs
        self._grant = grant
        self._send = send
        self._now = now
        self._call_later = call_later
        self._number = 1
        self._attempt = 0
        self._sent_at = 0.0
        self._waiting = False
        self._unanswered: dict[Key, CapacityNeed] = {}
        self._period_s = PERIOD_S
        self._next_at = self._turned_at = 0.0
        self._timer = 0

    def start(self) -> None:
        """Begin to report."""
        self._turn(self._timer)

    def stop(self) -> None:
        """Report no more."""
        self.stopped = True

    def dry(self) -> None:
        """A bucket has run dry, or has had no grant yet: report as soon as that makes sense. Cheap to call."""
        at = self._turned_at + DRY_PERIOD_S
        if at < self._next_at and not self.stopped:
            self._wake(max(at - self._now(), 0.0))

    def _wake(self, delay_s: float) -> None:
        """The next turn is then; the one that was planned is not."""
        self._timer += 1
        timer = self._timer
        self._next_at = self._now() + delay_s
        self._call_later(delay_s, lambda: self._turn(timer))

    def _turn(self, timer: int) -> None:
        if self.stopped or timer != self._timer:
            return
        now = self._turned_at = self._now()
        if self._waiting and now - self._sent_at < ANSWER_S:
            self._wake(DRY_PERIOD_S)
            return
        for need in self._needs():
            self._add(need)
        self._wake(self._period_s)
        if self._unanswered:
            self._report(now)

    def _add(self, need: CapacityNeed) -> None:
        """Put a need to those that were not answered."""
        key = (need.table, need.index)
        before = self._unanswered.get(key)
        if before is not None:
            need = replace(
                need,
                read_used=need.read_used + before.read_used,
                write_used=need.write_used + before.write_used,
                read_refused=need.read_refused + before.read_refused,
                write_refused=need.write_refused + before.write_refused,
            )
        self._unanswered[key] = need

    def _report(self, now: float) -> None:
        self._attempt += 1
        attempt = self._attempt
        self._sent_at = now
        self._waiting = True

        def done(answer: Any) -> None:
            # An answer that was given up on is not applied: the vendor has heard of what is left since.
            if attempt != self._attempt or self.stopped:
                return
            self._waiting = False
            if isinstance(answer, Exception):
                return
            self._unanswered = {}
            self._number += 1
            self._period_s = answer["period_ms"] / 1000
            self._grant(answer)

        self._send(CapacityReport(self._name, self._number, list(self._unanswered.values())), done)
