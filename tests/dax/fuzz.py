"""Malformed bytes for a cache node: it closes the connection or answers, never hangs, never falls over.

    python -m tests.dax.fuzz 127.0.0.1:8111 --connections 20000 [--seed 1]

What is sent are the captured frames of a session, changed: bits flipped, parts cut out, doubled, exchanged for huge
lengths or deep nesting; and bytes that were never a frame. The client then ends its side: whoever is still waiting for
the rest has to give up, and close.
"""

from __future__ import annotations

import argparse
import random
import socket
import sys
from collections import Counter

HANDSHAKE = bytes.fromhex("674a37796e65354700") + b"\x44abcd" + b"\xa1\x69UserAgent\x68fuzzer-1" + b"\x00"
TABLE = b"\x48fuzzed-t"
FRAMES = (
    bytes.fromhex("011a1b2be592"),  # endpoints
    bytes.fromhex("013a2c43e27e") + TABLE,  # defineKeySchema
    bytes.fromhex("013a495927bb8263616161636262 62".replace(" ", "")),  # defineAttributeListId
    bytes.fromhex("011a27f9bd7101"),  # defineAttributeList; of an unknown id it is asked for some time
    bytes.fromhex("013a7d8e7e56") + TABLE + bytes.fromhex("4130420701bf0300ff"),  # PutItem
    bytes.fromhex("011a0fb0cc6a") + TABLE + bytes.fromhex("4130bf0300ff"),  # GetItem
    bytes.fromhex("013a3781c2ae")
    + TABLE
    + bytes.fromhex("4f8301830082126270 6b821100816171bf0f03ff".replace(" ", "")),
    bytes.fromhex("013a29985cdba1") + b"\x68fuzzed-t" + bytes.fromhex("83f4f6814130bf0300ff"),  # BatchGetItem
    bytes.fromhex(
        "011a58c29d1b6561646d696e606060f6".replace("606060", "6040")
    ),  # authorizeConnection, cut short
)
PIECES = (
    b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff", b"\x5b\x00\x00\x00\x7f\xff\xff\xff\xff", b"\x81" * 2000, b"\x9f" * 2000,
    b"\xc1" * 300, b"\xbf" * 100, b"\xff" * 20, b"\xc2\x5a\x00\x01\x00\x00", b"\xc4\x82\x1b" + b"\xff" * 8 + b"\x01",
    b"\x1c\x1d\x1e", b"\xf8\x00", b"\x7f\x7f\x7f", b"\x00" * 5000, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00",
)  # fmt: skip
ANSWER_S = 10.0


def damaged(rng: random.Random) -> bytes:
    """A session with something wrong about it."""
    if rng.random() < 0.05:
        return rng.randbytes(rng.randrange(1, 3000))
    data = bytearray(HANDSHAKE + b"".join(rng.choices(FRAMES, k=rng.randrange(1, 6))))
    # The handshake is most often left alone: behind it there is more to be broken.
    first = 0 if rng.random() < 0.2 else len(HANDSHAKE)
    for _ in range(rng.randrange(1, 5)):
        place = rng.randrange(first, len(data) + 1)
        kind = rng.randrange(5)
        if kind == 0 and place < len(data):
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[place : place + rng.randrange(1, 12)]
        elif kind == 2:
            data[place:place] = data[place : place + rng.randrange(1, 30)]
        elif kind == 3:
            data[place:place] = rng.choice(PIECES)
        else:
            data[place:place] = rng.randbytes(rng.randrange(1, 9))
    return bytes(data)


def attempt(address: tuple[str, int], data: bytes) -> str:
    """Send it, end this side, and read to the end: what came of it. TimeoutError if the server does not let go."""
    with socket.create_connection(address, ANSWER_S) as connection:
        received = 0
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65_536):
                received += len(part)
        except (ConnectionError, BrokenPipeError):
            return "cut off"
        return "answered and closed" if received else "closed"


def run(address: tuple[str, int], connections: int, seed: int) -> Counter[str]:
    """So many connections; what came of them. Raises with the bytes that a server hung on."""
    outcomes: Counter[str] = Counter()
    for number in range(connections):
        data = damaged(random.Random(seed * 1_000_003 + number))
        try:
            outcomes[attempt(address, data)] += 1
        except TimeoutError as error:
            raise AssertionError(f"no end within {ANSWER_S} s after {data.hex()}") from error
    return outcomes


def main(arguments: list[str]) -> int:
    """Run it against a server that runs."""
    parser = argparse.ArgumentParser(prog="python -m tests.dax.fuzz", description=__doc__)
    parser.add_argument("address", help="HOST:PORT of a cache node")
    parser.add_argument("--connections", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    host, _, port = given.address.rpartition(":")
    print(dict(run((host, int(port)), given.connections, given.seed)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
