"""Invoke and its kin: a function is run at once, an event is queued, or it is only looked whether it could be.

The invocation itself is the `Invoker`'s: the pool in this process, or one elsewhere.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable

import orjson

from hashrange.errors import ApiError
from hashrange_router.api.rest import RestReply
from hashrange_router.functions import eventstream
from hashrange_router.functions.directory import Directory
from hashrange_router.functions.errors import bad_content, too_large, unsupported
from hashrange_router.functions.requests import Request
from hashrange_router.triggers.contracts import (
    EventQueue,
    FunctionVersion,
    Invocation,
    InvocationResult,
    Invoker,
)

PAYLOAD_MAX = 6 * 1024 * 1024
"""Bytes of a payload that is waited for (AWS Lambda Developer Guide, Lambda quotas)."""
EVENT_MAX = 1024 * 1024
"""Bytes of an event (the same)."""
CLIENT_CONTEXT_MAX = 3583
"""Bytes of a client context as it is sent, in base64 (AWS Lambda API Reference, Invoke)."""
LOG_TAIL_BYTES = 4096


class Invocations:
    """Runs the operations that invoke functions."""

    def __init__(
        self,
        directory: Directory,
        invoker: Invoker,
        events: EventQueue,
    ) -> None:
        self._directory = directory
        self._invoker = invoker
        self._events = events

    async def invoke(self, request: Request, payload: bytes, request_id: str) -> RestReply:
        """Invoke."""
        kind = request.get("InvocationType", "RequestResponse")
        function, arn = self._function(request)
        context = _checked(request, payload, EVENT_MAX if kind == "Event" else PAYLOAD_MAX, "InvokeFunction")
        headers = {"X-Amz-Executed-Version": function.version}
        if kind == "DryRun":
            return RestReply(204, headers=headers)
        if kind == "Event":
            await self._events.put(arn, payload or b"{}", request_id, context)
            return RestReply(202)
        result = await self._run(request, function, arn, payload, request_id, context)
        if result.error is not None:
            headers["X-Amz-Function-Error"] = result.error
        if request.get("LogType") == "Tail":
            headers["X-Amz-Log-Result"] = _log(result)
        return RestReply(200, result.payload, headers=headers)

    async def invoke_async(self, request: Request, payload: bytes, request_id: str) -> RestReply:
        """InvokeAsync, which Invoke with the type Event has replaced."""
        _, arn = self._function(request)
        _checked(request, payload, EVENT_MAX, "InvokeAsync")
        await self._events.put(arn, payload or b"{}", request_id, None)
        return RestReply(202, orjson.dumps({"Status": 202}))

    async def invoke_streaming(self, request: Request, payload: bytes, request_id: str) -> RestReply:
        """InvokeWithResponseStream: the events follow one another once the function has ended."""
        function, arn = self._function(request)
        context = _checked(request, payload, PAYLOAD_MAX, "InvokeWithResponseStream")
        headers = {"X-Amz-Executed-Version": function.version}
        if request.get("InvocationType") == "DryRun":
            return RestReply(204, headers=headers)
        result = await self._run(request, function, arn, payload, request_id, context)
        complete: dict[str, str] = {}
        frames: list[bytes] = []
        if result.error is None:
            frames += eventstream.chunks(result.payload)
        else:
            complete["ErrorCode"] = result.error
            complete["ErrorDetails"] = result.payload.decode("utf-8", "replace")
        if request.get("LogType") == "Tail":
            complete["LogResult"] = _log(result)
        frames.append(eventstream.event("InvokeComplete", orjson.dumps(complete), "application/json"))
        return RestReply(200, b"".join(frames), eventstream.CONTENT_TYPE, headers)

    def _function(self, request: Request) -> tuple[FunctionVersion, str]:
        """The version to run, and the ARN of what the caller named."""
        if request.get("TenantId"):
            raise unsupported("Tenant isolation")
        if request.get("DurableExecutionName"):
            raise unsupported("Durable execution")
        directory = self._directory
        function = directory.resolve(request["FunctionName"], request.get("Qualifier"))
        named = directory.names.parse(request["FunctionName"], request.get("Qualifier"))
        return function, directory.names.arn(named.name, named.qualifier)

    async def _run(
        self,
        request: Request,
        function: FunctionVersion,
        arn: str,
        payload: bytes,
        request_id: str,
        context: bytes | None,
    ) -> InvocationResult:
        return await self._invoker.invoke(
            Invocation(
                function,
                payload or b"{}",
                request_id,
                arn,
                client_context=context,
                want_log=request.get("LogType") == "Tail",
            )
        )


def _checked(request: Request, payload: bytes, limit: int, operation: str) -> bytes | None:
    """Check payload and client context; returns the latter as JSON."""
    if len(payload) > limit:
        raise too_large(limit, operation)
    if payload:
        _loads(payload, lambda why: bad_content(f"Could not parse request body into json: {why}"))
    given = request.get("ClientContext")
    if not given:
        return None
    wrong = "Client context must be a valid Base64-encoded JSON object."
    if len(given) > CLIENT_CONTEXT_MAX:
        raise bad_content(
            f"Client context must be no more than {CLIENT_CONTEXT_MAX} bytes when base64-encoded."
        )
    try:
        context = b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        raise bad_content(wrong) from None
    if not isinstance(_loads(context, lambda why: bad_content(wrong)), dict):
        raise bad_content(wrong)
    return context


def _loads(text: bytes, failed: Callable[[str], ApiError]) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise failed(str(error)) from None


def _log(result: InvocationResult) -> str:
    return b64encode(result.log_tail[-LOG_TAIL_BYTES:]).decode()
