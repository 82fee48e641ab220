"""How long writes fail after `kill -9` of a leader and of a zone: the longest gap of steady writers without retries.

Each writer writes one key of its own a hundred times a second over HTTP, and goes on with a new connection when it gets
an error. What counts is the longest time that any of them went without a successful write.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.bench.cluster.scene import TABLE, Scene, say
from tests.cluster.kill9 import call

INTERVAL_S = 0.01
ANSWER_TIMEOUT_S = 20.0
BEFORE_S = 1.5
WRITABLE_TIMEOUT_S = 60.0


class Writer:
    """A thread that writes one key all the time; `instants` are those of its successful writes."""

    def __init__(self, host: str, port: int, number: int) -> None:
        self.instants: list[float] = []
        self.errors = 0
        self._host, self._port = host, port
        self._number = number
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """End after the write under way."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        connection = self._connect()
        count = 0
        while not self._stopped.is_set():
            count += 1
            try:
                code, _ = call(connection, "PutItem", self._document(count))
            except (OSError, http.client.HTTPException):
                code = 0
            if code == 200:
                self.instants.append(time.monotonic())
            else:
                self.errors += 1
                connection.close()
                connection = self._connect()
            self._stopped.wait(INTERVAL_S)
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._host, self._port, timeout=ANSWER_TIMEOUT_S)

    def _document(self, count: int) -> dict[str, Any]:
        key = {"pk": {"S": f"failover{self._number}"}, "sk": {"S": "s0"}}
        return {"TableName": TABLE, "Item": {**key, "n": {"N": str(count)}}}

    def gap_s(self, since: float, until: float) -> float:
        """The longest time without a successful write that touches the span."""
        instants = [since, *(instant for instant in self.instants if since <= instant <= until), until]
        return max(later - earlier for earlier, later in pairwise(instants))


@dataclass
class Failover:
    """One kind of fault: the gap of each time it was tried, in seconds, and the errors that writers saw."""

    what: str
    gaps_s: list[float] = field(default_factory=list)
    errors: int = 0


def measure(scene: Scene, *, times: int, writers: int) -> list[Failover]:
    """Kill the leader of a partition, then all nodes of a zone, several times each; all is restarted after each."""
    leader = Failover("kill -9 of a leader")
    zone = Failover("kill -9 of the nodes of a zone")
    for _ in range(times):
        for failover in (leader, zone):
            scene.quiet()
            led = Counter(node for node in scene.leaders() if node is not None)
            victim = max(led, key=lambda node: (led[node], -node))
            victims = [f"node-{victim}"]
            if failover is zone:
                az = scene.cluster.zone_of(victim)
                victims = [f"node-{n}" for n in scene.cluster.nodes() if scene.cluster.zone_of(n) == az]
            _try(scene, victims, writers, failover)
            say(f"{failover.what} ({', '.join(victims)}): {failover.gaps_s[-1]:.2f} s without a write")
    return [leader, zone]


def _try(scene: Scene, victims: list[str], count: int, failover: Failover) -> None:
    host, _, port = scene.cluster.endpoint.removeprefix("http://").rpartition(":")
    writers = [Writer(host, int(port), number) for number in range(count)]
    for writer in writers:
        writer.start()
    time.sleep(BEFORE_S)
    killed = time.monotonic()
    scene.cluster.kill(*victims)
    deadline = killed + WRITABLE_TIMEOUT_S
    while time.monotonic() < deadline:
        time.sleep(0.2)
        # Two seconds of every writer without a gap: everything can be written again.
        now = time.monotonic()
        if now - killed > 4.0 and all(writer.gap_s(now - 2.0, now) < 0.5 for writer in writers):
            break
    ended = time.monotonic()
    for writer in writers:
        writer.stop()
    failover.gaps_s.append(max(writer.gap_s(killed - 0.5, ended) for writer in writers))
    failover.errors += sum(writer.errors for writer in writers)
    with suppress(RuntimeError):
        scene.cluster.restart(*victims)
