"""What DAX promises of its caches, one line each, tried on real nodes through the official client.

    python -m tests.dax.semantics               # one node, in `hashrange serve --dax`
    python -m tests.dax.semantics --nodes 3     # a cluster with three; its primary is killed, too

Prints each promise with `ok`, or `WRONG` and why; the exit code says whether all were kept. The source of the promises
is the DAX Developer Guide ("DAX: How it works", "DAX and DynamoDB consistency models").

Who is right is told by a client past the cache: what it writes must not be seen where a cache answers, and has to be
seen where none does. Hits and misses are those that the nodes have counted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conformance.conftest import make_client
from tests.conformance.support import CONDITION_FAILED, Item, error, n, s, unique, wait_active, wait_until
from tests.dax.clients import dax_client
from tests.dax.cluster import DaxCluster
from tests.dax.server import DaxPlace, dax_server

SHORT_MS = 500
LONGER = 25
"""Reads of an item that is looked at again and again, over more than SHORT_MS."""

MEMORY_MB = 1
LARGE = "x" * 4_000
MORE_THAN_FITS = 400

Check = Callable[["Scene"], None]


@dataclass
class Scene:
    """A cluster of cache nodes with a table behind it."""

    place: DaxPlace
    direct: Any
    cached: Any
    table: str
    sides: list[Any] = field(default_factory=list)
    """boto3 through the HTTP doors of the nodes, each one's own."""

    def open_sides(self) -> None:
        """Find the nodes that there are now."""
        self.close_sides()
        self.sides = [make_client(door) for door in self.place.doors()]

    def close_sides(self) -> None:
        """Let go of the nodes."""
        for side in self.sides:
            side.close()

    def key(self) -> Item:
        """A key that nobody has used."""
        return {"p": s(unique("k")), "r": n(1)}

    def write_around(self, key: Item, text: str) -> None:
        """Write to the table, past the cache; eventual reads of every node's zone see it when this returns."""
        self.direct.put_item(TableName=self.table, Item={**key, "v": s(text)})
        for side in self.sides:
            wait_until(
                lambda side=side: self._arrived(side, key, text), "a write at a node's nearest replica"
            )

    def _arrived(self, side: Any, key: Item, text: str) -> bool:
        found = side.query(
            TableName=self.table,
            KeyConditionExpression="p = :p AND r = :r",
            # No two queries are alike: none is answered by the cache.
            FilterExpression="attribute_not_exists(#u)",
            ExpressionAttributeNames={"#u": unique()},
            ExpressionAttributeValues={":p": key["p"], ":r": key["r"]},
        )
        return [item["v"]["S"] for item in found["Items"]] == [text]

    def write(self, key: Item, text: str) -> None:
        """Write through the cache."""
        self.cached.put_item(TableName=self.table, Item={**key, "v": s(text)})

    def read(self, key: Item, **more: Any) -> str | None:
        """The text of an item as the cache has it; None if there is none."""
        return text_of(self.cached.get_item(TableName=self.table, Key=key, **more))

    def primary_side(self) -> Any:
        """The HTTP door of the primary."""
        return self.sides[self.place.primary() or 0]

    def at_every_node(self, key: Item) -> list[str | None]:
        """The same, as each node has it."""
        return [text_of(side.get_item(TableName=self.table, Key=key)) for side in self.sides]

    def query(self, key: Item, **more: Any) -> list[str]:
        """The texts of the items under a hash key."""
        found = self.cached.query(
            TableName=self.table,
            KeyConditionExpression="p = :p",
            ExpressionAttributeValues={":p": key["p"]},
            **more,
        )
        return [item["v"]["S"] for item in found["Items"]]

    @contextmanager
    def counting(self, **expected: float) -> Iterator[None]:
        """Hold what the nodes count meanwhile against what is expected."""
        before = self.place.counted()
        yield
        after = self.place.counted()
        found = {name: after.get(name, 0) - before.get(name, 0) for name in expected}
        assert found == expected, f"counted {found}, expected {expected}"

    def set_times(self, record_ms: int, query_ms: int) -> None:
        """Set the times to live, and wait until the nodes keep to that of queries."""
        values = {"record-ttl-millis": record_ms, "query-ttl-millis": query_ms}
        self.place.control.update_parameter_group(
            ParameterGroupName=self.place.group(),
            ParameterNameValues=[
                {"ParameterName": name, "ParameterValue": str(value)} for name, value in values.items()
            ],
        )
        for side in self.sides:
            wait_until(lambda side=side: self._keeps(side, query_ms), f"a time to live of {query_ms} ms")

    def _keeps(self, side: Any, query_ms: int) -> bool:
        """Whether a node forgets a new query at once (0), or sooner than in five minutes."""
        key = self.key()
        wanted = {"KeyConditionExpression": "p = :p", "ExpressionAttributeValues": {":p": key["p"]}}

        def count() -> int:
            return int(side.query(TableName=self.table, **wanted)["Count"])

        assert count() == 0
        self.write_around(key, "x")
        if query_ms == 0:
            return count() == 1
        return any(count() or pause() for _ in range(LONGER))


