"""From an HTTP request to an operation and back: the application that the HTTP front runs.

The order of checks is the service's: method and content type, JSON, target, credentials, body. An operation
is found by its target in one dictionary look-up; everything that is not a plain POST to `/` with a known
target takes the slow path: the other JSON services, then those with paths, then pages (`_other`). Latency,
errors and consumed capacity are recorded at the one place where a call ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

import orjson

from hashrange.errors import ApiError, internal, serialization, unknown_operation
from hashrange.runtime.logging import AccessLog, get_logger
from hashrange.runtime.telemetry import OperationStats, Telemetry
from hashrange.wire.messages import Transport
from hashrange_router.api.call import Call, Operation
from hashrange_router.api.rest import RestCall, RestReply, RestService
from hashrange_router.http.request import Request

JSON_1_1 = b"application/x-amz-json-1.1"
JSON_TYPES = frozenset((b"application/x-amz-json-1.0", b"application/json"))


def _as_it_is(request: dict[str, Any], error: ApiError) -> ApiError:
    return error


def _content_type(request: Request) -> bytes:
    return request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class OperationEntry:
    """One supported operation: its checks, compiled once, and its handler."""

    name: str
    validate: Callable[[dict[str, Any]], None]
    handle: Callable[[Call, dict[str, Any]], Operation]
    finish_error: Callable[[str, ApiError], ApiError]
    reconsider: Callable[[dict[str, Any], ApiError], ApiError] = _as_it_is
    """What a request has been refused with before any message was sent, and what to answer instead."""


@dataclass(frozen=True, slots=True)
class JsonService:
    """Another service behind the same port, which speaks JSON 1.1 and is named by the prefix of its targets.

    `signing_name` is the service in the scope of its requests' signatures, `entries` its operations by target.
    """

    prefix: bytes
    signing_name: str
    entries: dict[bytes, OperationEntry]


class Authenticate(Protocol):
    """Checks a request's signature; raises what is to be answered."""

    def __call__(self, request: Request, service: str = "dynamodb") -> None: ...


class SystemPages(Protocol):
    """Answers everything that is not an API call: health, metrics, CORS, unknown paths."""

    def __call__(self, request: Request) -> None: ...


