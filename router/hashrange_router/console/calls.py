"""Calls of the API made by this process itself, through the same door as everybody's.

    reply = await caller.call(READS["GetItem"], body, access_key)

The dispatcher sees an ordinary request: it checks the signature (which is made here), the names and the values, counts
and logs it. A console can therefore do nothing that a client with the same credentials could not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from hashrange_router.auth.outgoing import signed
from hashrange_router.console.rules import Allowed
from hashrange_router.http.delivery import Delivery
from hashrange_router.http.request import Application, Request

JSON_1_0 = b"application/x-amz-json-1.0"
HOST = "console"
UNSIGNED = "console"
"""Access key and secret where any are accepted."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the API answered."""

    status: int
    body: bytes
    content_type: bytes


class InternalRequest(Request):
    """A request that came over no connection: its answer goes to whoever made it."""

    __slots__ = ("_answered",)

    def __init__(
        self,
        method: bytes,
        target: bytes,
        headers: dict[bytes, bytes],
        body: bytes,
        answered: Callable[[Reply], None],
        request_id: str,
        received_at: float,
    ) -> None:
        super().__init__(cast(Delivery, None), method, target, headers, body, received_at, True)
        self._answered: Callable[[Reply], None] | None = answered
        self.name(request_id)

    @property
    def answered(self) -> bool:
        """Whether reply() has been called."""
        return self._answered is None

    def reply(
        self, status: int, body: bytes, content_type: bytes = JSON_1_0, extra_headers: bytes = b""
    ) -> None:
        """Answer; further headers have no meaning here."""
        if self._answered is None:
            raise RuntimeError("a request is answered exactly once")
        answered, self._answered = self._answered, None
        answered(Reply(status, body, content_type))


class Caller:
    """Calls for the users of a console. `secrets` are by access key, empty where any are accepted.

    `wall_s` is the clock that signatures carry, `new_id` names requests.
    """

    def __init__(
        self,
        application: Application,
        secrets: Mapping[str, str],
        region: str,
        wall_s: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._application = application
        self._secrets = secrets
        self._region = region
        self._wall_s = wall_s
        self._new_id = new_id

    async def call(self, allowed: Allowed, body: bytes, access_key: str) -> Reply:
        """What the API answers to an operation. `access_key` is a configured one, or anything where there are none."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Reply] = loop.create_future()

        def answered(reply: Reply) -> None:
            if not future.done():
                future.set_result(reply)

        method = "GET" if allowed.path else "POST"
        target = allowed.path or "/"
        headers = {"host": HOST}
        if allowed.target:
            headers |= {"content-type": JSON_1_0.decode(), "x-amz-target": allowed.target}
        else:
            body = b""
        secret = self._secrets.get(access_key, UNSIGNED)
        everything = signed(
            access_key or UNSIGNED,
            secret,
            None,
            self._region,
            allowed.service,
            method,
            target,
            headers,
            body,
            self._wall_s(),
        )
        self._application(
            InternalRequest(
                method.encode(),
                target.encode(),
                {name.encode(): value.encode() for name, value in everything.items()},
                body,
                answered,
                self._new_id(),
                loop.time(),
            )
        )
        return await future
