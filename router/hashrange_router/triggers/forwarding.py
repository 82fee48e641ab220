"""Running functions from a process that has no pool: the invocation goes to a pool that is alive.

    forwarder = Forwarder(PoolList(client, clock), access_key, secret)
    result = await forwarder.invoke(invocation)                          # contracts.Invoker
    await forwarder.stop()

Every pool serves the Lambda API on a port of its own. Calls of one function go to the same pool as long as it lives
and has room, so that its warm workers are used; one that has no room is passed over for the next. Another pool is
tried only when the one before has surely not begun. Nobody waits for a pool that stands still.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Callable, Coroutine
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import quote

import orjson

from hashrange.errors import ApiError
from hashrange_router.auth.outgoing import signed
from hashrange_router.http_client import HttpClient, HttpReply, NoAnswerError, NotSentError
from hashrange_router.triggers.contracts import REQUEST_ID_HEADER, Invocation, InvocationResult
from hashrange_router.triggers.registry import BEAT_S, PoolAddress, PoolList

MARGIN_S: Final = 60.0
"""How much longer than the function's own timeout a pool may take, to start a worker or to wait for one."""
NOT_FOUND: Final = 404
NOT_BEGUN: Final = frozenset((429, 503))
"""Answers of a pool that has no room, or is starting or stopping."""
UNKNOWN_WAITS_S: Final = (0.02, 0.05, 0.1, 0.2, 0.4)
"""A pool that does not know a function which is known here is about to hear of it."""

Send = Callable[[str], Coroutine[Any, Any, HttpReply]]


class Forwarder:
    """Implements contracts.Invoker. Signs with the given credentials, which the pools must know."""

    def __init__(self, pools: PoolList, access_key: str, secret: str) -> None:
        self._pools = pools
        self._access_key = access_key
        self._secret = secret
        self._http = HttpClient()

    async def stop(self) -> None:
        """Let go of connections."""
        await self._http.close()

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        """Run it at a pool; see contracts.Invoker. ServiceException (503) when there is none."""
        function = invocation.function
        target = f"/2015-03-31/functions/{quote(invocation.invoked_arn, safe='')}/invocations"
        if function.arn != invocation.invoked_arn:
            # An alias has been resolved: the version it stood for is the one that is run.
            target = f"/2015-03-31/functions/{quote(function.arn, safe='')}/invocations"
        headers = {
            "content-type": "application/json",
            "x-amz-invocation-type": "RequestResponse",
            REQUEST_ID_HEADER: invocation.request_id,
        }
        if invocation.want_log:
            headers["x-amz-log-type"] = "Tail"
        if invocation.client_context is not None:
            headers["x-amz-client-context"] = b64encode(invocation.client_context).decode()
        region = function.arn.split(":")[3]
        timeout_s = function.timeout_s + MARGIN_S

        async def send(address: str) -> HttpReply:
            now_s = self._pools.clock.wall_ms() / 1000
            signed_headers = signed(
                self._access_key,
                self._secret,
                None,
                region,
                "lambda",
                "POST",
                target,
                {"host": address, **headers},
                invocation.payload,
                now_s,
            )
            return await self._http.post(
                f"http://{address}{target}", signed_headers, invocation.payload, timeout_s
            )

        for wait_s in (*UNKNOWN_WAITS_S, None):
            reply = await self._send(function.arn, send)
            if reply.status != NOT_FOUND or wait_s is None:
                break
            await asyncio.sleep(wait_s)
        return _result(reply)

    async def _send(self, about: str, send: Send) -> HttpReply:
        """Send to the pools in the order that `about` gives them, until one has begun."""
        refusal: HttpReply | None = None
        for name, address in preferred(await self._pools.refresh(), about):
            try:
                reply = await self._while_alive(name, send(address))
            except NotSentError:
                continue
            except NoAnswerError as error:
                raise _service_error(
                    f"the trigger pool at {address} has not answered: {error}", 500
                ) from error
            if reply.status not in NOT_BEGUN:
                return reply
            refusal = reply
        if refusal is not None:
            return refusal
        raise _service_error("no trigger pool is running; start one with `hashrange triggers`", 503)

    async def _while_alive(self, name: str, sending: Coroutine[Any, Any, HttpReply]) -> HttpReply:
        """Wait for an answer of a pool; NoAnswerError once the pool stands still: what it ran has been ended."""
        answer = asyncio.ensure_future(sending)
        try:
            while not (await asyncio.wait([answer], timeout=BEAT_S))[0]:
                with suppress(ApiError):  # who cannot look knows nothing new
                    await self._pools.refresh()
                if self._pools.is_silent(name):
                    raise NoAnswerError("it stands still")
            return answer.result()
        finally:
            answer.cancel()


def preferred(pools: list[PoolAddress], about: str) -> list[PoolAddress]:
    """The pools in an order that depends on what the call is about: it changes least when pools come and go."""

    def weight(pool: PoolAddress) -> bytes:
        return blake2b(f"{pool[0]}\0{about}".encode(), digest_size=8).digest()

    return sorted(pools, key=weight)


def _result(reply: HttpReply) -> InvocationResult:
    if reply.status == 200:
        log = reply.headers.get("x-amz-log-result", "")
        return InvocationResult(
            reply.body, reply.headers.get("x-amz-function-error"), b64decode(log) if log else b""
        )
    try:
        body = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise _service_error(f"the trigger pool answered with the status {reply.status}", 502)
    own = ("Type", "Message", "message")
    raise ApiError(
        reply.headers.get("x-amzn-errortype", "ServiceException").partition(":")[0],
        body.get("Message") or body.get("message") or "",
        status=reply.status,
        namespace="",
        message_key="Message",
        fields={name: value for name, value in body.items() if name not in own} or None,
    )


def _service_error(message: str, status: int) -> ApiError:
    return ApiError("ServiceException", message, status=status, namespace="", message_key="Message")
