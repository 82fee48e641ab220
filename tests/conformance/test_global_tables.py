"""Global tables as boto3 sees them: two servers that are each other's peers, and one that has none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.conformance.server import Server, free_port
from tests.conformance.support import Containing, error, invalid, unique

US, EU = "us-east-1", "eu-west-1"
DEADLINE_S = 30.0
DATE = [{"AttributeName": "date", "AttributeType": "S"}]
BY_DATE = {
    "IndexName": "by_date",
    "KeySchema": [{"AttributeName": "date", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "ALL"},
}
STREAM = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}


def client_of(endpoint: str, region: str) -> Any:
    """A client that sends everything once."""
    return boto3.session.Session().client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1, "mode": "standard"}),
    )


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    """Clients of two regions."""
    directory = tmp_path_factory.mktemp("regions")
    ports = {US: free_port(), EU: free_port()}
    servers, clients = [], []
    try:
        for region, other in ((US, EU), (EU, US)):
            peer = f"{other}=http://127.0.0.1:{ports[other]}"
            options = ("--in-memory", "--region", region, "--peers", peer)
            servers.append(Server(*options, log=directory / f"{region}.log", port=ports[region]))
        for server, region in zip(servers, (US, EU), strict=True):
            clients.append(client_of(server.wait_ready().endpoint, region))
        yield clients[0], clients[1]
    finally:
        for client in clients:
            client.close()
        for server in servers:
            server.stop()


def eventually(seen: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
    """What is seen once it is as wanted; fails with the last of it."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        found = seen()
        if wanted(found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def create(client: Any, name: str, **members: Any) -> str:
    """An on-demand table with a hash key; its name."""
    client.create_table(
        TableName=name,
        **{
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
            **members,
        },
    )
    return name


def table_of(client: Any, name: str) -> dict[str, Any]:
    """Its description; empty when there is none."""
    try:
        found: dict[str, Any] = client.describe_table(TableName=name)["Table"]
    except client.exceptions.ResourceNotFoundException:
        return {}
    return found


def states(client: Any, name: str) -> dict[str, str]:
    """The status of each other replica."""
    return {each["RegionName"]: each["ReplicaStatus"] for each in table_of(client, name).get("Replicas", [])}


def replicated(us: Any, eu: Any, name: str) -> None:
    """Make a replica, and wait until both regions say that it is there."""
    us.update_table(TableName=name, ReplicaUpdates=[{"Create": {"RegionName": EU}}])
    eventually(lambda: states(us, name), lambda found: found == {EU: "ACTIVE"})
    eventually(lambda: states(eu, name), lambda found: found == {US: "ACTIVE"})


def value(client: Any, name: str, key: str) -> Any:
    """The attribute `v` of an item, or None."""
    found = client.get_item(TableName=name, Key={"pk": {"S": key}}).get("Item")
    return found and found["v"]["N"]


def put(client: Any, name: str, key: str, number: int) -> None:
    client.put_item(TableName=name, Item={"pk": {"S": key}, "v": {"N": str(number)}})


def test_a_replica_gets_what_is_there_and_what_comes_from_both_sides(regions: tuple[Any, Any]) -> None:
    us, eu = regions
    name = create(us, unique("orders"))
    put(us, name, "before", 1)
    reply = us.update_table(TableName=name, ReplicaUpdates=[{"Create": {"RegionName": EU}}])
    assert reply["TableDescription"]["TableStatus"] == "UPDATING"
    assert reply["TableDescription"]["GlobalTableVersion"] == "2019.11.21"
    eventually(lambda: states(us, name), lambda found: found == {EU: "ACTIVE"})
    assert value(eu, name, "before") == "1"
    put(us, name, "a", 2)
    put(eu, name, "b", 3)
    eventually(lambda: value(eu, name, "a"), lambda found: bool(found == "2"))
    eventually(lambda: value(us, name, "b"), lambda found: bool(found == "3"))
    eu.delete_item(TableName=name, Key={"pk": {"S": "before"}})
    eventually(lambda: value(us, name, "before"), lambda found: found is None)
    for client, other in ((us, EU), (eu, US)):
        table = table_of(client, name)
        assert [each["RegionName"] for each in table["Replicas"]] == [other]
        assert table["StreamSpecification"] == STREAM
        assert table["GlobalTableSettingsReplicationMode"] == "ENABLED_WITH_OVERRIDES"
    assert table_of(us, name)["TableId"] != table_of(eu, name)["TableId"]


def test_settings_of_one_region_are_those_of_all(regions: tuple[Any, Any]) -> None:
    us, eu = regions
    name = create(us, unique("orders"))
    replicated(us, eu, name)
    eu.update_time_to_live(
        TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    us.update_table(
        TableName=name, AttributeDefinitions=DATE, GlobalSecondaryIndexUpdates=[{"Create": BY_DATE}]
    )
    eventually(
        lambda: us.describe_time_to_live(TableName=name)["TimeToLiveDescription"],
        lambda found: bool(found.get("AttributeName") == "expires"),
    )
    eventually(
        lambda: table_of(eu, name).get("GlobalSecondaryIndexes", []),
        lambda found: [each["IndexStatus"] for each in found] == ["ACTIVE"],
    )
    us.update_table(TableName=name, DeletionProtectionEnabled=True)
    assert not table_of(eu, name)["DeletionProtectionEnabled"]
    assert error(us.delete_table, TableName=name)[0] == "ValidationException"


def test_a_replica_is_taken_away_and_its_table_with_it(regions: tuple[Any, Any]) -> None:
    us, eu = regions
    name = create(us, unique("orders"))
    replicated(us, eu, name)
    assert error(us.update_table, TableName=name, StreamSpecification={"StreamEnabled": False}) == invalid(
        Containing("Disabling Stream is not allowed for a Global Table replica.")
    )
    us.update_table(TableName=name, ReplicaUpdates=[{"Delete": {"RegionName": EU}}])
    eventually(lambda: table_of(eu, name), lambda found: not found)
    table = eventually(lambda: table_of(us, name), lambda found: "Replicas" not in found)
    assert "GlobalTableVersion" not in table
    us.update_table(TableName=name, StreamSpecification={"StreamEnabled": False})


def test_deleting_a_table_takes_it_from_the_others(regions: tuple[Any, Any]) -> None:
    us, eu = regions
    name = create(us, unique("orders"))
    replicated(us, eu, name)
    us.delete_table(TableName=name)
    assert table_of(us, name) == {}
    eventually(lambda: states(eu, name), lambda found: found == {})
    put(eu, name, "a", 1)


def test_a_table_of_that_name_is_in_the_way(regions: tuple[Any, Any]) -> None:
    us, _ = regions
    name = unique("orders")
    for client in regions:
        create(client, name)
    assert error(us.update_table, TableName=name, ReplicaUpdates=[{"Create": {"RegionName": EU}}]) == invalid(
        f"Failed to create a the new replica of table with name: ‘{name}’ because one or more replicas already "
        "existed as tables."
    )


def test_tables_are_joined_by_the_older_api(regions: tuple[Any, Any]) -> None:
    us, eu = regions
    name = unique("orders")
    for client in regions:
        create(client, name, StreamSpecification=STREAM)
    us.create_global_table(GlobalTableName=name, ReplicationGroup=[{"RegionName": US}, {"RegionName": EU}])
    for client in regions:
        eventually(partial(_status, client, name), lambda found: bool(found == "ACTIVE"))
    put(eu, name, "a", 5)
    eventually(lambda: value(us, name, "a"), lambda found: bool(found == "5"))
    eu.update_global_table(GlobalTableName=name, ReplicaUpdates=[{"Delete": {"RegionName": US}}])
    eventually(lambda: name in _listed(us), lambda found: not found)
    assert value(us, name, "a") == "5"


def _status(client: Any, name: str) -> str:
    """The status of a global table of the older version; "" where it is none yet."""
    if name not in _listed(client):
        return ""
    return str(
        client.describe_global_table(GlobalTableName=name)["GlobalTableDescription"]["GlobalTableStatus"]
    )


def _listed(client: Any) -> list[str]:
    return [each["GlobalTableName"] for each in client.list_global_tables()["GlobalTables"]]


def test_without_peers_replicas_are_refused_with_what_to_set(client: Any) -> None:
    name = create(client, unique("orders"))
    try:
        found = error(client.update_table, TableName=name, ReplicaUpdates=[{"Create": {"RegionName": EU}}])
        assert found == invalid(Containing("--peers eu-west-1=http://HOST:PORT", "HASHRANGE_PEERS"))
        assert "Replicas" not in table_of(client, name)
        assert error(client.describe_table_replica_auto_scaling, TableName=name) == (
            "ResourceNotFoundException",
            f"Global table with name: '{name}' does not exist.",
        )
        assert error(client.describe_global_table, GlobalTableName=name) == (
            "GlobalTableNotFoundException",
            f"Global table with name: '{name}' does not exist.",
        )
        assert client.list_global_tables()["GlobalTables"] == []
    finally:
        client.delete_table(TableName=name)
