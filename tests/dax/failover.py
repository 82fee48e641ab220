"""What has to hold when a primary is killed (`python -m tests.dax.semantics --nodes 3`)."""

from __future__ import annotations

import threading
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.conformance.support import Item, n, s, wait_until
from tests.dax.clients import dax_client
from tests.dax.cluster import DaxCluster
from tests.dax.semantics import Check, Scene, text_of

KEYS = 10


class Writer:
    """A client of its own that gives some items ever greater numbers. `acknowledged` is the latest of each."""

    def __init__(self, scene: Scene) -> None:
        self.keys: list[Item] = [scene.key() for _ in range(KEYS)]
        self.acknowledged: list[int] = [0] * KEYS
        self.done = self.failed = 0
        self._scene = scene
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def goes_on(self) -> None:
        """Wait until it has written every item once more."""
        before = self.done
        wait_until(
            lambda: self._error is not None or self.done > before + KEYS, "writes that are acknowledged"
        )

    def _run(self) -> None:
        number = 0
        try:
            with dax_client(self._scene.place.url) as client:
                while not self._stop.is_set():
                    number += 1
                    place = number % KEYS
                    item = {**self.keys[place], "v": s(str(number))}
                    try:
                        client.put_item(TableName=self._scene.table, Item=item)
                    except (ClientError, BotoCoreError, OSError):
                        self.failed += 1
                        self._stop.wait(0.02)
                    else:
                        self.acknowledged[place] = number
                        self.done += 1
        except BaseException as error:
            self._error = error


def a_killed_primary_is_followed_by_another(scene: Scene) -> None:
    """Three nodes, the primary is killed: clients go on, nothing acknowledged is lost, and all caches agree again."""
    place = scene.place
    assert isinstance(place, DaxCluster)
    scene.set_times(0, 0)  # what is stale now would be stale for ever
    with Writer(scene) as writer:
        writer.goes_on()
        killed = place.kill_primary()
        writer.goes_on()
        place.wait_whole()
        writer.goes_on()
        now = place.primary()
        assert now is not None
        assert place.nodes()[now]["id"] != killed, "the primary is still the one that was killed"
    scene.open_sides()
    table = {key["p"]["S"]: stored(scene, key) for key in writer.keys}
    for key, number in zip(writer.keys, writer.acknowledged, strict=True):
        assert int(table[key["p"]["S"]]) >= number, "an acknowledged write is lost"
        wait_until(
            lambda key=key: set(scene.at_every_node(key)) == {table[key["p"]["S"]]},
            "the newest state at all nodes",
        )


def stored(scene: Scene, key: Item) -> str:
    """What the table has."""
    answer = scene.direct.get_item(TableName=scene.table, Key=key, ConsistentRead=True)
    return text_of(answer) or "0"


def a_replica_takes_writes(scene: Scene) -> None:
    """Every node takes writes: those of a replica are made by the primary, and seen at once where they were sent."""
    for side in scene.sides:
        key = scene.key()
        for number in range(5):
            side.put_item(TableName=scene.table, Item={**key, "v": s(str(number))})
            assert text_of(side.get_item(TableName=scene.table, Key=key)) == str(number)
        wait_until(lambda key=key: set(scene.at_every_node(key)) == {"4"}, "the newest state at all nodes")


def conditions_are_judged_once(scene: Scene) -> None:
    """A counter that all nodes add to at once loses nothing."""
    key: dict[str, Any] = {"TableName": scene.table, "Key": scene.key()}

    def add(side: Any) -> None:
        for _ in range(20):
            side.update_item(**key, UpdateExpression="ADD c :c", ExpressionAttributeValues={":c": n(1)})

    threads = [threading.Thread(target=add, args=(side,)) for side in scene.sides]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    def counts() -> set[str]:
        return {side.get_item(**key)["Item"]["c"]["N"] for side in scene.sides}

    wait_until(lambda: counts() == {str(20 * len(scene.sides))}, "the whole sum at all nodes")


SEVERAL_NODES: tuple[Check, ...] = (
    a_replica_takes_writes,
    conditions_are_judged_once,
    a_killed_primary_is_followed_by_another,
)
