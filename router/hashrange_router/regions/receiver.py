"""What other regions ask of this one: items of global tables here, and whatever else is plugged in, as a REST service.

    receiver = RegionReceiver(context, transport, secrets, not_ready)
    receiver.plug(CONTROL_PATH, control.answer)
    dispatcher.serve_rest(receiver)

Once credentials are configured every request has to be signed with one of them, like any other, and the reply is
signed too (`hashrange_router.auth.mutual`). Until then requests need no signature.

Items go to the leaders of their partitions (`ApplyReplicated`), all at once; the outcomes are put together in the
order of the entries. What a partition did not answer for is to be sent again (RETRY): nothing is lost by that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from hashrange.errors import ApiError, unavailable, validation
from hashrange.model import record as records
from hashrange.model.table import TableSchema
from hashrange.model.table_units import write_units_half
from hashrange.wire.messages import Transport
from hashrange.wire.regions import (
    APPLIED,
    ITEMS_PATH,
    RETRY,
    SIGNING_NAME,
    ApplyReplicated,
    Entry,
    Outcome,
    ReplicatedOutcome,
    decode_request,
    encode_reply,
    schema_digest,
)
from hashrange_router.api.context import ANY_EPOCH, RouterContext
from hashrange_router.api.rest import RestCall, RestReply
from hashrange_router.auth.mutual import REPLY_HEADER, reply_signature, signature_of
from hashrange_router.http.request import Request

MSGPACK = b"application/msgpack"
TEXT = b"text/plain; charset=utf-8"
ENTRIES_MAX = 100
"""Of one message to a leader."""

Handler = Callable[[bytes], Coroutine[Any, Any, bytes]]
"""Answers the body of a request with that of its reply; an ApiError is answered as one."""


class RegionReceiver:
    """The service. `secrets`: access key to secret, empty while anybody may ask; `not_ready`: why nothing is answered
    yet, "" when it is.
    """

    signing_name = SIGNING_NAME

    def __init__(
        self,
        context: RouterContext,
        transport: Transport,
        secrets: Mapping[str, str],
        not_ready: Callable[[], str],
    ) -> None:
        self._secrets = secrets
        self._not_ready = not_ready
        self._handlers: dict[bytes, tuple[str, Handler]] = {}
        self._items = ItemsReceiver(context, transport)
        self.plug(ITEMS_PATH, self._items.answer, "ReplicateItems")

    def plug(self, path: str, handler: Handler, operation: str = "ReplicateControl") -> None:
        """Answer another path too; `operation` is its name in metrics and logs."""
        self._handlers[path.encode()] = (operation, handler)

    def find(self, request: Request) -> RestCall | None:
        """The call that a request is (`RestService`)."""
        found = self._handlers.get(request.target)
        if found is None or request.method != b"POST":
            return None
        operation, handler = found
        return RestCall(operation, lambda: self._run(request, handler), open=not self._secrets)

    def refusal(self, error: ApiError) -> RestReply:
        """An error as the sender shows it to its operators."""
        sentence = f"{error.type_name}: {error.message}" if error.message else error.type_name
        return RestReply(error.status, sentence.encode(), TEXT)

    async def _run(self, request: Request, handler: Handler) -> RestReply:
        waiting = self._not_ready()
        if waiting:
            raise unavailable(waiting)
        reply = RestReply(200, await handler(request.body), MSGPACK)
        signature = self._signature(request, reply.body)
        if signature:
            reply.headers[REPLY_HEADER] = signature
        return reply

    def _signature(self, request: Request, body: bytes) -> str:
        """The signature of a reply; "" where nobody has a secret."""
        authorization = request.headers.get(b"authorization", b"").decode("latin-1")
        access_key = authorization.partition("Credential=")[2].partition("/")[0]
        secret = self._secrets.get(access_key)
        return reply_signature(secret, signature_of(authorization), body) if secret is not None else ""


class ItemsReceiver:
    """Hands versions of items to the leaders of their partitions."""

    def __init__(self, context: RouterContext, transport: Transport) -> None:
        self._context = context
        self._transport = transport

    async def answer(self, body: bytes) -> bytes:
        """The reply to a request; ValidationException for one that is none."""
        try:
            source, batches = decode_request(body)
        except ValueError as error:
            raise validation(str(error)) from error
        landings = [await self._begin(source, name, digest, entries) for name, digest, entries in batches]
        for landing in landings:
            if isinstance(landing, Landing):
                await landing.settled
        outcomes = [each.finish() if isinstance(each, Landing) else each for each in landings]
        clocks = [each.now for each in landings if isinstance(each, Landing) and each.now]
        # What was held back was judged by the clocks of leaders: the one that is most behind says when to come again.
        return encode_reply(min(clocks, default=self._context.stamps.wall), outcomes)

    async def _begin(
        self, source: str, name: str, digest: bytes, entries: Sequence[Entry]
    ) -> Landing | Outcome:
        """Send the entries of one table on; or why nothing of it is taken."""
        schema = self._context.tables.get(name)
        if schema is None:
            return "ResourceNotFoundException", f"there is no table {name} here, or it is not ready yet"
        if all(replica.region != source for replica in schema.replicas):
            return "ReplicaNotFoundException", f"as far as is known here, {name} has no replica in {source}"
        if schema_digest(schema) != digest:
            return (
                "ValidationException",
                f"{name} has another key schema here; remove the replica and add it again",
            )
        landing = Landing(self._context, schema, entries)
        await landing.send(source, self._transport)
        return landing


class Landing:
    """The entries of one table on their way; `now` is the clock of the partition that is most behind, 0 before."""

    def __init__(self, context: RouterContext, schema: TableSchema, entries: Sequence[Entry]) -> None:
        self._context = context
        self._schema = schema
        self._entries = entries
        self._outcomes = bytearray((RETRY,)) * len(entries)
        self._left = 1
        self.now = 0
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def send(self, source: str, transport: Transport) -> None:
        """Send every entry to the partition that owns it, a few at a time: a leader in this process has other work."""
        partitions, locate = self._schema.partitions, self._context.locate
        parts: dict[int, list[int]] = {}
        for place, (key, _) in enumerate(self._entries):
            if len(key) > 8:
                parts.setdefault(locate(partitions.of(key), key).id, []).append(place)
        for partition, places in parts.items():
            for first in range(0, len(places), ENTRIES_MAX):
                some = places[first : first + ENTRIES_MAX]
                entries = [self._entries[place] for place in some]
                self._left += 1
                message = ApplyReplicated(partition, ANY_EPOCH, source, entries)
                transport.send(message, self._taker(some))  # type: ignore[arg-type]
                await asyncio.sleep(0)
        self._answered()

    def _taker(self, places: list[int]) -> Callable[[Any], None]:
        def take(answer: Any) -> None:
            if isinstance(answer, ReplicatedOutcome) and len(answer.outcomes) == len(places):
                for place, outcome in zip(places, answer.outcomes, strict=True):
                    self._outcomes[place] = outcome
                self.now = min(self.now or answer.now, answer.now)
            self._answered()

        return take

    def _answered(self) -> None:
        self._left -= 1
        if not self._left and not self.settled.done():
            self.settled.set_result(None)

    def finish(self) -> bytes:
        """The outcomes; what was applied is charged to the table like any write."""
        admission = self._context.admission
        if admission is not None:
            units_half = sum(
                _units_half(record)
                for (_, record), outcome in zip(self._entries, self._outcomes, strict=True)
                if outcome == APPLIED
            )
            if units_half:
                admission.charge_write(self._schema, units_half, None)
        return bytes(self._outcomes)


def _units_half(record: bytes) -> int:
    """What a version costs the table: by its size alone, as what it took the place of is not known here."""
    return write_units_half(0 if records.flags(record) & records.TOMBSTONE else records.size(record))
