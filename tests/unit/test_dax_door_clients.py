"""The wire door to clients that mean different things by the same bytes."""

from __future__ import annotations

from typing import Any

from hashrange_dax.codec.cbor import byte_string, integer, map_head
from hashrange_dax.protocol import methods as m

from tests.unit.dax_door_support import RunningDoor, running_door

LOCAL_INDEX = {
    "types": [{"AttributeName": "v", "AttributeType": "N"}],
    "LocalSecondaryIndexes": [
        {
            "IndexName": "by-v",
            "KeySchema": [
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "v", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
}
SCAN = (byte_string(b"tbl"), map_head(2) + b"\x0b" + byte_string(b"by-v") + b"\x0f\x01")
"""A scan of the index with Select=ALL_ATTRIBUTES."""


def names_found(door: RunningDoor, user_agent: str) -> set[str]:
    """The names of the attributes beside the key that a client of this name gets from the scan, twice."""
    with door.raw(user_agent) as client:
        _, before = client.ask(m.SCAN, *SCAN)
        _, reply = client.ask(m.SCAN, *SCAN)
        assert reply == before
        [[_, values]] = reply[m.ITEMS]
        _, names = client.ask(m.LIST, integer(values[0]))
        return set(names)


def test_all_attributes_of_an_index_unless_the_client_always_says_so() -> None:
    """Also where the same bytes have been answered before, for a client of either kind."""
    with running_door() as door:
        door.table("tbl", "S", "S", **LOCAL_INDEX)
        item: dict[str, Any] = {"pk": {"S": "a"}, "sk": {"S": "b"}, "v": {"N": "1"}, "more": {"S": "x"}}
        door.call("PutItem", {"TableName": "tbl", "Item": item})
        for _ in range(3):
            assert names_found(door, "DaxGoClient-1.0.3") == {"v"}
            assert names_found(door, "DaxJSV3Client-3.1.0") == {"v", "more"}
            assert names_found(door, "DaxJSV3Client-3.1.0") == {"v", "more"}
        assert door.on_loop(lambda: door.tier.metrics.quick_scans) > 0
