"""Arguments of requests as documents of the API: every option, in the forms that clients send."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_dax.codec.cbor import CodecError, decode_all, integer
from hashrange_dax.codec.values import encode_value
from hashrange_dax.protocol import methods as m
from hashrange_dax.protocol.asked import Asked, UnknownList
from hashrange_dax.protocol.requests import REQUESTS, Reader

from hashrange.errors import ApiError, resource_not_found
from hashrange.expr import Compiled
from hashrange.model.table import TableSchema
from tests.unit.dax_tier_support import schema

PATH_A = bytes.fromhex("8201818212 6161".replace(" ", ""))  # [1, [[18, "a"]]]
CONDITION_A = bytes.fromhex("8301820b8212616180")  # attribute_exists(a)
KEY_CONDITION = bytes.fromhex("8301830082126270 6b82110081 6171".replace(" ", ""))  # pk = "q"
UPDATE_A = bytes.fromhex("83018183138212616182110081 06".replace(" ", ""))  # SET a = 6
TABLES = {"tbl": schema(), "ranged": schema("ranged", "id-2", sort="N")}
LISTS = {7: ("a",), 1: ()}


def table_of(name: str) -> TableSchema:
    if name not in TABLES:
        raise resource_not_found()
    return TABLES[name]


READER = Reader(table_of, LISTS.get)


def read(method: int, *arguments: Any) -> Asked:
    return REQUESTS[method](READER, list(arguments))


def test_get_item() -> None:
    asked = read(m.GET_ITEM, b"tbl", b"k", {2: True, 3: 1, 0: PATH_A, 1: {"#x": "y"}})
    assert asked.operation == "GetItem"
    projection = asked.request.pop("ProjectionExpression")
    assert isinstance(projection, Compiled) and projection.tree == ("projection", (("path", ("a",)),))
    assert asked.request == {
        "TableName": "tbl",
        "Key": {"pk": {"S": "k"}},
        "ConsistentRead": True,
        "ReturnConsumedCapacity": "TOTAL",
    }
    assert asked.projections[0] is not None and asked.projections[0].paths == (("a",),)


def test_no_options_at_all() -> None:
    assert read(m.GET_ITEM, b"tbl", b"k", None).request == {"TableName": "tbl", "Key": {"pk": {"S": "k"}}}


def test_put_item_has_the_key_among_its_attributes() -> None:
    values = integer(7) + encode_value({"N": "5"})
    asked = read(m.PUT_ITEM, b"tbl", b"k", values, {7: 2, 6: 1})
    assert asked.request["Item"] == {"a": {"N": "5"}, "pk": {"S": "k"}}
    assert asked.request["ReturnValues"] == "ALL_OLD" == asked.returned
    assert asked.request["ReturnItemCollectionMetrics"] == "SIZE"


def test_an_item_without_other_attributes_has_the_empty_list() -> None:
    assert read(m.PUT_ITEM, b"tbl", b"k", b"\x01", None).request["Item"] == {"pk": {"S": "k"}}


def test_a_list_that_must_be_fetched_first() -> None:
    with pytest.raises(UnknownList) as caught:
        read(m.PUT_ITEM, b"tbl", b"k", integer(99), None)
    assert caught.value.list_id == 99


def test_the_later_of_two_options_counts() -> None:
    """As one client sends a condition: its text, then parsed."""
    [options] = decode_all(b"\xbf\x04\x41x\x04\x49" + CONDITION_A + b"\xff")
    asked = read(m.DELETE_ITEM, b"tbl", b"k", options)
    assert asked.request["ConditionExpression"].tree == ("call", "attribute_exists", (("path", ("a",)),))


def test_update_item() -> None:
    asked = read(m.UPDATE_ITEM, b"tbl", b"k", {8: UPDATE_A, 7: 5})
    assert asked.request["UpdateExpression"].values == ({"N": "6"},)
    assert asked.returned == "UPDATED_NEW"


def test_query() -> None:
    options = {2: 0, 14: 0, 13: 5, 15: 3, 10: CONDITION_A, 9: b"k", 3: 2}
    asked = read(m.QUERY, b"tbl", KEY_CONDITION, options)
    request = asked.request
    assert request["KeyConditionExpression"].values == ({"S": "q"},)
    assert isinstance(request["FilterExpression"], Compiled)
    assert (request["ScanIndexForward"], request["ConsistentRead"]) == (False, False)
    assert (request["Limit"], request["Select"], request["ReturnConsumedCapacity"]) == (5, "COUNT", "INDEXES")
    assert request["ExclusiveStartKey"] == {"pk": {"S": "k"}}
    assert not asked.indexed


def test_all_attributes_means_nothing_from_clients_that_always_say_it() -> None:
    assert read(m.SCAN, b"tbl", {15: 1}).request["Select"] == "ALL_ATTRIBUTES"
    reader = READER._replace(selects_all=True)
    assert "Select" not in REQUESTS[m.SCAN](reader, [b"tbl", {15: 1}]).request
    assert REQUESTS[m.SCAN](reader, [b"tbl", {15: 3}]).request["Select"] == "COUNT"


def test_a_start_key_of_an_index_has_names() -> None:
    start = bytes.fromhex("bf 62706b 616b 6176 6178 ff".replace(" ", ""))
    asked = read(m.SCAN, b"tbl", {11: b"by-v", 9: start, 16: 0, 17: 4})
    assert asked.request["ExclusiveStartKey"] == {"pk": {"S": "k"}, "v": {"S": "x"}}
    assert (asked.request["IndexName"], asked.request["Segment"], asked.request["TotalSegments"]) == (
        "by-v",
        0,
        4,
    )
    assert asked.indexed


def test_batch_get() -> None:
    asked = read(m.BATCH_GET, {"tbl": [True, PATH_A, [b"a", b"b"]], "ranged": [False, None, []]}, None)
    parts = asked.request["RequestItems"]
    assert parts["tbl"]["Keys"] == [{"pk": {"S": "a"}}, {"pk": {"S": "b"}}]
    assert parts["tbl"]["ConsistentRead"] is True and parts["ranged"] == {"Keys": [], "ConsistentRead": False}
    assert [projection is None for projection in asked.projections] == [False, True]


def test_batch_write() -> None:
    asked = read(m.BATCH_WRITE, {"tbl": [b"a", integer(7) + b"\x05", b"b", None]}, {3: 1})
    assert asked.request["RequestItems"]["tbl"] == [
        {"PutRequest": {"Item": {"a": {"N": "5"}, "pk": {"S": "a"}}}},
        {"DeleteRequest": {"Key": {"pk": {"S": "b"}}}},
    ]


def test_transact_get_fetches_what_its_projection_looks_into() -> None:
    nested = bytes.fromhex("82018183126161d90cfc02".replace(" ", ""))  # a[2]
    asked = read(m.TRANSACT_GET, [b"tbl", b"tbl"], [b"a", b"b"], [nested, None], None)
    first, second = asked.request["TransactItems"]
    assert first["Get"]["ProjectionExpression"].tree == ("projection", (("path", ("a",)),))
    assert second == {"Get": {"TableName": "tbl", "Key": {"pk": {"S": "b"}}}}
    assert asked.projections[0] is not None and asked.projections[0].paths == (("a", 2),)


def test_transact_write() -> None:
    asked = read(
        m.TRANSACT_WRITE,
        [2, 7, 9, 12],
        [b"tbl"] * 4,
        [b"a", b"b", b"c", b"d"],
        [integer(7) + b"\x05", None, None, None],
        None,
        [2, 1, 1, 1],
        [None, None, None, CONDITION_A],
        [None, None, UPDATE_A, None],
        {19: "token"},
    )
    put, delete, update, check = asked.request["TransactItems"]
    assert put["Put"]["Item"] == {"a": {"N": "5"}, "pk": {"S": "a"}}
    assert put["Put"]["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD"
    assert delete["Delete"]["Key"] == {"pk": {"S": "b"}}
    assert isinstance(update["Update"]["UpdateExpression"], Compiled)
    assert isinstance(check["ConditionCheck"]["ConditionExpression"], Compiled)
    assert asked.request["ClientRequestToken"] == "token"


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        (m.GET_ITEM, (b"tbl", b"k", [1])),
        (m.GET_ITEM, (b"tbl", 5, None)),
        (m.GET_ITEM, (5, b"k", None)),
        (m.GET_ITEM, (b"\xff", b"k", None)),
        (m.GET_ITEM, (b"none", b"k", None)),
        (m.GET_ITEM, (b"tbl", b"k", {3: 9})),
        (m.GET_ITEM, (b"tbl", b"k", {2: "x"})),
        (m.GET_ITEM, (b"tbl", b"k", {0: 5})),
        (m.SCAN, (b"tbl", {13: "x"})),
        (m.SCAN, (b"tbl", {13: 1 << 40})),
        (m.SCAN, (b"tbl", {11: 5})),
        (m.BATCH_GET, ([], None)),
        (m.BATCH_GET, ({"tbl": [1]}, None)),
        (m.BATCH_WRITE, ({"tbl": [b"a"]}, None)),
        (m.BATCH_WRITE, ({5: []}, None)),
        (m.TRANSACT_GET, ([b"tbl"], [], None, None)),
        (m.TRANSACT_WRITE, ([3], [b"tbl"], [b"a"], None, None, None, None, None, None)),
        (m.TRANSACT_WRITE, ([2], [b"tbl"], [b"a"], None, None, None, None, None, None)),
        (m.TRANSACT_WRITE, (5, None, None, None, None, None, None, None, None)),
    ],
)
def test_arguments_of_another_form_are_refused(method: int, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ApiError):
        read(method, *arguments)


@pytest.mark.parametrize("key", [b"\xff", b""])
def test_keys_that_are_none(key: bytes) -> None:
    with pytest.raises(CodecError):
        read(m.GET_ITEM, b"ranged", key, None)