class Dispatcher:
    """The HTTP application of a router."""

    def __init__(
        self,
        entries: dict[bytes, OperationEntry],
        transport: Transport,
        telemetry: Telemetry,
        access_log: AccessLog,
        authenticate: Authenticate,
        pages: SystemPages,
    ) -> None:
        self._entries = entries
        self._services: dict[bytes, JsonService] = {}
        self._rest: list[RestService] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport = transport
        self._telemetry = telemetry
        self._access_log = access_log
        self._authenticate = authenticate
        self._pages = pages
        self._log = get_logger("api")
        self.in_flight = 0
        self.note: Callable[[str, ApiError], None] = lambda table, error: None
        """Told of every failed call's table and error, for whoever counts refusals."""

    def serve(self, service: JsonService) -> None:
        """Serve another service too."""
        self._services[service.prefix] = service

    def serve_rest(self, service: RestService) -> None:
        """Serve a service whose calls are named by method and path."""
        self._rest.append(service)

    def authenticate_with(self, authenticate: Authenticate) -> None:
        """Check requests like this from now on; what it raises is their answer."""
        self._authenticate = authenticate

    def __call__(self, request: Request) -> None:
        """Run one request; the answer is given in this tick or a later one."""
        started = perf_counter()
        headers, entries = request.headers, self._entries
        service = None
        if (
            headers.get(b"content-type") not in JSON_TYPES
            or request.method != b"POST"
            or request.target != b"/"
        ) and not self._is_call(request):
            service = self._service_of(request)
            if service is None:
                self._other(request, started)
                return
            entries = service.entries
        entry = None
        try:
            try:
                document = orjson.loads(request.body)
            except orjson.JSONDecodeError:
                raise serialization() from None
            if document.__class__ is not dict:
                raise serialization()
            entry = entries.get(headers.get(b"x-amz-target", b""))
            if entry is None:
                raise unknown_operation()
            if service is None:
                self._authenticate(request)
            else:
                self._authenticate(request, service.signing_name)
            entry.validate(document)
        except ApiError as error:
            if entry is not None:
                error = entry.finish_error(entry.name, entry.reconsider(document, error))
            self._refuse(request, entry, error, started)
            return
        call = Call(entry.name, request, self._transport, self._finish)
        call.started = started
        call.entry = entry
        self.in_flight += 1
        try:
            operation = entry.handle(call, document)
        except ApiError as error:
            self._finish(call, entry.reconsider(document, error))
            return
        except Exception as error:
            self._finish(call, error)
            return
        call.run(operation)

    def _is_call(self, request: Request) -> bool:
        """Whether this is an API call after all: parameters after the content type, a query in the target."""
        if request.method != b"POST" or request.target.partition(b"?")[0] != b"/":
            return False
        return _content_type(request) in JSON_TYPES

    def _service_of(self, request: Request) -> JsonService | None:
        """The other service that a request is for, if it is a call at all."""
        if request.method != b"POST" or request.target != b"/" or _content_type(request) != JSON_1_1:
            return None
        return self._services.get(request.headers.get(b"x-amz-target", b"").partition(b".")[0])

    def _other(self, request: Request, started: float) -> None:
        """A request that is none of the JSON services': a call of a service with paths, or a page."""
        for service in self._rest:
            call = None
            try:
                call = service.find(request)
                if call is None:
                    continue
                if not call.open:
                    self._authenticate(request, service.signing_name)
            except ApiError as error:
                operation = call.operation if call is not None else "Unknown"
                self._finish_rest(request, operation, service.refusal(error), started, error)
                return
            self.in_flight += 1
            task = asyncio.get_running_loop().create_task(self._run_rest(request, service, call, started))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        self._pages(request)

    async def _run_rest(self, request: Request, service: RestService, call: RestCall, started: float) -> None:
        """Run a call to its end; nothing that it raises goes further."""
        failure: ApiError | None = None
        try:
            reply = await call.run()
        except ApiError as error:
            failure = error
        except asyncio.CancelledError:
            failure = internal()
            raise
        except Exception as error:
            self._log.error(
                "an operation failed",
                request_id=request.request_id,
                operation=call.operation,
                exc_info=error,
            )
            failure = internal()
        finally:
            self.in_flight -= 1
            if failure is not None:
                reply = service.refusal(failure)
            self._finish_rest(request, call.operation, reply, started, failure)

    def _finish_rest(
        self, request: Request, operation: str, reply: RestReply, started: float, error: ApiError | None
    ) -> None:
        """Answer, and count it."""
        stats = self._telemetry.operation(operation, "")
        seconds = perf_counter() - started
        if error is None:
            stats.observe(seconds)
        else:
            stats.fail(error.type_name)
        if self._access_log.enabled:
            name = error.type_name if error is not None else ""
            self._access_log.record(request.request_id, operation, "", reply.status, seconds, name)
        request.reply(reply.status, reply.body, reply.content_type, reply.lines())

    def _refuse(
        self, request: Request, entry: OperationEntry | None, error: ApiError, started: float
    ) -> None:
        operation = entry.name if entry is not None else "Unknown"
        self._telemetry.operation(operation, "").fail(error.type_name)
        if self._access_log.enabled:
            self._access_log.record(
                request.request_id, operation, "", error.status, perf_counter() - started, error.type_name
            )
        request.reply(error.status, error.body(), request.content_type)

    def _finish(self, call: Call, outcome: Any) -> None:
        """Answer a call, whatever became of it."""
        self.in_flight -= 1
        stats = self._telemetry.operation(call.operation, call.table)
        request: Request = call.request
        if outcome.__class__ is not bytes:
            self._fail(call, stats, outcome)
            return
        seconds = perf_counter() - call.started
        stats.observe(seconds)
        if call.read_units_half:
            stats.read_units_half += call.read_units_half
            stats.returned_items += call.returned_items
            stats.returned_bytes += len(outcome)
        else:
            stats.write_units_half += call.write_units_half
        if self._access_log.enabled:
            self._access_log.record(request.request_id, call.operation, call.table, 200, seconds)
        request.reply(200, outcome, request.content_type)

    def _noted(self, call: Call, error: ApiError) -> None:
        self.note(call.table, error)

    def _fail(self, call: Call, stats: OperationStats, outcome: Any) -> None:
        request: Request = call.request
        if isinstance(outcome, ApiError):
            error = call.entry.finish_error(call.operation, outcome)
        else:
            self._log.error(
                "an operation failed",
                request_id=request.request_id,
                operation=call.operation,
                exc_info=outcome,
            )
            error = internal()
        stats.fail(error.type_name)
        self._noted(call, error)
        stats.write_units_half += call.write_units_half
        if self._access_log.enabled:
            seconds = perf_counter() - call.started
            self._access_log.record(
                request.request_id, call.operation, call.table, error.status, seconds, error.type_name
            )
        request.reply(error.status, error.body(), request.content_type)
