"""Invoke from a process without a pool: which pool gets it, what is handed on, what is tried again."""

from __future__ import annotations

import asyncio
import socket
from base64 import b64encode
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from aiohttp import web
from hashrange_router.auth import Secret, Verifier
from hashrange_router.triggers import forwarding
from hashrange_router.triggers.contracts import REQUEST_ID_HEADER, FunctionVersion, Invocation
from hashrange_router.triggers.forwarding import UNKNOWN_WAITS_S, Forwarder, preferred
from hashrange_router.triggers.registry import BEAT_S, SILENT_S, PoolList, Registry

from hashrange.errors import ApiError
from hashrange.runtime.clock import ManualClock
from tests.triggers.event_support import ARN
from tests.triggers.http_fake import Sent, http_server
from tests.unit.local_support import LocalNode, on_loop

FUNCTION = FunctionVersion("hello", ARN, "$LATEST", "python3.11", "a.b", "0", "0", 3, 128, 512)


def invocation(**more: Any) -> Invocation:
    return Invocation(FUNCTION, b'{"a":1}', "0b2c8a42-0000-4000-8000-000000000001", ARN, **more)


async def pools(local: LocalNode, **addresses: str) -> PoolList:
    clock = ManualClock()
    for name, address in addresses.items():
        await Registry(local.client(), name, address, clock).beat()
    return PoolList(local.client(), clock)


def closed_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


def error(status: int, kind: str, **more: Any) -> Any:
    def answer(sent: Sent) -> web.Response:
        body = orjson.dumps({"Type": "User", "Message": "why", "message": "why", **more})
        return web.Response(status=status, body=body, headers={"x-amzn-ErrorType": kind})

    return answer


def test_an_invocation_is_handed_on_with_a_signature_and_answered() -> None:
    async def test(local: LocalNode) -> None:
        async with http_server() as server:
            server.answer = lambda sent: web.Response(
                body=b'{"errorMessage":"x"}',
                headers={
                    "X-Amz-Function-Error": "Unhandled",
                    "X-Amz-Log-Result": b64encode(b"log").decode(),
                },
            )
            forwarder = Forwarder(await pools(local, a=server.address), "AK", "secret")
            result = await forwarder.invoke(invocation(want_log=True, client_context=b"{}"))
            assert (result.payload, result.error, result.log_tail) == (
                b'{"errorMessage":"x"}',
                "Unhandled",
                b"log",
            )
            (sent,) = server.sent
            assert sent.body == b'{"a":1}'
            assert sent.headers["x-amz-client-context"] == b64encode(b"{}").decode()
            assert sent.headers["x-amz-log-type"] == "Tail"
            assert sent.headers[REQUEST_ID_HEADER] == invocation().request_id
            check_signature(sent)
            await forwarder.stop()

    on_loop(test)


def check_signature(sent: Sent) -> None:
    """As the pool checks it."""

    arrived = SimpleNamespace(
        method=sent.method.encode(),
        target=sent.target.encode(),
        headers={name.encode(): value.encode() for name, value in sent.headers.items()},
        wire_body=sent.body,
    )
    now_s = ManualClock().wall_ms() / 1000
    assert Verifier({"AK": Secret("secret")}, "us-east-1", lambda: now_s).verify(arrived, "lambda") == "AK"
    assert sent.target.startswith("/2015-03-31/functions/arn%3Aaws%3Alambda%3A")


def test_without_a_pool_the_error_says_what_to_do() -> None:
    async def test(local: LocalNode) -> None:
        for known in ({}, {"dead": closed_port()}):
            forwarder = Forwarder(await pools(local, **known), "AK", "secret")
            with pytest.raises(ApiError) as failure:
                await forwarder.invoke(invocation())
            assert (failure.value.type_name, failure.value.status) == ("ServiceException", 503)
            assert "start one with `hashrange triggers`" in str(failure.value.message)
            await forwarder.stop()

    on_loop(test)