def pause() -> int:
    """Let a moment pass: a part of SHORT_MS. Always 0."""
    time.sleep(2 * SHORT_MS / 1000 / LONGER)
    return 0


def text_of(answer: dict[str, Any]) -> str | None:
    """The text of an item that was read."""
    item = answer.get("Item")
    return item["v"]["S"] if item else None


# Item cache


def read_is_cached(scene: Scene) -> None:
    """A read that misses is answered by the table and cached; the next one is answered from memory."""
    key = scene.key()
    scene.write_around(key, "one")
    with scene.counting(ItemCacheMisses=1):
        assert scene.read(key) == "one"
    wait_until(lambda: scene.at_every_node(key) == ["one"] * len(scene.sides), "the item at all nodes")
    with scene.counting(ItemCacheMisses=0, ItemCacheHits=3):
        assert [scene.read(key) for _ in range(3)] == ["one"] * 3


def write_around_is_not_seen(scene: Scene) -> None:
    """Write-around: what is written past the cache is not seen while the item is cached."""
    key = scene.key()
    scene.write(key, "old")
    wait_until(lambda: scene.at_every_node(key) == ["old"] * len(scene.sides), "the item at all nodes")
    scene.write_around(key, "new")
    assert scene.read(key) == "old"


def strong_reads_pass_through(scene: Scene) -> None:
    """Strong reads and TransactGetItems are answered by the table, and do not refresh what is cached."""
    key = scene.key()
    scene.write(key, "old")
    wait_until(lambda: scene.at_every_node(key) == ["old"] * len(scene.sides), "the item at all nodes")
    scene.write_around(key, "new")
    assert scene.read(key, ConsistentRead=True) == "new"
    found = scene.cached.transact_get_items(TransactItems=[{"Get": {"TableName": scene.table, "Key": key}}])
    assert found["Responses"][0]["Item"]["v"] == s("new")
    assert scene.read(key) == "old"


def strong_reads_are_not_cached(scene: Scene) -> None:
    """What a strong read has found is not cached."""
    key = scene.key()
    scene.write_around(key, "old")
    assert scene.read(key, ConsistentRead=True) == "old"
    scene.write_around(key, "new")
    assert scene.read(key) == "new"


def write_through_is_seen(scene: Scene) -> None:
    """Write-through: what is written through the cache is seen at once, without a read of the table."""
    key = scene.key()
    with scene.counting(ItemCacheMisses=0):
        scene.write(key, "one")
        fresh_at_primary(scene, key, "one")
        scene.write(key, "two")
        fresh_at_primary(scene, key, "two")
    wait_until(
        lambda: scene.at_every_node(key) == ["two"] * len(scene.sides), "the newest state at all nodes"
    )


def fresh_at_primary(scene: Scene, key: Item, text: str | None) -> None:
    """What was written has to be seen at once by the node that wrote it."""
    side = scene.primary_side()
    assert text_of(side.get_item(TableName=scene.table, Key=key)) == text


def updates_leave_the_new_state(scene: Scene) -> None:
    """UpdateItem leaves the whole new state in the cache, DeleteItem that there is no item."""
    key = scene.key()
    scene.write_around(key, "old")
    with scene.counting(ItemCacheMisses=0):
        scene.cached.update_item(
            TableName=scene.table,
            Key=key,
            UpdateExpression="SET w = :w",
            ExpressionAttributeValues={":w": s("more")},
        )
        fresh_at_primary(scene, key, "old")
        scene.cached.delete_item(TableName=scene.table, Key=key)
        fresh_at_primary(scene, key, None)


def batches_go_key_by_key(scene: Scene) -> None:
    """BatchGetItem takes each key from the cache by itself; BatchWriteItem leaves each item's new state there."""
    keys = [{"p": s(unique("k")), "r": n(number)} for number in range(6)]
    puts = [{"PutRequest": {"Item": {**key, "v": s("x")}}} for key in keys[:3]]
    scene.cached.batch_write_item(RequestItems={scene.table: puts})
    for key in keys[:3]:
        wait_until(
            lambda key=key: scene.at_every_node(key) == ["x"] * len(scene.sides), "the item at all nodes"
        )
    for key in keys[3:]:
        scene.write_around(key, "y")
    with scene.counting(ItemCacheHits=3, ItemCacheMisses=3):
        found = scene.cached.batch_get_item(RequestItems={scene.table: {"Keys": keys}})
    assert len(found["Responses"][scene.table]) == 6


