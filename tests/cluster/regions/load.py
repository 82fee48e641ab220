"""Random writes in all regions at once: puts, updates, deletions, transactions, items that expire.

Keys are of five kinds, by their first letter:

    h   hot: few, written and deleted by everybody all the time
    w   twins: named by the time, so that all regions write the same key at the same time, and then never again
    f   fresh: each written once; it must be there at the end, everywhere
    g   graves: each written once and deleted once, in whichever region; it must be gone
    t   to expire: each written once, with a time to live that soon passes; it must be gone

Every value is unique. What an acknowledged write names as the value before it was replaced by it, in every region.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.workloads.client import RawClient, Refused, Unknown, Unsent

TABLE = "Global"
HOT = 24
CREATE: dict[str, Any] = {
    "TableName": TABLE,
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "genre", "AttributeType": "S"},
    ],
    "BillingMode": "PAY_PER_REQUEST",
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by_genre",
            "KeySchema": [{"AttributeName": "genre", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}
GENRES = ("folk", "jazz", "soul", "dub")
PAUSE_S = 0.02
EXPIRES_AFTER_S = 2
OPERATIONS = ("put", "update", "delete", "twin", "fresh", "grave", "dig", "transact", "expire")
WEIGHTS = (26, 20, 12, 12, 10, 8, 8, 5, 1)
TWINS_PER_S = 20


@dataclass
class Told:
    """What clients were told. All names of values are unique; sets of keys are of whole runs."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    """Value to its key, of writes that took effect."""
    unknown: dict[str, str] = field(default_factory=dict)
    """The same of writes that perhaps did."""
    replaced: dict[str, str] = field(default_factory=dict)
    """Value to what it was replaced by: another value, or a deletion; both took effect."""
    deleted: set[str] = field(default_factory=set)
    """Keys of graves whose deletion took effect, or found nothing after its own region had applied one."""
    counts: Counter[str] = field(default_factory=Counter)

    def text(self) -> str:
        """One line."""
        done = sum(count for name, count in self.counts.items() if name in OPERATIONS)
        failed = ", ".join(
            f"{count} x {name}" for name, count in self.counts.most_common() if name not in OPERATIONS
        )
        values = f"{len(self.acknowledged)} values acknowledged, {len(self.unknown)} unknown"
        return f"{done} operations, {values}{f' ({failed})' if failed else ''}"


class Load:
    """Clients of all regions on a thread with an event loop of its own. `rng` of each client follows from the seed."""

    def __init__(
        self,
        endpoints: dict[str, str],
        seed: int,
        *,
        clients: int = 4,
        pause_s: float = PAUSE_S,
        hot: int = HOT,
    ) -> None:
        self.told = Told()
        self._endpoints = endpoints
        self._seed = seed
        self._clients = clients
        self._pause_s = pause_s
        self._hot = hot
        self._numbers = 0
        self._graves: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self) -> Told:
        """Let every client finish what it has begun; what they were told."""
        self._stop.set()
        self._thread.join(60)
        if self._thread.is_alive():
            raise RuntimeError("the load does not end")
        return self.told

    async def _run(self) -> None:
        await asyncio.gather(
            *(
                self._client(name, number)
                for number, name in enumerate(name for name in self._endpoints for _ in range(self._clients))
            )
        )

    async def _client(self, region: str, number: int) -> None:
        rng = random.Random(f"{self._seed} {number}")
        client = RawClient(self._endpoints[region], timeout_s=6.0)
        try:
            while not self._stop.is_set():
                (name,) = rng.choices(OPERATIONS, WEIGHTS)
                try:
                    await client.ready()
                    await getattr(self, f"_{name}")(client, rng)
                    self.told.counts[name] += 1
                except (Refused, Unsent, Unknown) as error:
                    kind = error.type_name if isinstance(error, Refused) else type(error).__name__
                    self.told.counts[kind] += 1
                    await asyncio.sleep(0.1)
                await asyncio.sleep(self._pause_s * 2 * rng.random())
        finally:
            client.close()

    def _unique(self) -> int:
        self._numbers += 1
        return self._numbers

    async def _write(
        self, client: RawClient, key: str, operation: str, document: dict[str, Any], value: str
    ) -> dict[str, Any] | None:
        """One write of one value (that a deletion has one too makes the rest simple); the item before it."""
        told = self.told
        try:
            answer = await client.call(operation, {"TableName": TABLE, "ReturnValues": "ALL_OLD", **document})
        except Unknown:
            told.unknown[value] = key
            raise
        told.acknowledged[value] = key
        before: dict[str, Any] | None = answer.get("Attributes")
        if before is not None and "v" in before:
            told.replaced[before["v"]["S"]] = value
        return before

    def _item(self, key: str, value: str, rng: random.Random) -> dict[str, Any]:
        return {
            "pk": {"S": key},
            "v": {"S": value},
            "genre": {"S": rng.choice(GENRES)},
            "pad": {"S": "x" * rng.randrange(400)},
        }

    async def _put(self, client: RawClient, rng: random.Random) -> None:
        key, value = f"h{rng.randrange(self._hot)}", f"v{self._unique()}"
        await self._write(client, key, "PutItem", {"Item": self._item(key, value, rng)}, value)

    async def _update(self, client: RawClient, rng: random.Random) -> None:
        key, value = f"h{rng.randrange(self._hot)}", f"v{self._unique()}"
        document = {
            "Key": {"pk": {"S": key}},
            "UpdateExpression": "SET v = :v, genre = :g ADD n :one",
            "ExpressionAttributeValues": {
                ":v": {"S": value},
                ":g": {"S": rng.choice(GENRES)},
                ":one": {"N": "1"},
            },
        }
        await self._write(client, key, "UpdateItem", document, value)

    async def _delete(self, client: RawClient, rng: random.Random) -> None:
        key = f"h{rng.randrange(self._hot)}"
        await self._write(client, key, "DeleteItem", {"Key": {"pk": {"S": key}}}, f"d{self._unique()}")

    async def _twin(self, client: RawClient, rng: random.Random) -> None:
        key, value = f"w{int(time.time() * TWINS_PER_S)}", f"v{self._unique()}"
        await self._write(client, key, "PutItem", {"Item": self._item(key, value, rng)}, value)

    async def _fresh(self, client: RawClient, rng: random.Random) -> None:
        number = self._unique()
        key, value = f"f{number}", f"v{number}"
        await self._write(client, key, "PutItem", {"Item": self._item(key, value, rng)}, value)

    async def _grave(self, client: RawClient, rng: random.Random) -> None:
        number = self._unique()
        key, value = f"g{number}", f"v{number}"
        await self._write(client, key, "PutItem", {"Item": self._item(key, value, rng)}, value)
        self._graves.append(key)

    async def _dig(self, client: RawClient, rng: random.Random) -> None:
        """Delete an item that is written once; where it has not arrived yet the deletion does nothing."""
        if not self._graves:
            return
        key = self._graves.pop(rng.randrange(len(self._graves)))
        try:
            document = {"Key": {"pk": {"S": key}}}
            before = await self._write(client, key, "DeleteItem", document, f"d{self._unique()}")
        except (Refused, Unsent):
            self._graves.append(key)
            raise
        if before is not None:
            self.told.deleted.add(key)
        else:
            self._graves.append(key)

    async def _transact(self, client: RawClient, rng: random.Random) -> None:
        """Two hot items at once; atomic in this region alone."""
        keys = [f"h{number}" for number in rng.sample(range(self._hot), 2)]
        values = {key: f"v{self._unique()}" for key in keys}
        puts = [
            {"Put": {"TableName": TABLE, "Item": self._item(key, value, rng)}}
            for key, value in values.items()
        ]
        try:
            await client.call("TransactWriteItems", {"TransactItems": puts})
        except Unknown:
            self.told.unknown.update((value, key) for key, value in values.items())
            raise
        self.told.acknowledged.update((value, key) for key, value in values.items())

    async def _expire(self, client: RawClient, rng: random.Random) -> None:
        number = self._unique()
        key, value = f"t{number}", f"v{number}"
        item = self._item(key, value, rng)
        item["ends"] = {"N": str(int(time.time()) + EXPIRES_AFTER_S)}
        await self._write(client, key, "PutItem", {"Item": item}, value)
