"""One event, claimed: from its payload to the end of its row, or to when it is due again.

    run = EventRun(store, invoker, directory, destinations, metrics, clock, delay_scale, due_later)
    await run.run(event, owner, payload)

Each step leaves the row such that whoever claims it next can go on from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import orjson

from hashrange.errors import ApiError
from hashrange.runtime.clock import Clock
from hashrange.runtime.logging import get_logger
from hashrange_router.triggers.contracts import (
    Destinations,
    FunctionDirectory,
    Invocation,
    Invoker,
    TriggerMetrics,
)
from hashrange_router.triggers.events import outcome as outcomes
from hashrange_router.triggers.events.outcome import Ended, EventConfig
from hashrange_router.triggers.events.rows import Event
from hashrange_router.triggers.events.store import EventStore

NOT_FOUND: Final = "ResourceNotFoundException"
COUNTS: Final = ("succeeded", "failed", "retried", "postponed", "delivered", "dropped", "taken_over")
UNKNOWN_S: Final = 60
"""For so long an event waits for a function that this process does not know: it may only be about to hear of it."""


class EventRun:
    """Runs events, one call of `run` for each claim."""

    def __init__(
        self,
        store: EventStore,
        invoker: Invoker,
        directory: FunctionDirectory,
        destinations: Destinations,
        metrics: TriggerMetrics,
        clock: Clock,
        delay_scale: float,
        due_later: Callable[[int], None],
    ) -> None:
        self._store = store
        self._invoker = invoker
        self._directory = directory
        self._destinations = destinations
        self._metrics = metrics
        self._clock = clock
        self._delay_scale = delay_scale
        self._due_later = due_later
        self.invoking: set[str] = set()
        """The claims whose functions are being run."""
        self.counts = dict.fromkeys(COUNTS, 0)
        self._log = get_logger("triggers")

    def count(self, what: str) -> None:
        """Count something that happened to an event."""
        self.counts[what] += 1

    async def run(self, event: Event, owner: str, payload: bytes | None) -> None:
        """Run or deliver it; whatever goes wrong in the system itself makes it wait. Raises only what is a mistake."""
        try:
            if event.outcome is not None:
                await self._deliver(event, owner)
            else:
                await self._invoke(event, owner, payload)
        except ApiError as error:
            self._log.warning("an event has to wait", request_id=event.id, reason=str(error))
            await self._wait(event, owner)
        except Exception:
            await self._wait(event, owner)
            raise

    async def _invoke(self, event: Event, owner: str, payload: bytes | None) -> None:
        if payload is None:
            payload = await self._store.payload(event)
        if payload is None:
            self._log.error("an event without its payload is dropped", request_id=event.id)
            self.count("dropped")
            await self._store.finish(event, owner)
            return
        now_ms = self._clock.wall_ms()
        try:
            config = EventConfig.of(self._directory.event_invoke(event.arn))
            if config.too_old(event, now_ms):
                await self._conclude(event, owner, config, Ended(outcomes.TOO_OLD), payload)
                return
            function = self._directory.resolve(event.arn)
        except ApiError as error:
            if error.type_name == NOT_FOUND and now_ms - event.put_ms > UNKNOWN_S * 1000:
                self._log.warning(
                    "an event is for a function that is gone", request_id=event.id, arn=event.arn
                )
                self.count("dropped")
                await self._store.finish(event, owner)
                return
            raise
        invocation = Invocation(
            function, payload, event.id, event.arn, source="async", client_context=event.context
        )
        self.invoking.add(owner)
        try:
            result = await self._invoker.invoke(invocation)
        except ApiError as error:
            if outcomes.is_transient(error):
                raise
            ended = Ended(outcomes.EXHAUSTED, function.version, error=error)
            await self._conclude(replace(event, invokes=event.invokes + 1), owner, config, ended, payload)
            return
        finally:
            self.invoking.discard(owner)
        event = replace(event, invokes=event.invokes + 1, waits=0)
        if result.error is None:
            await self._conclude(
                event, owner, config, Ended(outcomes.SUCCESS, function.version, result), payload
            )
            return
        tries = event.tries + 1
        if tries <= config.retries_max:
            self.count("retried")
            delay_s = outcomes.retry_delay_s(tries)
            await self._move(event, replace(event, tries=tries, due_ms=self._after(event, delay_s)), owner)
            return
        await self._conclude(
            event, owner, config, Ended(outcomes.EXHAUSTED, function.version, result), payload
        )

    async def _conclude(
        self, event: Event, owner: str, config: EventConfig, ended: Ended, payload: bytes
    ) -> None:
        """The event is not run again: tell those who are to know, then forget it."""
        self.count("succeeded" if ended.condition == outcomes.SUCCESS else "failed")
        found = outcomes.deliveries(event, config, ended, payload, self._clock.wall_ms())
        if not found:
            await self._store.finish(event, owner)
            return
        settled = await self._store.settle(event, owner, orjson.dumps(found))
        if settled is not None:
            await self._send(settled, owner, found)

    async def _deliver(self, event: Event, owner: str) -> None:
        data = await self._store.outcome(event)
        found: list[dict[str, Any]] = orjson.loads(data) if data else []
        await self._send(event, owner, found)

    async def _send(self, event: Event, owner: str, found: list[dict[str, Any]]) -> None:
        """Deliver what has not been delivered yet; what cannot be now is tried again later, or dropped."""
        sent = event.sent
        for number, delivery in enumerate(found):
            if sent >> number & 1:
                continue
            try:
                await self._destinations.send(delivery["to"], delivery["document"])
                self.count("delivered")
            except ApiError as error:
                if not self._is_hopeless(event, error):
                    continue
                name = outcomes.name_of(event.arn)
                errors = self._metrics.dead_letter_errors
                errors[name] = errors.get(name, 0) + 1
                self._log.error(
                    "the outcome of an event could not be delivered",
                    request_id=event.id,
                    destination=delivery["to"],
                    reason=str(error),
                )
            sent |= 1 << number
        if sent == (1 << len(found)) - 1:
            await self._store.finish(event, owner)
            return
        self.count("postponed")
        waits = event.waits + 1
        later = replace(event, sent=sent, waits=waits, due_ms=self._after(event, outcomes.wait_s(waits)))
        await self._move(event, later, owner)

    def _is_hopeless(self, event: Event, error: ApiError) -> bool:
        """Whether a delivery that failed like this is given up."""
        if event.waits + 1 < outcomes.DELIVERIES_MAX:
            return False
        too_old = self._clock.wall_ms() - event.put_ms > outcomes.AGE_DEFAULT_S * 1000
        return too_old or not outcomes.is_transient(error)

    async def _wait(self, event: Event, owner: str) -> None:
        """Let the event be due again after a while that grows; if even that fails, its claim runs out."""
        self.count("postponed")
        waits = event.waits + 1
        later = replace(event, waits=waits, due_ms=self._after(event, outcomes.wait_s(waits)))
        try:
            await self._move(event, later, owner)
        except ApiError as error:
            self._log.warning("an event is left to its claim's end", request_id=event.id, reason=str(error))

    async def _move(self, event: Event, later: Event, owner: str) -> None:
        if await self._store.move(event, later, owner):
            self._due_later(later.due_ms)

    def _after(self, event: Event, delay_s: float) -> int:
        """When an event is due that waits for so long: epoch milliseconds, later than it was."""
        return max(self._clock.wall_ms() + int(delay_s * self._delay_scale * 1000), event.due_ms + 1)
