"""One connection: bytes in, complete messages out of them, and one answer at a time, in the order asked.

Messages have no length in front: a scanner counts complete values, and a request is complete when as many are there as
its method has arguments. A client has one request under way; more of them wait in the buffer, and reading pauses when
that is long. What cannot be a message closes the connection.

The common case, a GetItem that hits and arrives in one piece, goes no further than the first lines of `data_received`.
"""

from __future__ import annotations

import asyncio
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

from hashrange.errors import ApiError
from hashrange_dax.codec.cbor import CodecError, Scanner, decode
from hashrange_dax.codec.scanner import heads_in
from hashrange_dax.protocol import methods as m
from hashrange_dax.protocol.authorize import VALID_S, required
from hashrange_dax.protocol.handshake import MAGIC_BYTES, VALUES, Client, client_of

from .exchange import Exchange

if TYPE_CHECKING:
    from .listener import WireDoor

_COMPACT_BYTES = 64 * 1024
"""Taken messages are removed from the front of the buffer when there are so many bytes of them."""

_UNAUTHORIZED = -inf

VALUES_MAX = 2_000_000
"""Attribute values in one request: more than the body of one over HTTP has room for. Each takes 200 bytes and more of
memory, and may have been sent as one byte."""


class WireConnection(asyncio.Protocol):
    """The protocol object of one connection."""

    __slots__ = (
        "_advancing",
        "_authorized_until",
        "_begun_at",
        "_buffer",
        "_busy",
        "_client",
        "_door",
        "_forbidden",
        "_last",
        "_paused",
        "_ready",
        "_scanner",
        "_start",
        "_taken",
        "_transport",
        "_write_paused",
        "active_at",
        "open",
    )

    _transport: asyncio.Transport

    def __init__(self, door: WireDoor) -> None:
        self._door = door
        self.open = False
        self.active_at = door.now
        self._client: Client | None = None
        self._buffer: bytes | bytearray = b""
        self._scanner: Scanner | None = None
        self._start = 0  # where the first message that was not taken begins
        self._taken = 0  # how many values in front of it were taken
        self._begun_at = door.now
        self._authorized_until = _UNAUTHORIZED if door.verifier.wanted else inf
        self._forbidden: ApiError | None = None
        self._ready = False
        self._busy = False
        self._advancing = False
        self._paused = False
        self._write_paused = False
        self._last = False

    # The transport's callbacks.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the connection, or close it when there are too many."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self._door.limits.write_buffer_bytes)
        if self._door.admit(self):
            self.open = True
        else:
            self._transport.close()

    def go(self) -> None:
        """The door is held no more: answer what the client has sent meanwhile."""
        self._resume()
        if self._buffer:
            self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything; what is under way ends without an answer."""
        self.open = self._ready = False
        self._release()
        self._door.forget(self)

    def eof_received(self) -> bool:
        """A client that has sent its last byte still gets the answer under way, and nothing after it."""
        self._last = True
        return self._busy or self._write_paused

    def pause_writing(self) -> None:
        """The client does not take its replies."""
        self._write_paused = True
        self._ready = False
        self._begun_at = self._door.now
        self._pause()

    def resume_writing(self) -> None:
        """It has taken them."""
        self._write_paused = False
        self._advance()

    def data_received(self, data: bytes) -> None:
        """Answer the request that this is, or keep it until it is one."""
        door = self._door
        door.metrics.bytes_in += len(data)
        if self._ready and self._authorized_until > door.now:
            began = perf_counter()
            operation = "GetItem"
            reply = door.quick.reply(data)
            if reply is None:
                assert self._client is not None
                if (found := door.quick_query.reply(data, self._client.selects_all)) is not None:
                    operation, reply = found
            if reply is not None:
                self.active_at = door.now
                door.metrics.bytes_out += len(reply)
                self._transport.write(reply)
                door.latencies[operation].observe(perf_counter() - began)
                return
        if not self.open:
            return
        self.active_at = door.now
        self._keep(data)
        if door.held:
            self._pause()
        else:
            self._advance()

    # The buffer.

    def _keep(self, data: bytes) -> None:
        buffer = self._buffer
        self._ready = False
        if not buffer:
            self._buffer = data
            self._begun_at = self._door.now
        elif isinstance(buffer, bytearray):
            buffer += data
        else:
            self._buffer = bytearray(buffer)
            self._buffer += data
        self._door.buffered_bytes += len(data)
        if self._door.buffered_bytes > self._door.limits.buffered_bytes_max:
            self._door.log.warning("too much is being received", bytes=self._door.buffered_bytes)
            self.abort()

    def _release(self) -> None:
        """Everything in the buffer was taken, or nobody wants it any more."""
        self._door.buffered_bytes -= len(self._buffer)
        self._buffer = b""
        self._scanner = None
        self._start = self._taken = 0

    def _take(self, end: int, values: int) -> None:
        """A message was taken that ends here."""
        if end == len(self._buffer):
            self._release()
            return
        self._start = end
        self._taken += values
        self._begun_at = self._door.now
        if end > _COMPACT_BYTES:
            assert self._scanner is not None
            self._buffer = self._buffer[end:]
            self._scanner.discard(end)
            self._door.buffered_bytes -= end
            self._start = self._taken = 0

    def _next(self) -> tuple[int, list[Any], bytes | None] | None:
        """The next complete request, None until it is there: method, arguments, and its bytes if they came alone.

        Takes the handshake.
        """
        buffer = self._buffer
        if self._client is None and not MAGIC_BYTES.startswith(bytes(buffer[: len(MAGIC_BYTES)])):
            raise CodecError("not the DAX protocol")
        scanner = self._scanner
        if scanner is None:
            # It counts from the front of the buffer, where messages may lie that were taken or wait.
            limits = self._door.limits
            scanner = self._scanner = Scanner(limits.message_bytes_max + 8 * limits.ahead_bytes_max)
        ends = scanner.scan(buffer)
        if self._client is None:
            if len(ends) < VALUES:
                return None
            values, end = self._decode(VALUES)
            self._client = client_of(values)
            self._take(end, VALUES)
            return self._next() if self._buffer else None
        if len(ends) < self._taken + 2:
            return None
        service, position = decode(cast(bytes, buffer), self._start)
        method, _ = decode(cast(bytes, buffer), position)
        if service != m.SERVICE or method.__class__ is not int:
            raise CodecError("not a request")
        arguments = m.ARGUMENTS.get(method)
        if arguments is None:
            if method not in m.OTHERS:
                raise CodecError(f"no method {method}")
            arguments = 0
        if len(ends) < self._taken + 2 + arguments:
            return None
        values, end = self._decode(2 + arguments)
        alone = buffer if isinstance(buffer, bytes) and not self._start and end == len(buffer) else None
        self._take(end, 2 + arguments)
        return method, values[2:], alone

    def _decode(self, count: int) -> tuple[list[Any], int]:
        """The next values of the buffer, which are there, and where they end."""
        assert self._scanner is not None
        end = self._scanner.ends[self._taken + count - 1]
        data = bytes(memoryview(self._buffer)[self._start : end])
        values = []
        position = 0
        for _ in range(count):
            value, position = decode(data, position)
            values.append(value)
        if end - self._start > VALUES_MAX:
            _check_volume(values, VALUES_MAX)
        return values, end

    # Requests.

    def _advance(self) -> None:
        """Begin with the next request, as long as there is none under way."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._buffer and not self._busy and not self._write_paused and self.open:
                request = self._next()
                if request is None:
                    break
                self._begin(*request)
        except CodecError as error:
            self._door.malformed_count += 1
            self._door.log.debug("a connection was closed", reason=str(error))
            self.abort()
        finally:
            self._advancing = False
        if not self.open:
            return
        idle = not self._busy and not self._write_paused
        self._ready = idle and not self._buffer and self._client is not None and self._forbidden is None
        if idle:
            self._resume()
            if self._last or (self._door.draining and not self._buffer):
                self._close()
        elif len(self._buffer) > self._door.limits.ahead_bytes_max:
            self._pause()

    def _begin(self, method: int, arguments: list[Any], data: bytes | None) -> None:
        door = self._door
        if method == m.AUTHORIZE:
            # It has no answer: what is wrong with it is that of the next request.
            self._forbidden = None
            access_key, signature, to_sign, _, _ = arguments
            try:
                door.verifier.verify(access_key, signature, to_sign)
                self._authorized_until = door.now + VALID_S if door.verifier.wanted else inf
            except ApiError as error:
                self._authorized_until = _UNAUTHORIZED
                self._forbidden = error
            return
        self._busy = True
        assert self._client is not None
        exchange = Exchange(door, self, self._client, method, arguments, data)
        forbidden, self._forbidden = self._forbidden, None
        if forbidden is None and self._authorized_until <= door.now:
            forbidden = required()
        if forbidden is not None:
            exchange.fail(forbidden)
        else:
            exchange.start()

    def reply(self, data: bytes, last: bool = False) -> None:
        """Answer the request under way. `last`: nothing that follows it can be understood."""
        if not self.open:
            return
        self._busy = False
        self.active_at = self._door.now
        self._door.metrics.bytes_out += len(data)
        self._transport.write(data)
        if last:
            self._close()
        else:
            self._advance()

    # Pressure, time and the end.

    def _pause(self) -> None:
        if not self._paused and self.open:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def sweep(self, now: float) -> bool:
        """Called now and then: closes a connection that is overdue, and says so."""
        limits = self._door.limits
        if self._write_paused:
            overdue = now - self._begun_at > limits.message_timeout_s
        elif self._busy:
            return False
        elif self._client is None:
            overdue = now - self.active_at > limits.handshake_timeout_s
        elif self._buffer:
            overdue = now - self._begun_at > limits.message_timeout_s
        else:
            overdue = now - self.active_at > limits.idle_timeout_s
        if overdue:
            self.abort()
        return overdue

    def drain(self) -> None:
        """Close once nothing is under way."""
        if not self._busy and not self._write_paused:
            self._close()

    def _close(self) -> None:
        self.open = self._ready = False
        self._transport.close()

    def abort(self) -> None:
        """Close at once, without sending what is left."""
        self.open = self._ready = False
        self._transport.abort()


def _check_volume(values: list[Any], left: int) -> int:
    """How many values more there may be in the byte strings of a request, in lists and maps too. `CodecError`."""
    for value in values:
        if value.__class__ is bytes:
            left -= heads_in(value, left)
            if left < 0:
                raise CodecError(f"a request may have {VALUES_MAX} attribute values")
        elif value.__class__ is list:
            left = _check_volume(value, left)
        elif value.__class__ is dict:
            left = _check_volume(list(value.values()), left)
    return left
