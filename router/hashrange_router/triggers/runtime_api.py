"""The Runtime API of one worker: an HTTP server on a port of its own, from which the runtime takes its events.

    api = RuntimeApi(events)                 # events: what the worker does about them, see RuntimeEvents
    await api.start()                        # api.address is AWS_LAMBDA_RUNTIME_API
    api.deliver(request_id, body, headers)   # answers the runtime's waiting /next
    await api.stop()

A port for each worker, because runtimes cannot be told a path. `/next` is never answered with an error: some
runtimes crash on it, and to end a worker it is killed. Its reply goes out in one tick on a connection with
TCP_NODELAY, or an invocation would wait for the acknowledgement of its head.
(AWS Lambda Developer Guide, Using the Lambda runtime API.)
"""

from __future__ import annotations

import base64
import binascii
from typing import Protocol

import orjson

from hashrange_router.http import JSON, HttpLimits, HttpServer, Request, serve
from hashrange_router.triggers.reports import RESPONSE_BYTES_MAX, STREAM_BYTES_MAX, too_large

_PREFIX = b"/2018-06-01/runtime"
_NEXT = _PREFIX + b"/invocation/next"
_INVOCATION = _PREFIX + b"/invocation/"
_INIT_ERROR = _PREFIX + b"/init/error"
_ERROR_TYPE = b"lambda-runtime-function-error-type"
_ERROR_BODY = b"lambda-runtime-function-error-body"
_MODE = b"lambda-runtime-function-response-mode"

_ACCEPTED = b'{"status":"OK"}\n'

# A handler may take 15 minutes over a streamed answer, and a warm worker may wait for days.
_LIMITS = HttpLimits(
    body_bytes_max=STREAM_BYTES_MAX + 1024 * 1024,
    head_bytes_max=64 * 1024,
    connections_max=64,
    body_timeout_s=1000.0,
    idle_timeout_s=7 * 86_400.0,
    compress_from_bytes=1 << 40,
    keep_trailers=True,
)


class RuntimeEvents(Protocol):
    """What a runtime tells. Called on the event loop, from within the parsing of the request."""

    def polling(self) -> None:
        """It asks for an event."""
        ...

    def answered(self, payload: bytes) -> None:
        """The handler returned."""
        ...

    def failed(self, document: bytes) -> None:
        """The handler raised, or its answer cannot be used: the document of the error."""
        ...

    def init_failed(self, document: bytes) -> None:
        """The runtime could not be initialised."""
        ...


class RuntimeApi:
    """One worker's server."""

    def __init__(self, events: RuntimeEvents) -> None:
        self._events = events
        self._server: HttpServer | None = None
        self._next: Request | None = None
        self._request_id = b""

    async def start(self) -> None:
        """Listen. OSError when there is no port."""
        self._server = await serve(self._handle, "127.0.0.1", 0, limits=_LIMITS)

    async def stop(self) -> None:
        """Close the port and its connections; a waiting `/next` stays unanswered."""
        self._next = None
        if self._server is not None:
            await self._server.drain(0)

    @property
    def address(self) -> str:
        """Host and port, for AWS_LAMBDA_RUNTIME_API."""
        if self._server is None:
            raise RuntimeError("the Runtime API has not been started")
        return f"127.0.0.1:{self._server.port}"

    def deliver(self, request_id: str, event: bytes, headers: bytes) -> None:
        """Give the runtime, which must be polling, an event. `headers` are whole lines."""
        waiting, self._next = self._next, None
        if waiting is None:
            raise RuntimeError("the runtime is not asking for an event")
        self._request_id = request_id.encode()
        waiting.reply(200, event, JSON, headers)

    def _handle(self, request: Request) -> None:
        target = request.target.partition(b"?")[0]
        if request.method == b"GET" and target == _NEXT:
            self._next = request
            self._events.polling()
        elif request.method == b"POST" and target == _INIT_ERROR:
            request.reply(202, _ACCEPTED, JSON)
            self._events.init_failed(request.body)
        elif request.method == b"POST" and target.startswith(_INVOCATION):
            self._outcome(request, target[len(_INVOCATION) :])
        else:
            _refuse(request, 404, "UnknownOperation", "There is no such operation of the Runtime API")

    def _outcome(self, request: Request, rest: bytes) -> None:
        """`<request id>/response` or `<request id>/error`."""
        request_id, _, what = rest.partition(b"/")
        if what not in (b"response", b"error"):
            _refuse(request, 404, "UnknownOperation", "There is no such operation of the Runtime API")
            return
        if not request_id or request_id != self._request_id:
            _refuse(request, 400, "InvalidRequestID", "Invalid request ID")
            return
        self._request_id = b""
        if what == b"error":
            request.reply(202, _ACCEPTED, JSON)
            self._events.failed(request.body or _unnamed(request.headers))
            return
        streaming = request.headers.get(_MODE, b"").lower() == b"streaming"
        limit = STREAM_BYTES_MAX if streaming else RESPONSE_BYTES_MAX
        if len(request.body) > limit:
            _refuse(
                request,
                413,
                "RequestEntityTooLarge",
                f"Exceeded maximum allowed payload size ({limit} bytes).",
            )
            self._events.failed(too_large(limit))
            return
        request.reply(202, _ACCEPTED, JSON)
        broken = _trailing_error(request.headers) if streaming else None
        if broken is None:
            self._events.answered(request.body)
        else:
            self._events.failed(broken)


def _refuse(request: Request, status: int, error_type: str, message: str) -> None:
    request.reply(status, orjson.dumps({"errorMessage": message, "errorType": error_type}), JSON)


def _unnamed(headers: dict[bytes, bytes]) -> bytes:
    """The document of an error that came without one."""
    kind = headers.get(_ERROR_TYPE, b"Unhandled").decode("latin-1")
    return orjson.dumps({"errorType": kind, "errorMessage": ""})


def _trailing_error(headers: dict[bytes, bytes]) -> bytes | None:
    """The error of a handler that failed in the middle of its stream, from the trailers of its answer."""
    kind = headers.get(b"trailer:" + _ERROR_TYPE)
    if kind is None:
        return None
    try:
        document = base64.b64decode(headers.get(b"trailer:" + _ERROR_BODY, b""), validate=True)
        orjson.loads(document)
    except (binascii.Error, orjson.JSONDecodeError):
        return orjson.dumps({"errorType": kind.decode("latin-1"), "errorMessage": ""})
    return document
