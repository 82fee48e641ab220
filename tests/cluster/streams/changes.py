"""Changes of items, and what is known of them: a load whose every state of every item is told apart by a number.

Each thread writes keys of its own, so that the order of what was acknowledged is the order of the item's states. A
request that fails leaves open whether it was carried out: its state may be in the stream once, or not at all.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

KEYS = 25
"""Of each thread."""

PADDING = "x" * 200


@dataclass
class Known:
    """What is known of one item: its states in order, 0 for a deletion, each acknowledged or not."""

    states: list[tuple[int, bool]] = field(default_factory=list)


class Changes:
    """Changes items of a table until it is left. `client` makes a boto3 client for a thread.

    `known` is complete once `stop` has returned.
    """

    def __init__(
        self, client: Callable[[], Any], table: str, threads: int = 3, pause_s: float = 0.004, seed: int = 1
    ) -> None:
        self.known: dict[str, Known] = {}
        self.acknowledged = 0
        self.failed = 0
        self._client = client
        self._table = table
        self._pause_s = pause_s
        self._numbers = itertools.count(1)
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(f"{seed}-{number}", random.Random(seed * 100 + number)))
            for number in range(threads)
        ]

    def __enter__(self) -> Changes:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the load; returns when nothing is under way."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def wait(self, more: int, timeout_s: float = 60.0) -> None:
        """Wait until so many more changes are acknowledged."""
        wanted = self.acknowledged + more
        deadline = time.monotonic() + timeout_s
        while self.acknowledged < wanted:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.acknowledged} changes were acknowledged, not {wanted}")
            time.sleep(0.05)

    def mark(self) -> dict[str, int]:
        """How many states each item has taken by now. One more of each may be under way."""
        return {key: len(known.states) for key, known in list(self.known.items())}

    def _run(self, prefix: str, rng: random.Random) -> None:
        client = self._client()
        while not self._over.is_set():
            key = f"{prefix}-{rng.randrange(KEYS)}"
            known = self.known.setdefault(key, Known())
            number, request = self._choose(key, rng)
            try:
                request(client)
            except (BotoCoreError, ClientError):
                known.states.append((number, False))
                self.failed += 1
                self._over.wait(0.05)
            else:
                known.states.append((number, True))
                self.acknowledged += 1
            self._over.wait(self._pause_s)

    def _choose(self, key: str, rng: random.Random) -> tuple[int, Callable[[Any], None]]:
        """The next state of an item, and the request that brings it about."""
        named = {"TableName": self._table}
        item_key = {"k": {"S": key}}
        if rng.random() < 0.15:
            return 0, lambda client: client.delete_item(**named, Key=item_key)
        number = next(self._numbers)
        value = {"N": str(number)}
        if rng.random() < 0.4:
            return number, lambda client: client.update_item(
                **named,
                Key=item_key,
                UpdateExpression="SET n = :n, padding = :p",
                ExpressionAttributeValues={":n": value, ":p": {"S": PADDING}},
            )
        if rng.random() < 0.3:
            put = {"Put": {**named, "Item": {**item_key, "n": value, "padding": {"S": PADDING}}}}
            return number, lambda client: client.transact_write_items(TransactItems=[put])
        return number, lambda client: client.put_item(
            **named, Item={**item_key, "n": value, "padding": {"S": PADDING}}
        )
