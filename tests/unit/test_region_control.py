"""Regions that come to an agreement: replicas made and taken away, settings shared, while links fail as they like."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hashrange_router.regions import group
from hashrange_router.regions.reconcile import AWAY_AFTER_S, MISSING_S, VERIFY_S, digest

from hashrange.errors import ApiError
from tests.unit.region_control_support import TABLE, World

US, EU, AP = "us-east-1", "eu-west-1", "ap-northeast-1"


def world(*regions: str, **table: Any) -> World:
    """A table in the first region, and a replica in each of the others."""
    made = World(*(regions or (US, EU)))
    first = next(iter(made.regions.values()))
    first.call("CreateTable", **{**TABLE, **table})
    made.run(1)
    for region in list(made.regions)[1:]:
        first.replicate(region)
        made.run(5)
    return made


def agreed(made: World, *, name: str = "orders") -> None:
    """All regions that have the table know the same, and have it so."""
    views = []
    for region in made.regions.values():
        assert not region.problems
        document = region.context.get(name)
        if document is not None and "Replication" in document:
            assert "Applying" not in document["Replication"]
            views.append(digest(group.view(document)))
    assert len(set(views)) <= 1


def cut(made: World, *pair: str) -> None:
    made.cut.add(frozenset(pair))


def heal(made: World) -> None:
    made.cut.clear()


# Replicas.


def test_a_replica_is_made_and_described_in_both_regions() -> None:
    made = world()
    us, eu = made[US].table(), made[EU].table()
    assert made[US].replicas() == {EU: "ACTIVE"} and made[EU].replicas() == {US: "ACTIVE"}
    for table in (us, eu):
        assert table["GlobalTableVersion"] == "2019.11.21" and table["TableStatus"] == "ACTIVE"
        assert table["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert us["TableId"] != eu["TableId"]
    assert eu["TableArn"].split(":")[3] == EU
    agreed(made)


def test_a_third_region_is_known_to_all_and_may_be_added_from_any() -> None:
    made = World(US, EU, AP)
    made[US].call("CreateTable", **TABLE)
    made.run(1)
    made[US].replicate(EU)
    made.run(5)
    made[EU].replicate(AP)
    made.run(5)
    for name in (US, EU, AP):
        assert made[name].replicas() == {other: "ACTIVE" for other in (US, EU, AP) if other != name}
    agreed(made)


def test_slots_are_never_used_again() -> None:
    made = world()
    slots = set()
    for _ in range(3):
        document = made[US].context.get("orders")
        assert document is not None
        slots.add(document["Replication"]["Replicas"][EU]["Slot"])
        made[US].call("UpdateTable", TableName="orders", ReplicaUpdates=[{"Delete": {"RegionName": EU}}])
        made.run(10)
        assert not made[EU].has() and "Replicas" not in made[US].table()
        made[US].replicate(EU)
        made.run(5)
    assert len(slots) == 3


def test_a_table_has_only_so_many_replicas_in_its_life() -> None:
    made = world()
    document = made[US].context.get("orders")
    assert document is not None
    made[US].follow("orders", {**document, "SlotsUsed": 24})
    with pytest.raises(ApiError, match="has had 24 replicas"):
        group.take_slot(dict(made[US].context.documents["orders"]))


def test_a_replica_that_is_deleted_goes_there_and_is_forgotten_everywhere() -> None:
    made = world(US, EU, AP)
    made[EU].call("UpdateTable", TableName="orders", ReplicaUpdates=[{"Delete": {"RegionName": AP}}])
    made.run(10)
    assert not made[AP].has()
    assert made[US].replicas() == {EU: "ACTIVE"} and made[EU].replicas() == {US: "ACTIVE"}
    agreed(made)


def test_deleting_a_table_leaves_the_others() -> None:
    made = world(US, EU, AP)
    made[US].call("DeleteTable", TableName="orders")
    made.run(10)
    assert not made[US].has()
    assert made[EU].replicas() == {AP: "ACTIVE"} and made[AP].replicas() == {EU: "ACTIVE"}


def test_deleting_a_table_is_noticed_by_who_could_not_be_told() -> None:
    made = world(US, EU, AP)
    cut(made, US, EU)
    cut(made, AP, EU)
    made[EU].call("DeleteTable", TableName="orders")
    made.run(5)
    assert made[US].replicas() == {EU: "ACTIVE", AP: "ACTIVE"}
    heal(made)
    made.run(2 * VERIFY_S + MISSING_S)
    assert made[US].replicas() == {AP: "ACTIVE"} and made[AP].replicas() == {US: "ACTIVE"}
    agreed(made)


def test_the_last_replica_leaves_a_table_like_any_other() -> None:
    made = world()
    made[US].call("UpdateTable", TableName="orders", ReplicaUpdates=[{"Delete": {"RegionName": EU}}])
    made.run(10)
    table = made[US].table()
    assert "GlobalTableVersion" not in table and "Replicas" not in table
    assert table["StreamSpecification"]["StreamEnabled"]
    made[US].call("UpdateTable", TableName="orders", StreamSpecification={"StreamEnabled": False})


# Regions that are away.


def test_a_replica_is_made_once_its_region_is_there() -> None:
    made = World(US, EU)
    made[US].call("CreateTable", **TABLE)
    made.run(1)
    cut(made, US, EU)
    made[US].replicate(EU)
    made.run(60)
    assert made[US].replicas() == {EU: "CREATING"}
    heal(made)
    made.run(15)
    assert made[US].replicas() == {EU: "ACTIVE"} == {EU: made[EU].replicas()[US]}


def test_a_replica_that_was_not_made_yet_may_be_given_up() -> None:
    made = World(US, EU)
    made[US].call("CreateTable", **TABLE)
    made.run(1)
    cut(made, US, EU)
    made[US].replicate(EU)
    made.run(5)
    made[US].call("UpdateTable", TableName="orders", ReplicaUpdates=[{"Delete": {"RegionName": EU}}])
    assert made[US].replicas() == {EU: "DELETING"}
    heal(made)
    made.run(30)
    assert not made[EU].has() and "Replicas" not in made[US].table()


def test_a_replica_that_was_taken_away_while_its_region_was_away_goes_later() -> None:
    made = world(US, EU, AP)
    cut(made, US, AP)
    cut(made, EU, AP)
    made[US].call("UpdateTable", TableName="orders", ReplicaUpdates=[{"Delete": {"RegionName": AP}}])
    made.run(60)
    assert made[US].replicas() == {EU: "ACTIVE", AP: "DELETING"}
    assert made[AP].has()
    heal(made)
    made.run(30)
    assert not made[AP].has()
    assert made[US].replicas() == {EU: "ACTIVE"} and made[EU].replicas() == {US: "ACTIVE"}
    agreed(made)


def test_a_region_that_stays_away_is_described_as_inaccessible() -> None:
    made = world()
    cut(made, US, EU)
    made.run(2 * AWAY_AFTER_S)
    [replica] = made[US].table()["Replicas"]
    assert replica["ReplicaStatus"] == "ACTIVE" and "ReplicaInaccessibleDateTime" in replica
    heal(made)
    made.run(30)
    assert "ReplicaInaccessibleDateTime" not in made[US].table()["Replicas"][0]


def test_a_region_that_only_seemed_to_lack_its_table_stays() -> None:
    made = world()
    document = made[EU].context.documents.pop("orders")
    made.run(VERIFY_S + MISSING_S / 2)
    made[EU].context.documents["orders"] = document
    made.run(60)
    assert made[US].replicas() == {EU: "ACTIVE"}
    agreed(made)


def test_changes_made_apart_come_together() -> None:
    made = world(US, EU, AP)
    for pair in ((US, EU), (US, AP), (EU, AP)):
        cut(made, *pair)
    made[US].call(
        "UpdateTimeToLive",
        TableName="orders",
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"},
    )
    made[EU].call("UpdateTable", TableName="orders", TableClass="STANDARD_INFREQUENT_ACCESS")
    made[AP].call("UpdateTable", TableName="orders", ReplicaUpdates=[{"Delete": {"RegionName": US}}])
    made.run(20)
    heal(made)
    made.run(60)
    assert not made[US].has()
    for name in (EU, AP):
        assert made[name].table()["TableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS"
    agreed(made)


@pytest.mark.parametrize("seed", (0, 1, 2, 222, 328))
def test_whatever_links_lose_or_repeat_regions_agree_in_the_end(seed: int) -> None:
    made = World(US, EU, AP, seed=seed)
    made[US].call("CreateTable", **TABLE)
    made.run(1)
    made.lossy = 0.3
    made[US].replicate(EU)
    for step in range(30):
        region = made.random.choice([each for each in made.regions.values() if each.has()])
        act = made.random.choice(("ttl", "class", "index", "create", "cut", "heal"))
        try:
            if act == "ttl":
                region.call(
                    "UpdateTimeToLive",
                    TableName="orders",
                    TimeToLiveSpecification={"Enabled": made.random.random() < 0.5, "AttributeName": "t"},
                )
            elif act == "class":
                wanted = made.random.choice(("STANDARD", "STANDARD_INFREQUENT_ACCESS"))
                region.call("UpdateTable", TableName="orders", TableClass=wanted)
            elif act == "index":
                region.call("UpdateTable", **_index(f"by{step % 3}", made.random.random() < 0.6))
            elif act == "create":
                region.replicate(AP)
            elif act == "cut":
                cut(made, *made.random.sample([US, EU, AP], 2))
            else:
                heal(made)
        except ApiError:
            pass  # not everything is allowed at any time
        made.run(made.random.random() * 4)
    heal(made)
    made.lossy = 0.0
    made.run(120)
    agreed(made)
    tables = [region.table() for region in made.regions.values() if region.has()]
    assert len(tables) >= 2
    for table in tables:
        assert {each["ReplicaStatus"] for each in table["Replicas"]} == {"ACTIVE"}
        assert _shape(table) == _shape(tables[0])


def _index(name: str, create: bool) -> dict[str, Any]:
    if not create:
        return {
            "TableName": "orders",
            "GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": name}}],
        }
    return {
        "TableName": "orders",
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"}],
        "GlobalSecondaryIndexUpdates": [
            {
                "Create": {
                    "IndexName": name,
                    "KeySchema": [{"AttributeName": name, "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            }
        ],
    }


def _shape(table: dict[str, Any]) -> Any:
    indexes = sorted((i["IndexName"], i["IndexStatus"]) for i in table.get("GlobalSecondaryIndexes", ()))
    definitions = sorted(d["AttributeName"] for d in table["AttributeDefinitions"])
    return indexes, definitions, table.get("TableClassSummary", {}).get("TableClass", "STANDARD")


# What is in the way.


def test_a_table_of_that_name_is_nobody_elses_replica() -> None:
    made = World(US, EU)
    for region in (US, EU):
        made[region].call("CreateTable", **TABLE)
    made.run(1)
    create = {"TableName": "orders", "ReplicaUpdates": [{"Create": {"RegionName": EU}}]}
    assert made[US].refused("UpdateTable", **create)[1].endswith("already existed as tables.")
    cut(made, US, EU)
    made[US].call("UpdateTable", **create)
    heal(made)
    made.run(20)
    [replica] = made[US].table()["Replicas"]
    assert replica["ReplicaStatus"] == "CREATION_FAILED"
    assert replica["ReplicaStatusDescription"] == "A table named orders exists in eu-west-1"
    assert "Replicas" not in made[EU].table()
    made[US].call("UpdateTable", TableName="orders", ReplicaUpdates=[{"Delete": {"RegionName": EU}}])
    made.run(20)
    assert "Replicas" not in made[US].table() and made[EU].has()


def test_deletion_protection_of_a_replica_holds() -> None:
    made = world()
    made[EU].call("UpdateTable", TableName="orders", DeletionProtectionEnabled=True)
    made.run(5)
    assert not made[US].table()["DeletionProtectionEnabled"]
    delete = {"TableName": "orders", "ReplicaUpdates": [{"Delete": {"RegionName": EU}}]}
    assert made[US].refused("UpdateTable", **delete) == (
        "ValidationException",
        "Cannot delete table orders in region eu-west-1 because it has deletion protection enabled. "
        "Disable deletion protection first.",
    )
    cut(made, US, EU)
    made[US].call("UpdateTable", **delete)
    heal(made)
    made.run(20)
    assert made[EU].has() and made[US].replicas() == {EU: "DELETING"}
    made[EU].call("UpdateTable", TableName="orders", DeletionProtectionEnabled=False)
    made.run(30)
    assert not made[EU].has() and "Replicas" not in made[US].table()


def test_endpoints_have_to_be_known_in_both_regions() -> None:
    made = World(US, EU)
    made[US].call("CreateTable", **TABLE)
    made.run(1)
    create = {"TableName": "orders", "ReplicaUpdates": [{"Create": {"RegionName": EU}}]}
    made[EU].known = set()
    assert "no endpoint of us-east-1" in made[US].refused("UpdateTable", **create)[1]
    made[US].known = set()
    assert "HASHRANGE_PEERS" in made[US].refused("UpdateTable", **create)[1]
    made[US].context.links = None
    assert made[US].refused("UpdateTable", **create)[0] == "ValidationException"
    assert not made[EU].has() and "Replicas" not in made[US].table()


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"Type":"view","Source":"x"}', b'{"Type":"?","Source":"x","Table":"orders"}'],
)
def test_what_is_no_message_is_refused(body: bytes) -> None:
    made = world()
    told: list[Any] = []
    made[EU].receive(body, told.append)
    [error] = told
    assert isinstance(error, ApiError) and error.type_name == "ValidationException"


def test_a_message_with_parts_missing_is_refused() -> None:
    made = world()
    told: list[Any] = []
    made[EU].receive(orjson.dumps({"Type": "view", "Source": US, "Table": "orders"}), told.append)
    assert isinstance(told[0], ApiError) and told[0].type_name == "ValidationException"
