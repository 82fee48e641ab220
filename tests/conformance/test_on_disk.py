"""A server with a data directory: what it answers it keeps, through a restart and through `kill -9`.

The rest of the suite runs in memory; HASHRANGE_TEST_STORAGE=disk runs all of it on a data directory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conformance.conftest import make_client
from tests.conformance.server import Server
from tests.conformance.support import (
    all_items,
    n,
    put_all,
    s,
    same_items,
    table_parameters,
    wait_active,
    wait_until,
)


class Disk:
    """One server at a time on one data directory."""

    def __init__(self, folder: Path, durability: str) -> None:
        self.folder = folder
        self.durability = durability
        self.server: Server | None = None

    def start(self) -> Any:
        """A client of a ready server."""
        options = ["--data-dir", str(self.folder / "data"), "--durability", self.durability]
        self.server = Server(*options, log=self.folder / "log").wait_ready()
        return make_client(self.server.endpoint)

    def restart(self, client: Any, *, kill: bool) -> Any:
        """Stop the server (or kill it) and start another on the same directory."""
        client.close()
        assert self.server is not None
        if kill:
            self.server.kill()
        else:
            assert self.server.stop() == 0, self.server.log.read_text()[-2000:]
        return self.start()


@pytest.fixture(params=["os", "fsync"])
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    """A fresh data directory."""
    made = Disk(tmp_path, request.param)
    yield made
    if made.server is not None:
        made.server.stop()


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_everything_survives(disk: Disk, kill: bool) -> None:
    client = disk.start()
    parameters = table_parameters(
        "p/r:N", gsi=(("by_g", "g/r:N"),), lsi=(("by_l", "p/l:N"),), Tags=[{"Key": "k", "Value": "v"}]
    )
    name = parameters["TableName"]
    client.create_table(**parameters)
    before = wait_active(client, name)
    items = [{"p": s(f"k{i % 5}"), "r": n(i), "g": s("g"), "l": n(-i), "v": s("x" * 200)} for i in range(100)]
    put_all(client, name, items)
    client.delete_item(TableName=name, Key={"p": s("k0"), "r": n(0)})
    client.update_item(
        TableName=name,
        Key={"p": s("k1"), "r": n(1)},
        UpdateExpression="SET v = :v",
        ExpressionAttributeValues={":v": s("updated")},
    )
    expected = [{**item, "v": s("updated")} if item["r"] == n(1) else item for item in items[1:]]
    for _ in range(2):
        client = disk.restart(client, kill=kill)
        after = wait_active(client, name)
        for member in ("TableId", "TableArn", "CreationDateTime", "KeySchema"):
            assert after[member] == before[member]
        assert same_items(all_items(client.scan, TableName=name, ConsistentRead=True), expected)
        local = all_items(
            client.query,
            TableName=name,
            IndexName="by_l",
            KeyConditionExpression="p = :p",
            ExpressionAttributeValues={":p": s("k2")},
        )
        assert [item["r"]["N"] for item in local] == [str(i) for i in range(97, 0, -5)]
        wait_until(
            lambda client=client: same_items(
                all_items(client.scan, TableName=name, IndexName="by_g"), expected
            ),
            "the global index after the restart",
        )
        assert client.list_tags_of_resource(ResourceArn=after["TableArn"])["Tags"] == parameters["Tags"]
    client.close()


def test_deleted_tables_stay_deleted(disk: Disk) -> None:
    client = disk.start()
    parameters = table_parameters("p")
    name = parameters["TableName"]
    client.create_table(**parameters)
    wait_active(client, name)
    client.put_item(TableName=name, Item={"p": s("old")})
    client.delete_table(TableName=name)
    wait_until(lambda: name not in client.list_tables()["TableNames"], "the table is gone")
    client = disk.restart(client, kill=True)
    assert name not in client.list_tables()["TableNames"]
    client.create_table(**parameters)
    wait_active(client, name)
    assert client.scan(TableName=name, ConsistentRead=True)["Count"] == 0
    client.close()


def test_a_second_server_is_refused(disk: Disk) -> None:
    client = disk.start()
    second = Server("--data-dir", str(disk.folder / "data"), log=disk.folder / "second")
    try:
        assert second.process.wait(60) != 0
    finally:
        second.stop()
    assert "data" in second.log.read_text()
    client.list_tables()
    client.close()
