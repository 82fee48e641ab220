"""The calls that one shard makes for its mapping, the reports about what it gives up, and what is counted of both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hashrange.errors import ApiError
from hashrange.runtime.logging import get_logger
from hashrange_router.streams.directory import Stream
from hashrange_router.triggers.contracts import Invocation
from hashrange_router.triggers.mapping.answers import Failure, Partial, event_body, failure_document, judge
from hashrange_router.triggers.mapping.lane import Answer, Lane, Unit
from hashrange_router.triggers.mapping.leases import LeaseLost
from hashrange_router.triggers.mapping.services import FAILED, FINE, MappingView, Services
from hashrange_router.triggers.mapping.settings import Settings

REPORTS_MAX = 5
REPORT_FIRST_S = 0.5
"""Attempts to deliver a report, and the pause after the first one; it doubles."""

_FAULTS_OF_EVENT = frozenset(("RequestTooLargeException", "InvalidRequestContentException"))
"""Errors of calls that the same event would always meet: they count as failures of the function."""


class Caller:
    """For one shard. `stream` is what the mapping reads."""

    def __init__(self, view: MappingView, shard_id: str, services: Services, stream: Stream) -> None:
        self.stream = stream
        self._view = view
        self._shard_id = shard_id
        self._services = services
        self._label = (view.uuid, shard_id)
        self._log = get_logger("triggers").bind(mapping=view.uuid, shard=shard_id)

    async def call(self, lane: Lane, unit: Unit, settings: Settings, held: Callable[[], bool]) -> None:
        """Call the function with a unit and tell the lane how it went. LeaseLost: too late to tell anybody."""
        view, services = self._view, self._services
        if unit.calls or unit.refusals:
            _add(services.metrics.retries, self._label, 1)
        payload = event_body(unit, settings, self._shard_id, view.stream_arn)
        request_id = services.new_id()
        named = view.function_arn
        version = "$LATEST"
        try:
            function = services.directory.resolve(named)
            version = function.version
            invoked_arn = named if named.startswith("arn:") else function.arn
            invocation = Invocation(function, payload, request_id, invoked_arn, "mapping")
            result = await services.invoker.invoke(invocation)
        except ApiError as error:
            if not held():
                raise LeaseLost from None
            view.result = FAILED
            if error.type_name in _FAULTS_OF_EVENT:
                lane.failed(Answer(request_id, version, error.type_name), services.moment())
                return
            if not unit.refusals:
                self._log.info("a function could not be called", function=named, reason=str(error))
            lane.refused(services.moment())
            return
        if not held():
            raise LeaseLost
        outcome = judge(result.payload, result.error, settings, unit)
        if isinstance(outcome, Failure):
            view.result = FAILED
            if not unit.calls:
                self._log.info(
                    "a batch has failed", function=named, reason=outcome.why, records=len(unit.records)
                )
            lane.failed(Answer(request_id, version, outcome.error), services.moment())
            return
        taken = unit.records
        if isinstance(outcome, Partial):
            view.result = FAILED
            taken = [entry for entry in taken if entry.sequence < outcome.lowest]
            lane.failed_from(
                outcome.lowest, Answer(request_id, version, None), services.moment(), outcome.state
            )
        else:
            view.result = FINE
            lane.succeeded(outcome.state)
        if taken:
            _add(services.metrics.records, self._label, len(taken))
            age_ms = services.clock.wall_ms() - taken[-1].created_ms
            services.metrics.iterator_age_ms[self._label] = max(age_ms, 0)

    async def give_up(self, unit: Unit, position: int) -> None:
        """Report a unit that has a verdict."""
        view, services = self._view, self._services
        self.count_dropped(len(unit.records))
        self._log.warning("records are given up", reason=unit.verdict, records=len(unit.records))
        destination = view.destination
        if destination is None:
            return
        document = failure_document(
            unit,
            request_id=services.new_id(),
            function_arn=view.function_arn,
            shard_id=self._shard_id,
            stream_arn=view.stream_arn,
            position=position,
            now_ms=services.clock.wall_ms(),
        )
        for attempt in range(REPORTS_MAX):
            try:
                await services.destinations.send(destination, document)
                return
            except ApiError as error:
                reason = str(error)
            if attempt + 1 < REPORTS_MAX:
                await asyncio.sleep(REPORT_FIRST_S * 2**attempt)
        letters = services.metrics.dead_letter_errors
        letters[view.uuid] = letters.get(view.uuid, 0) + 1
        self._log.error(
            "a report could not be delivered", destination=destination, reason=reason, report=document
        )

    def count_filtered(self, records: int) -> None:
        """Records that the mapping's filters left out."""
        _add(self._services.metrics.filtered, self._label, records)

    def count_dropped(self, records: int) -> None:
        """Records that were given up, or that were gone before they could be read."""
        _add(self._services.metrics.dropped, self._label, records)

    def waiting_since(self, oldest_ms: int | None) -> None:
        """When the oldest record that waits was written; None: nothing waits."""
        age_ms = 0 if oldest_ms is None else max(self._services.clock.wall_ms() - oldest_ms, 0)
        self._services.metrics.iterator_age_ms[self._label] = age_ms

    def forget(self) -> None:
        """The shard is not this pool's any more: what was counted stays, summed up over such shards."""
        metrics = self._services.metrics
        for counts in (metrics.records, metrics.retries, metrics.dropped, metrics.filtered):
            if self._label in counts:
                _add(counts, (self._view.uuid, ""), counts.pop(self._label))
        metrics.iterator_age_ms.pop(self._label, None)


def _add(counts: dict[tuple[str, str], int], label: tuple[str, str], more: int) -> None:
    counts[label] = counts.get(label, 0) + more
