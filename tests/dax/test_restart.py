"""A node goes under connected clients: no value under a wrong name, and a failed condition is a single request.

The official client keeps the ids of attribute lists for ever, whatever becomes of the node that gave them out. A node
that gave an id out once more would have it read, and write, values under the names of others.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.conformance.conftest import make_client
from tests.conformance.support import CONDITION_FAILED, Item, error, s, table, wait_until
from tests.dax.clients import dax_client
from tests.dax.server import CLUSTER, DaxServer, dax_server

NAMES = tuple(f"name{number}" for number in range(12))


def told_item(rng: random.Random, key: str) -> Item:
    """An item of which each value says under which name it was written."""
    return {"p": s(key)} | {name: s(f"{name} of {key}") for name in rng.sample(NAMES, rng.randrange(1, 6))}


def mixed_up(item: Item) -> list[str]:
    """What stands under a name that it was not written under."""
    key = item["p"]["S"]
    return [
        f"{key}: {name} is {value}"
        for name, value in item.items()
        if name != "p" and value != s(f"{name} of {key}")
    ]


class Traffic:
    """A client that writes and reads told items all the time. Failures are expected while a node is away."""

    def __init__(self, url: str, table_name: str, seed: int) -> None:
        self.wrong: list[str] = []
        self.done = self.failed = 0
        self._url, self._table, self._rng = url, table_name, random.Random(seed)
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def goes_on(self) -> None:
        """Wait until calls succeed that began after this."""
        before = self.done
        wait_until(lambda: self.done > before + 50, "requests of a client that was there before")

    def _run(self) -> None:
        try:
            with dax_client(self._url) as client:
                while not self._stop.is_set():
                    try:
                        self._step(client)
                        self.done += 1
                    except (ClientError, BotoCoreError, OSError):
                        self.failed += 1
                        self._stop.wait(0.02)
        except BaseException as error:
            self._error = error

    def _step(self, client: Any) -> None:
        key = f"k{self._rng.randrange(40)}"
        if self._rng.random() < 0.4:
            client.put_item(TableName=self._table, Item=told_item(self._rng, key))
        elif self._rng.random() < 0.9:
            found = client.get_item(TableName=self._table, Key={"p": s(key)})
            self.wrong += mixed_up(found.get("Item", {"p": s(key)}))
        else:
            for item in client.scan(TableName=self._table)["Items"]:
                self.wrong += mixed_up(item)


def kill(server: DaxServer) -> None:
    """kill -9: a supervisor starts another process in its place."""
    server.wait_replaced(server.kill_node())


def reboot(server: DaxServer) -> None:
    """As the API does it: stopped gracefully, and started again."""
    (pid,) = server.node_pids()
    server.control.reboot_node(ClusterName=CLUSTER, NodeId=f"{CLUSTER}-1")
    server.wait_replaced(pid)


@pytest.mark.parametrize("restart", [kill, reboot])
def test_no_value_appears_under_a_wrong_name(restart: Callable[[DaxServer], None], tmp_path: Path) -> None:
    with dax_server("--in-memory", log=tmp_path / "log") as server:
        direct = make_client(server.endpoint)
        with table(direct) as name, Traffic(server.url, name, 1) as old:
            old.goes_on()
            restart(server)
            # Somebody new is given lists first, before those who have some come back with theirs.
            with dax_client(server.url) as new:
                for number in range(30):
                    new.put_item(TableName=name, Item=told_item(random.Random(number), f"new{number}"))
                old.goes_on()
                for item in new.scan(TableName=name)["Items"]:
                    assert mixed_up(item) == []
            assert old.wrong == []
            for item in direct.scan(TableName=name, ConsistentRead=True)["Items"]:
                assert mixed_up(item) == []
        direct.close()
        assert "Traceback" not in server.log()


def test_a_table_made_anew_has_nothing_of_the_old_one(direct: Any, cached: Any) -> None:
    with table(direct) as name:
        cached.put_item(TableName=name, Item={"p": s("a"), "v": s("old")})
        assert cached.get_item(TableName=name, Key={"p": s("a")})["Item"]["v"] == s("old")
        description = direct.describe_table(TableName=name)["Table"]
        direct.delete_table(TableName=name)
        direct.create_table(
            TableName=name,
            KeySchema=description["KeySchema"],
            AttributeDefinitions=description["AttributeDefinitions"],
            BillingMode="PAY_PER_REQUEST",
        )
        wait_until(
            lambda: "Item" not in cached.get_item(TableName=name, Key={"p": s("a")}),
            "the end of the old item",
        )


def test_a_failed_condition_reaches_the_server_once(dax: DaxServer, direct: Any, cached: Any) -> None:
    with table(direct) as name:
        cached.put_item(TableName=name, Item={"p": s("a")})
        before = dax.counted()
        refused = error(
            cached.put_item, TableName=name, Item={"p": s("a")}, ConditionExpression="attribute_not_exists(p)"
        )
        assert refused == CONDITION_FAILED
        after = dax.counted()
        assert after["PutItemRequestCount"] - before["PutItemRequestCount"] == 1
        assert after["ErrorRequestCount"] - before.get("ErrorRequestCount", 0) == 1
