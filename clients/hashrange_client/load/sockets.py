"""Connections of the load generator as bare non-blocking sockets, plain or TLS."""

from __future__ import annotations

import errno
import os
import socket
import ssl

from hashrange_client.load.replies import Reader

RECEIVE_BYTES = 1 << 16
CONNECT_TIMEOUT_S = 5.0


class Connection:
    """One connection and the request under way on it. `started` is when that was sent, or due, by `perf_counter`."""

    __slots__ = (
        "_receive",
        "_send",
        "_socket",
        "age_s",
        "connecting",
        "follow",
        "number",
        "operation",
        "reader",
        "started",
        "unsent",
        "waiting",
        "whole",
        "whole_started",
    )

    def __init__(self, opened: socket.socket) -> None:
        self.operation = ""
        self.follow: tuple[str, bytes, str] | None = None
        self.whole = ""
        """What the request under way and the one before it are counted under together."""
        self.whole_started = self.started = 0.0
        self.age_s = 0
        """Ends of seconds that the request under way has seen."""
        self.reader: Reader | None = None
        self._take(opened, connecting=False)

    def reopen(self, opening: socket.socket) -> None:
        """Go on with another socket, which is being connected."""
        self._take(opening, connecting=True)

    def _take(self, opened: socket.socket, connecting: bool) -> None:
        self._socket = opened
        self._receive, self._send = opened.recv, opened.send
        self.number = opened.fileno()
        self.connecting = connecting
        self.waiting = False
        self.unsent = b""
        self.reader = None

    def receive(self) -> bytes | None:
        """What has arrived; empty when the peer has closed, None when it was only a part of a TLS record."""
        try:
            data = self._receive(RECEIVE_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except OSError:
            return b""
        if data and isinstance(self._socket, ssl.SSLSocket):
            while self._socket.pending():
                data += self._receive(RECEIVE_BYTES)
        return data

    def send(self, data: bytes) -> int:
        """Send as much as fits; how much that was. A lost connection is told by what is received."""
        try:
            return self._send(data)
        except (BlockingIOError, ssl.SSLWantWriteError):
            return 0
        except OSError:
            return len(data)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def upgrade(self, secured: socket.socket) -> None:
        """Go on with the same connection through TLS."""
        self._socket = secured
        self._receive, self._send = secured.recv, secured.send
        self.number = secured.fileno()

    def failure(self) -> int:
        """The error that connecting has ended with, 0 for none."""
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def detached(self) -> socket.socket:
        """The socket, for the connector."""
        return self._socket


class Connector:
    """Opens connections to one address. `greeting` is what a client says first, if anything."""

    def __init__(self, host: str, port: int, tls: bool = False, greeting: bytes = b"") -> None:
        self._host, self._port = host, port
        self._context = ssl.create_default_context() if tls else None
        self._greeting = greeting
        self._family: int = socket.AF_INET
        self._address: tuple[str | int, ...] = (host, port)

    def open(self) -> socket.socket:
        """A connection, ready for use; raises OSError."""
        opened = socket.create_connection((self._host, self._port), timeout=CONNECT_TIMEOUT_S)
        self._family, self._address = opened.family, opened.getpeername()
        return self._prepared(opened)

    def begin(self) -> socket.socket:
        """A socket that is being connected; `finish` when it can be written to. Raises OSError."""
        opening = socket.socket(self._family, socket.SOCK_STREAM)
        opening.setblocking(False)
        code = opening.connect_ex(self._address)
        if code not in (0, errno.EINPROGRESS):
            opening.close()
            raise OSError(code, os.strerror(code))
        return opening

    def finish(self, connection: Connection) -> None:
        """The connection is there: make it ready for use. Raises OSError when it was refused."""
        code = connection.failure()
        if code:
            raise OSError(code, os.strerror(code))
        connection.upgrade(self._prepared(connection.detached()))
        connection.connecting = False

    def _prepared(self, opened: socket.socket) -> socket.socket:
        try:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            opened.settimeout(CONNECT_TIMEOUT_S)
            if self._context is not None:
                opened = self._context.wrap_socket(opened, server_hostname=self._host)
            if self._greeting:
                opened.sendall(self._greeting)
        except OSError:
            opened.close()
            raise
        opened.setblocking(False)
        return opened