def failed_writes_change_nothing(scene: Scene) -> None:
    """A write that fails leaves the cache as it was."""
    key = scene.key()
    scene.write(key, "old")
    wait_until(lambda: scene.at_every_node(key) == ["old"] * len(scene.sides), "the item at all nodes")
    scene.write_around(key, "new")
    refused = error(
        scene.cached.put_item,
        TableName=scene.table,
        Item={**key, "v": s("never")},
        ConditionExpression="attribute_not_exists(p)",
    )
    assert refused == CONDITION_FAILED
    assert scene.read(key) == "old"


def absence_is_cached(scene: Scene) -> None:
    """Negative caching: that there is no item is cached, until one is written through the cache."""
    key = scene.key()
    assert scene.read(key) is None
    wait_until(lambda: scene.at_every_node(key) == [None] * len(scene.sides), "the absence at all nodes")
    scene.write_around(key, "around")
    assert scene.read(key) is None
    scene.write(key, "through")
    fresh_at_primary(scene, key, "through")


def transactions_forget_and_refill(scene: Scene) -> None:
    """TransactWriteItems: no node serves the old state afterwards, and the cache is filled again by itself."""
    key = scene.key()
    scene.write(key, "old")
    wait_until(lambda: scene.at_every_node(key) == ["old"] * len(scene.sides), "the item at all nodes")
    before = scene.place.counted().get("Refills", 0)
    put = {"Put": {"TableName": scene.table, "Item": {**key, "v": s("new")}}}
    scene.cached.transact_write_items(TransactItems=[put])
    wait_until(lambda: scene.at_every_node(key) == ["new"] * len(scene.sides), "the new state at all nodes")
    wait_until(lambda: scene.place.counted().get("Refills", 0) > before, "a refill")


def one_cache_two_doors(scene: Scene) -> None:
    """The HTTP door and the DAX protocol share one cache."""
    key = scene.key()
    scene.write(key, "old")
    wait_until(lambda: scene.at_every_node(key) == ["old"] * len(scene.sides), "the item at all nodes")
    scene.write_around(key, "new")
    assert scene.at_every_node(key) == ["old"] * len(scene.sides)
    side = scene.primary_side()
    side.put_item(TableName=scene.table, Item={**key, "v": s("newest")})
    wait_until(lambda: scene.read(key) == "newest", "what the HTTP door has written")


# Query cache


def queries_are_not_invalidated(scene: Scene) -> None:
    """The query cache: no write is seen, through the cache or past it; other parameters are another query."""
    key = scene.key()
    scene.write(key, "old")
    side = scene.sides[0]
    wanted = {
        "TableName": scene.table,
        "KeyConditionExpression": "p = :p",
        "ExpressionAttributeValues": {":p": key["p"]},
    }
    assert side.query(**wanted)["Items"][0]["v"] == s("old")
    scene.write(key, "through")
    scene.write_around({**key, "r": n(2)}, "around")
    with scene.counting(QueryCacheHits=1, QueryCacheMisses=0):
        assert [item["v"] for item in side.query(**wanted)["Items"]] == [s("old")]
    assert side.query(**wanted, ScanIndexForward=False)["Count"] == 2
    assert side.query(**wanted, ConsistentRead=True)["Count"] == 2


def empty_results_are_cached(scene: Scene) -> None:
    """Negative caching of queries: an empty result is cached as well."""
    key, side = scene.key(), scene.sides[0]
    wanted = {
        "TableName": scene.table,
        "KeyConditionExpression": "p = :p",
        "ExpressionAttributeValues": {":p": key["p"]},
    }
    assert side.query(**wanted)["Count"] == 0
    scene.write(key, "x")
    assert side.query(**wanted)["Count"] == 0


def queries_fill_no_items(scene: Scene) -> None:
    """What a query or a scan has found does not fill the item cache; scans are counted apart."""
    key, side = scene.key(), scene.sides[0]
    scene.write_around(key, "old")
    with scene.counting(QueryCacheMisses=1, ScanCacheMisses=1, ScanCacheHits=1, ItemCacheMisses=0):
        scene.query(key)
        for _ in range(2):
            side.scan(
                TableName=scene.table, FilterExpression="p = :p", ExpressionAttributeValues={":p": key["p"]}
            )
    scene.write_around(key, "new")
    assert scene.read(key) == "new"


# Times to live


