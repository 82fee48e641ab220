"""Load by boto3, a thread for each connection: what users of the SDK see, its own cost included.

Each thread sends one request after the other, or takes the next due time of the schedule. Failed requests are
not sent again by the SDK, so that errors and throttles are counted as they come.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

from hashrange_client.load.acts import ActSource
from hashrange_client.load.documents import Documents, RandomFill
from hashrange_client.load.schedule import SEEDS_APART, arrivals
from hashrange_client.load.settings import LoadError, LoadSettings
from hashrange_client.load.sockets import Connector
from hashrange_client.load.tally import Tally
from hashrange_client.load.workloads import OPERATION_OF, READ_MODIFY_WRITE

PROGRESS_S = 0.25
SECOND_S = 1.0
NO_ANSWER = "no answer"
END_TIMEOUT_S = 20.0
READ_TIMEOUT_S = 15.0

METHODS = {
    "GetItem": "get_item",
    "PutItem": "put_item",
    "UpdateItem": "update_item",
    "DeleteItem": "delete_item",
    "Query": "query",
    "Scan": "scan",
    "TransactWriteItems": "transact_write_items",
    "TransactGetItems": "transact_get_items",
    "BatchGetItem": "batch_get_item",
    "BatchWriteItem": "batch_write_item",
}


class BotoEngine:
    """Puts load on a server through boto3, with the interface of `Engine`."""

    def __init__(self, settings: LoadSettings, emit: Callable[[dict[str, Any]], None]) -> None:
        self._settings = settings
        self._emit = emit
        self._lock = threading.Lock()
        self._tally = Tally()
        self._acts = ActSource(settings)
        self._fill = RandomFill(settings, self._acts.random)
        self._documents = Documents(settings)
        self._due: Iterator[float] | None = None
        self._last_due = 0.0
        self._left = 1 << 62
        self._measured_from = 0.0
        self._until = float("inf")
        self._client: Any = None

    def connect(self, count: int) -> None:
        """Make the client; raises OSError when nobody answers, and `LoadError` without boto3."""
        settings = self._settings
        try:
            import boto3
            from botocore.config import Config
        except ImportError:
            raise LoadError("boto3 is not installed; pip install boto3, or use --client raw") from None
        Connector(settings.host, settings.port, settings.tls).open().close()
        self._client = boto3.client(
            "dynamodb",
            endpoint_url=settings.endpoint,
            region_name=settings.region,
            aws_access_key_id=settings.access_key or "hashrange",
            aws_secret_access_key=settings.secret or "hashrange",
            config=Config(
                max_pool_connections=count,
                retries={"total_max_attempts": 1},
                read_timeout=READ_TIMEOUT_S,
            ),
        )

    def run(
        self, begin: float, measure_from: float, until: float | None, count: int | None
    ) -> dict[str, float]:
        """Send from `begin` on, count from `measure_from` on, until `until` or for `count` requests."""
        settings = self._settings
        time.sleep(max(0.0, begin - perf_counter()))
        self._until = float("inf") if until is None else until
        self._measured_from = measure_from
        if settings.rate is not None:
            chance = random.Random(settings.seed * SEEDS_APART).random
            offset = settings.process / settings.crew
            self._due = arrivals(settings.arrivals, settings.rate, begin, chance, offset)
        if begin == measure_from and count is not None:
            self._left = count
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(settings.connections)]
        for thread in threads:
            thread.start()
        time.sleep(max(0.0, measure_from - perf_counter()))
        with self._lock:
            if begin != measure_from and count is not None:
                self._left = count
            cpu_before = time.process_time()
            if begin != measure_from:
                self._tally.reset()
        self._follow(threads)
        return {
            "seconds": perf_counter() - measure_from,
            "cpu_s": time.process_time() - cpu_before,
        }

    def stop(self) -> None:
        """End the measurement early: requests under way are waited for."""
        self._left = 0  # a signal may have come while this thread has the lock
        self._until = min(self._until, perf_counter())

    def _follow(self, threads: list[threading.Thread]) -> None:
        """Tell what happens until all threads have ended."""
        second, ends = 0, self._measured_from + SECOND_S
        while perf_counter() < self._until + END_TIMEOUT_S:
            alive = next((thread for thread in threads if thread.is_alive()), None)
            if alive is None:
                break
            alive.join(max(0.001, min(PROGRESS_S, ends - perf_counter())))
            with self._lock:
                now = perf_counter()
                while now >= ends:
                    self._emit(self._tally.take(second, self._waiting(now)))
                    second, ends = second + 1, ends + SECOND_S
                self._emit({"done": self._tally.done, "errors": self._tally.failed})
        with self._lock:
            self._tally.unsent += self._waiting(min(perf_counter(), self._until))
            for _ in range(sum(thread.is_alive() for thread in threads)):
                self._tally.fail(NO_ANSWER)
            self._emit(self._tally.take(second, 0))

    def _waiting(self, now: float) -> int:
        """Requests that are due, but that no thread has taken: about so many."""
        if self._settings.rate is None:
            return 0
        return max(0, int((now - self._last_due) * self._settings.rate))

    def _work(self) -> None:
        while True:
            with self._lock:
                if self._left <= 0 or perf_counter() >= self._until:
                    return
                self._left -= 1
                due = next(self._due) if self._due is not None else 0.0
                if due >= self._until:
                    return
                self._last_due = due
                act, numbers = self._acts.next()
                requests = [(OPERATION_OF[act], self._documents.make(act, numbers, self._fill))]
                if act == "read-modify-write":
                    requests.append(("UpdateItem", self._documents.make("update", numbers, self._fill)))
            if due:
                time.sleep(max(0.0, due - perf_counter()))
            self._send(requests, due or perf_counter())

    def _send(self, requests: list[tuple[str, dict[str, Any]]], started: float) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        first = started
        for operation, document in requests:
            error, answer = "", {}
            try:
                answer = getattr(self._client, METHODS[operation])(**document)
            except ClientError as refused:
                error = refused.response["Error"]["Code"]
            except BotoCoreError as failed:
                error = type(failed).__name__
            now = perf_counter()
            with self._lock:
                if started < self._measured_from <= now:
                    pass  # it belongs to the warm-up
                elif error:
                    self._tally.fail(error)
                else:
                    self._count(operation, now - started, answer)
            if error:
                return
            started = now
        if len(requests) > 1 and first >= self._measured_from:
            with self._lock:
                self._tally.counts[READ_MODIFY_WRITE][int((now - first) * 1e6)] += 1

    def _count(self, operation: str, seconds: float, answer: dict[str, Any]) -> None:
        self._tally.counts[operation][int(seconds * 1e6)] += 1
        if answer.get("UnprocessedItems") or answer.get("UnprocessedKeys"):
            self._tally.throttled += 1
