"""A load generator for the wire protocol: bare sockets, requests made beforehand, one request a connection at a time.

Run as a process of its own (`generate`), so that its work lands on another core than the server's. It reads an answer
by its length alone and decodes nothing; `check` looks at one answer of each key before anything is counted.
"""

from __future__ import annotations

import multiprocessing
import random
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from hashrange_client.load import shape
from hashrange_client.load.dax_wire import GREETING, encode

GET_ITEM = b"\x01\x1a\x0f\xb0\xcc\x6a"
NO_CAPACITY = b"\xbf\x03\x00\xff"
RECEIVE_BYTES = 1 << 16
TIMEOUT_S = 30.0


class WireError(Exception):
    """An answer that is none to a GetItem of an item that is there."""


@dataclass(frozen=True)
class Figures:
    """What a run has measured: requests, seconds, and latencies in µs where they were taken."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def get_request(table: str, number: int) -> bytes:
    """GetItem of item `number` of the load's shape: partition key as CBOR text, sort key raw behind it."""
    partition_key = shape.partition_key(number).encode()
    key = bytes((0x60 | len(partition_key),)) + partition_key + shape.sort_key(number).encode()
    return GET_ITEM + encode(table.encode()) + encode(key) + NO_CAPACITY


def connect(address: tuple[str, int]) -> socket.socket:
    """A connection that has shaken hands."""
    connection = socket.create_connection(address, timeout=TIMEOUT_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(GREETING)
    return connection


def missing(data: bytes) -> int:
    """Bytes that an answer still lacks: [no error] {0: bytes} and nothing else."""
    if len(data) < 6:
        return 1
    if data[:3] != b"\x80\xa1\x00":
        raise WireError(f"not an item: {data[:80].hex()}")
    kind = data[3]
    if kind == 0x59:
        size = 6 + (data[4] << 8 | data[5])
    elif kind == 0x58:
        size = 5 + data[4]
    else:
        size = 4 + (kind & 0x1F)
    return size - len(data)


def exchange(connection: socket.socket, request: bytes) -> bytes:
    """One request and its answer."""
    connection.sendall(request)
    data = connection.recv(RECEIVE_BYTES)
    while not data or missing(data) > 0:
        more = connection.recv(RECEIVE_BYTES)
        if not more:
            raise WireError("the server has closed the connection")
        data += more
    return data


def read_once(address: tuple[str, int], requests: Sequence[bytes]) -> int:
    """Every request once over one connection; the bytes of all answers."""
    with connect(address) as connection:
        return sum(len(exchange(connection, request)) for request in requests)


def one_at_a_time(address: tuple[str, int], requests: Sequence[bytes], seconds: float) -> Figures:
    """Latencies of a single connection."""
    taken = []
    clock = time.perf_counter
    with connect(address) as connection:
        for request in requests[:200]:
            exchange(connection, request)
        began = clock()
        number = 0
        while clock() - began < seconds:
            request = requests[number % len(requests)]
            started = clock()
            exchange(connection, request)
            taken.append(clock() - started)
            number += 1
        whole = clock() - began
    taken.sort()
    return Figures(len(taken), whole, taken[len(taken) // 2] * 1e6, taken[len(taken) * 99 // 100] * 1e6)


def _load(
    address: tuple[str, int], requests: list[bytes], connections: int, seconds: float, count: int, seed: int
) -> Figures:
    """Many connections on one epoll; each sends its next request when it has the answer to the last."""
    rng = random.Random(seed)
    chosen = rng.choices(requests, k=max(count, 1 << 16))
    poll = select.epoll()
    sockets = {}
    for _ in range(connections):
        connection = connect(address)
        connection.setblocking(False)
        sockets[connection.fileno()] = connection
        poll.register(connection.fileno(), select.EPOLLIN)
    pending = dict.fromkeys(sockets, b"")
    started_at = dict.fromkeys(sockets, 0.0)
    taken: list[float] = []
    clock = time.perf_counter
    done = sent = 0
    began = clock()
    limit = count or (1 << 62)
    for number, connection in sockets.items():
        started_at[number] = clock()
        connection.send(chosen[sent])
        sent += 1
    while done < limit:
        for number, _ in poll.poll(TIMEOUT_S):
            connection = sockets[number]
            data = connection.recv(RECEIVE_BYTES)
            if not data:
                raise WireError("the server has closed a connection")
            if pending[number]:
                data = pending[number] + data
            if missing(data) > 0:
                pending[number] = data
                continue
            pending[number] = b""
            now = clock()
            taken.append(now - started_at[number])
            done += 1
            if sent < limit:
                started_at[number] = now
                connection.send(chosen[sent % len(chosen)])
                sent += 1
        if not count and clock() - began >= seconds:
            break
    whole = clock() - began
    for connection in sockets.values():
        connection.close()
    taken.sort()
    return Figures(done, whole, taken[len(taken) // 2] * 1e6, taken[len(taken) * 99 // 100] * 1e6)


def generate(
    address: tuple[str, int],
    requests: list[bytes],
    connections: int,
    seconds: float = 0.0,
    count: int = 0,
    seed: int = 1,
) -> Figures:
    """Load for so many seconds, or so many requests, from a process of its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_load, (address, requests, connections, seconds, count, seed))
