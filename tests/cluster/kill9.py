"""Kill -9 a server under load, restart it, and look for acknowledged items that are missing or torn.

Run by hand for the long form: `python -m tests.cluster.kill9 --rounds 5 --items 2000`. The short form runs
as a test (`test_kill9.py`). Eight connections put items with a checksum in each; the server process is
killed at a random moment; after the restart every acknowledged item must be there whole, and items whose
outcome is unknown must be whole or absent.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

TABLE = "Ledger"
CREATE = {
    "TableName": TABLE,
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}
HEADERS = {
    "Content-Type": "application/x-amz-json-1.0",
    "Authorization": "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/dynamodb/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=0",
    "X-Amz-Date": "20260101T000000Z",
}


def free_port() -> int:
    """A loopback port that is free right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def call(connection: http.client.HTTPConnection, operation: str, body: dict) -> tuple[int, dict]:
    """One API call on an open connection."""
    headers = {**HEADERS, "X-Amz-Target": f"DynamoDB_20120810.{operation}"}
    connection.request("POST", "/", json.dumps(body), headers)
    response = connection.getresponse()
    return response.status, json.loads(response.read() or b"{}")


class Server:
    """One `hashrange serve` process on a data directory."""

    def __init__(self, data_dir: Path, *extra: str) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "hashrange.cli.main", "serve", "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*command, "--data-dir", str(data_dir), *extra],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "HASHRANGE_LOG_LEVEL": "warning"},
        )
        self._wait_ready()

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                assert self.process.stderr is not None
                with self.process.stderr as stream:
                    raise RuntimeError(stream.read().decode())
            try:
                with closing(self.connect()) as connection:
                    connection.request("GET", "/health/ready")
                    if connection.getresponse().status == 200:
                        return
            except OSError:
                pass
            time.sleep(0.02)
        raise RuntimeError("the server did not become ready")

    def connect(self) -> http.client.HTTPConnection:
        """A new connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def kill(self) -> None:
        """kill -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()

    def stop(self) -> int:
        """Ask it to stop, and wait."""
        self.process.terminate()
        code = self.process.wait(30)
        if self.process.stderr is not None:
            self.process.stderr.close()
        return code


@dataclass
class Round:
    """What one round saw."""

    acknowledged: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)


def make_item(key: str, rng: random.Random) -> dict:
    """An item that proves its own wholeness."""
    payload = "".join(rng.choices("abcdefghij", k=rng.randrange(100, 900)))
    return {"pk": {"S": key}, "payload": {"S": payload}, "crc": {"N": str(zlib.crc32(payload.encode()))}}


def writer(server: Server, name: str, seed: int, outcome: Round, stop: threading.Event) -> None:
    """Put items one after another until the server is gone."""
    rng = random.Random(seed)
    number = 0
    with closing(server.connect()) as connection:
        while not stop.is_set():
            key = f"{name}-{number}"
            number += 1
            try:
                status, _ = call(connection, "PutItem", {"TableName": TABLE, "Item": make_item(key, rng)})
            except (OSError, http.client.HTTPException):
                outcome.unknown.add(key)
                return
            (outcome.acknowledged if status == 200 else outcome.unknown).add(key)


def verify(server: Server, outcome: Round) -> None:
    """Read every key back."""
    with closing(server.connect()) as connection:
        for key in outcome.acknowledged | outcome.unknown:
            request = {"TableName": TABLE, "Key": {"pk": {"S": key}}, "ConsistentRead": True}
            status, reply = call(connection, "GetItem", request)
            assert status == 200, reply
            item = reply.get("Item")
            if item is None:
                if key in outcome.acknowledged:
                    outcome.missing.append(key)
            elif zlib.crc32(item["payload"]["S"].encode()) != int(item["crc"]["N"]):
                outcome.torn.append(key)


def run_round(data_dir: Path, number: int, items: int, rng: random.Random, *extra: str) -> Round:
    """Write until about `items` are acknowledged, kill, restart, verify."""
    server = Server(data_dir, *extra)
    if number == 0:
        with closing(server.connect()) as connection:
            status, reply = call(connection, "CreateTable", CREATE)
        assert status == 200, reply
    outcome = Round()
    stop = threading.Event()
    threads = [
        threading.Thread(target=writer, args=(server, f"r{number}w{n}", rng.random(), outcome, stop))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    target = items + rng.randrange(items // 4 + 1)
    while len(outcome.acknowledged) < target and any(thread.is_alive() for thread in threads):
        time.sleep(0.001)
    server.kill()
    stop.set()
    for thread in threads:
        thread.join()
    restarted = Server(data_dir, *extra)
    verify(restarted, outcome)
    if rng.random() < 0.5:
        restarted.kill()
    else:
        assert restarted.stop() == 0
    return outcome


def main() -> int:
    """The long form."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    failed = False
    with tempfile.TemporaryDirectory() as directory:
        for number in range(arguments.rounds):
            outcome = run_round(Path(directory) / "data", number, arguments.items, rng)
            failed |= bool(outcome.missing or outcome.torn)
            print(
                f"round {number + 1}: acknowledged {len(outcome.acknowledged)}, unknown {len(outcome.unknown)}, "
                f"missing {len(outcome.missing)}, torn {len(outcome.torn)}"
            )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