@pytest.mark.parametrize("status", [429, 503, None])
def test_one_that_has_not_begun_is_passed_over(status: int | None) -> None:
    async def test(local: LocalNode) -> None:
        async with http_server() as one, http_server() as other:
            order = preferred([("a", ""), ("b", "")], ARN)
            first, second = (one, other) if order[0][0] == "a" else (other, one)
            addresses = {order[0][0]: first.address, order[1][0]: second.address}
            if status is None:
                addresses[order[0][0]] = closed_port()
            else:
                first.answer = error(status, "TooManyRequestsException")
            forwarder = Forwarder(await pools(local, **addresses), "AK", "secret")
            assert (await forwarder.invoke(invocation())).payload == b"{}"
            assert (len(first.sent), len(second.sent)) == (0 if status is None else 1, 1)
            await forwarder.stop()

    on_loop(test)


def test_when_none_has_room_the_refusal_is_passed_on() -> None:
    async def test(local: LocalNode) -> None:
        async with http_server() as server:
            reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
            server.answer = error(429, "TooManyRequestsException", Reason=reason)
            forwarder = Forwarder(await pools(local, a=server.address), "AK", "secret")
            with pytest.raises(ApiError) as failure:
                await forwarder.invoke(invocation())
            assert failure.value.type_name == "TooManyRequestsException"
            assert failure.value.message == "why" and failure.value.fields == {"Reason": reason}
            await forwarder.stop()

    on_loop(test)


def test_one_that_may_have_begun_is_not_repeated_elsewhere() -> None:
    async def test(local: LocalNode) -> None:
        async with http_server() as one, http_server() as other:

            def hang_up(sent: Sent) -> web.Response:
                raise web.HTTPInternalServerError(text="no json")

            one.answer = other.answer = hang_up
            forwarder = Forwarder(await pools(local, a=one.address, b=other.address), "AK", "secret")
            with pytest.raises(ApiError) as failure:
                await forwarder.invoke(invocation())
            assert failure.value.status == 502
            assert len(one.sent) + len(other.sent) == 1
            await forwarder.stop()

    on_loop(test)


def test_a_pool_that_has_not_heard_of_the_function_yet_is_asked_again() -> None:
    async def test(local: LocalNode) -> None:
        async with http_server() as server:

            def late(sent: Sent) -> web.Response:
                if len(server.sent) < 3:
                    reply: web.Response = error(404, "ResourceNotFoundException")(sent)
                    return reply
                return web.Response(body=b"1")

            server.answer = late
            forwarder = Forwarder(await pools(local, a=server.address), "AK", "secret")
            assert (await forwarder.invoke(invocation())).payload == b"1"
            server.answer = error(404, "ResourceNotFoundException")
            with pytest.raises(ApiError) as failure:
                await forwarder.invoke(invocation())
            assert failure.value.status == 404
            assert len(server.sent) == 3 + len(UNKNOWN_WAITS_S) + 1
            await forwarder.stop()

    on_loop(test)


def test_nobody_waits_for_a_pool_that_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "BEAT_S", 0.02)

    async def test(local: LocalNode) -> None:
        clock = ManualClock()
        with socket.create_server(("127.0.0.1", 0)) as frozen:  # connections are taken, and nothing answers
            pool = Registry(local.client(), "a", f"127.0.0.1:{frozen.getsockname()[1]}", clock)
            await pool.beat()
            forwarder = Forwarder(PoolList(local.client(), clock), "AK", "secret")
            call = asyncio.create_task(forwarder.invoke(invocation()))
            for _ in range(10):
                await asyncio.sleep(0.05)
                clock.advance(BEAT_S)
                await pool.beat()
            await pool.stop()
            clock.advance(SILENT_S)
            await asyncio.sleep(0.05)
            assert not call.done(), "it lives, and then stops in order: what it has begun it answers"
            await pool.beat()
            for _ in range(round(SILENT_S / BEAT_S) + 1):
                await asyncio.sleep(0.05)
                clock.advance(BEAT_S)
            with pytest.raises(ApiError) as failure:
                await call
            assert (failure.value.type_name, failure.value.status) == ("ServiceException", 500)
            await forwarder.stop()

    on_loop(test)


def test_calls_of_a_function_stay_with_a_pool_when_others_come_and_go() -> None:
    names = [(f"p{number}", f"h:{number}") for number in range(5)]
    moved = 0
    for number in range(1000):
        first = preferred(names, f"{ARN}{number}")[0]
        after = preferred(names[:-1], f"{ARN}{number}")[0]
        assert first == after or first == names[-1]
        moved += first != after
    assert 120 < moved < 280