def items_live_for_their_time(scene: Scene) -> None:
    """TTL: an item is forgotten when its time is up, however often it is read; so is that there was none."""
    scene.set_times(SHORT_MS, SHORT_MS)
    there, absent = scene.key(), scene.key()
    scene.write(there, "old")
    scene.read(absent)
    scene.write_around(there, "new")
    scene.write_around(absent, "new")
    for key in (there, absent):
        wait_until(
            lambda key=key: scene.read(key) == "new", "the end of an item's time, while it is being read"
        )


def queries_live_for_their_time(scene: Scene) -> None:
    """TTL: so is a query's result."""
    key = scene.key()
    scene.query(key)
    scene.write_around(key, "new")
    wait_until(lambda: scene.query(key) == ["new"], "the end of the query's time")


def zero_means_for_ever_or_never(scene: Scene) -> None:
    """TTL 0: items never expire, queries are not cached."""
    scene.set_times(0, 0)
    key = scene.key()
    scene.write(key, "old")
    wait_until(lambda: scene.at_every_node(key) == ["old"] * len(scene.sides), "the item at all nodes")
    scene.write_around(key, "new")
    assert scene.query(key) == ["new"]
    for _ in range(LONGER):
        assert scene.read(key) == "old"
        pause()
    with scene.counting(QueryCacheHits=0):
        assert [scene.query(key) for _ in range(3)] == [["new"]] * 3


# Memory


def least_recently_used_go(scene: Scene) -> None:
    """LRU: when memory is full those go that were not used for the longest time; what is in use stays."""
    first, used = scene.key(), scene.key()
    side = scene.primary_side()
    scene.write(first, "old")
    scene.write(used, "old")
    scene.write_around(first, "new")
    scene.write_around(used, "new")
    for _ in range(MORE_THAN_FITS):
        scene.write(scene.key(), LARGE)
        assert text_of(side.get_item(TableName=scene.table, Key=used)) == "old"
    assert text_of(side.get_item(TableName=scene.table, Key=first)) == "new"
    counted = scene.place.counted()
    assert counted["EvictedSize"] > 0
    assert counted["EstimatedDbSize"] <= counted["BudgetBytes"]


CHECKS: tuple[Check, ...] = (
    read_is_cached,
    write_through_is_seen,
    write_around_is_not_seen,
    updates_leave_the_new_state,
    batches_go_key_by_key,
    failed_writes_change_nothing,
    strong_reads_pass_through,
    strong_reads_are_not_cached,
    absence_is_cached,
    transactions_forget_and_refill,
    one_cache_two_doors,
    queries_are_not_invalidated,
    empty_results_are_cached,
    queries_fill_no_items,
    items_live_for_their_time,
    queries_live_for_their_time,
    zero_means_for_ever_or_never,
)
ONE_NODE: tuple[Check, ...] = (least_recently_used_go,)


@contextmanager
def scene_of(place: DaxPlace) -> Iterator[Scene]:
    """A table, and clients past the cache and through it."""
    with ExitStack() as after:
        direct = make_client(place.endpoint)
        after.callback(direct.close)
        name = unique("semantics")
        direct.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "r", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": "p", "AttributeType": "S"},
                {"AttributeName": "r", "AttributeType": "N"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        wait_active(direct, name)
        cached = after.enter_context(dax_client(place.url))
        scene = Scene(place, direct, cached, name)
        after.callback(scene.close_sides)
        scene.open_sides()
        yield scene


def sentence(check: Check) -> str:
    """What a check is about."""
    return " ".join((check.__doc__ or "").split())


def run(scene: Scene, checks: tuple[Check, ...], say: Callable[[str], None] = print) -> list[str]:
    """Try promises one after the other; those that are broken."""
    wrong = []
    for check in checks:
        try:
            check(scene)
        except Exception as error:
            wrong.append(f"{sentence(check)} {type(error).__name__}: {error}")
            say(f"WRONG  {wrong[-1]}")
        else:
            say(f"ok     {sentence(check)}")
    return wrong


def main(arguments: list[str]) -> int:
    """Run all of it and print what came out."""
    from tests.dax.failover import SEVERAL_NODES

    parser = argparse.ArgumentParser(prog="python -m tests.dax.semantics", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1)
    nodes = parser.parse_args(arguments).nodes
    with tempfile.TemporaryDirectory(prefix="hashrange-dax-") as folder:
        if nodes == 1:
            options = ("--in-memory", "--dax-memory-mb", str(MEMORY_MB))
            with dax_server(*options, log=Path(folder) / "log") as place, scene_of(place) as scene:
                wrong = run(scene, CHECKS + ONE_NODE)
        else:
            with DaxCluster(Path(folder) / "c", nodes) as place, scene_of(place) as scene:
                wrong = run(scene, CHECKS + SEVERAL_NODES)
    print(f"{len(wrong)} promises are broken" if wrong else "all of it holds")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
