"""Workloads: shares, keys, the requests of every act, and inserts that processes do not share."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from typing import Any

import pytest
from hashrange_client.load import shape, ycsb_shape
from hashrange_client.load.acts import ActSource
from hashrange_client.load.requests import Head, RequestSource
from hashrange_client.load.settings import LoadError, LoadSettings
from hashrange_client.load.workloads import ACTS, NAMES, OPERATION_OF, WORKLOADS, parse_mix

from hashrange.model.value import item_size

CORE = {
    "ycsb-a": ({"get": 0.5, "update": 0.5}, "zipfian"),
    "ycsb-b": ({"get": 0.95, "update": 0.05}, "zipfian"),
    "ycsb-c": ({"get": 1.0}, "zipfian"),
    "ycsb-d": ({"get": 0.95, "insert": 0.05}, "latest"),
    "ycsb-e": ({"scan": 0.95, "insert": 0.05}, "zipfian"),
    "ycsb-f": ({"get": 0.5, "read-modify-write": 0.5}, "zipfian"),
}


def of(workload: str, **changes: Any) -> LoadSettings:
    settings = LoadSettings(workload=workload, table="", item_bytes=0, items=500)
    return dataclasses.replace(settings, **changes).checked()


def document(request: bytes) -> dict[str, Any]:
    """The body of a request, whose length must be what its header says."""
    head, _, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    assert length is not None
    assert int(length[1]) == len(body)
    found: dict[str, Any] = json.loads(body)
    return found


@pytest.mark.parametrize("name", CORE)
def test_the_core_workloads_are_ycsbs(name: str) -> None:
    acts, distribution = CORE[name]
    plan = WORKLOADS[name]
    assert dict(plan.acts) == acts
    assert (plan.distribution, plan.table, plan.item_bytes) == (distribution, "hashrange-ycsb", 1_076)
    source = RequestSource(of(name), Head(of(name)))
    drawn: Counter[str] = Counter()
    for _ in range(4_000):
        operation, _request, follow_up = source.next()
        drawn["read-modify-write" if follow_up else operation] += 1
    for act, share in acts.items():
        label = act if act == "read-modify-write" else OPERATION_OF[act]
        assert drawn[label] / 4_000 == pytest.approx(share, abs=0.03)


def test_a_record_is_ten_fields_of_100_bytes() -> None:
    record = ycsb_shape.item(77, ycsb_shape.ITEM_BYTES)
    assert {name: len(value["S"]) for name, value in record.items() if name != "pk"} == {
        f"field{number}": 100 for number in range(10)
    }
    assert item_size(record) == ycsb_shape.ITEM_BYTES == 1_076
    assert record == ycsb_shape.item(77, 1_076)
    assert record["field0"] != ycsb_shape.item(78, 1_076)["field0"]


def test_scans_ask_for_1_to_100_items_behind_a_key() -> None:
    source = RequestSource(of("scan", table="t"), Head(of("scan")))
    limits = set()
    for _ in range(3_000):
        request = document(source.next()[1])
        limits.add(request["Limit"])
        assert set(request["ExclusiveStartKey"]) == {"pk", "sk"}
    assert (min(limits), max(limits), len(limits)) == (1, 100, 100)


def test_updates_of_records_change_one_field_to_something_new() -> None:
    source = RequestSource(of("ycsb-a"), Head(of("ycsb-a")))
    fields, values = set(), set()
    for _ in range(2_000):
        operation, request, _ = source.next()
        if operation == "UpdateItem":
            asked = document(request)
            fields.add(asked["UpdateExpression"])
            values.add(asked["ExpressionAttributeValues"][":v"]["S"])
    assert fields == {f"SET field{number} = :v" for number in range(10)}
    assert {len(value) for value in values} == {100}
    assert len(values) > 800


def test_a_read_modify_write_writes_what_it_has_read() -> None:
    for settings in (of("read-modify-write"), of("ycsb-f")):
        source = RequestSource(settings, Head(settings))
        follow_up = None
        while follow_up is None:
            operation, request, follow_up = source.next()
        assert (operation, follow_up[0], follow_up[2]) == ("GetItem", "UpdateItem", "ReadModifyWrite")
        assert document(request)["Key"] == document(follow_up[1])["Key"]


@pytest.mark.parametrize("act", ["transact-write", "transact-get", "batch-get", "batch-write"])
def test_groups_are_of_different_items(act: str) -> None:
    settings = of(act, group=25, items=60, distribution="zipfian", consistent_reads=True)
    source = RequestSource(settings, Head(settings))
    for _ in range(100):
        text = json.dumps(document(source.next()[1]))
        keys = re.findall(r'"pk": \{"S": "(p\d+)"\}, "sk": \{"S": "(s\d)"\}', text)
        assert len(keys) == len(set(keys)) == 25
    assert ("ConsistentRead" in text) is (act == "batch-get")


def test_every_act_has_a_request_of_its_operation() -> None:
    for act in ACTS:
        operation, request, _ = RequestSource(of(act), Head(of(act))).next()
        assert operation == OPERATION_OF[act]
        assert f"DynamoDB_20120810.{operation}\r\n".encode() in request
    assert set(ACTS) < set(NAMES)


def test_puts_of_items_write_the_item() -> None:
    settings = of("insert")
    source = RequestSource(settings, Head(settings))
    written = [document(source.next()[1])["Item"] for _ in range(3)]
    assert written == [shape.item(number, 500) for number in (500, 501, 502)]


def test_processes_insert_different_items_and_read_what_they_have_inserted() -> None:
    whole = of("ycsb-d", processes=3, connections=6, items=100)
    inserted: list[set[int]] = []
    for process in range(3):
        source = ActSource(whole.share(process))
        mine: list[int] = []
        read: set[int] = set()
        for _ in range(4_000):
            act, (number,) = source.next()
            if act == "insert":
                mine.append(number)
            else:
                read.add(number)
                assert number < 100 or number in mine[: -whole.share(process).connections]
        assert len(mine) == len(set(mine))
        assert len(read & set(mine)) > 50
        inserted.append(set(mine))
    assert not inserted[0] & inserted[1]
    assert not inserted[1] & inserted[2]


def test_a_mix_of_ones_own() -> None:
    plan = parse_mix("get=1, put=0.6,query=0.4")
    assert dict(plan.acts) == pytest.approx({"get": 0.5, "put": 0.3, "query": 0.2})
    assert of("mix", mix="get=9,delete=1").plan.share("delete") == pytest.approx(0.1)
    for text, words in (
        ("fly=1", "a mix has no 'fly'"),
        ("get=much", "'much' is no share"),
        ("get=-1", "is no share"),
        ("get=0", "a share above 0"),
    ):
        with pytest.raises(ValueError, match=words):
            parse_mix(text)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mix": "fly=1"}, "a mix has no 'fly'"),
        ({"distribution": "normal"}, "there is no distribution 'normal'"),
        ({"hot_share": 1.5}, "between 0 and 1"),
        ({"arrivals": "often"}, "constant or poisson"),
        ({"client": "curl"}, "there is no client 'curl'"),
        ({"client": "dax", "workload": "batch-get"}, "the DAX client has no batch-get"),
        ({"client": "dax", "workload": "get", "access_key": "a"}, "does not sign"),
        ({"client": "dax", "workload": "get", "dax_endpoint": "nothing"}, "is no DAX endpoint"),
        ({"workload": "transact-get", "group": 60, "items": 100}, "60 different items"),
        ({"item_bytes": 90}, "at least 150 bytes"),
        ({"workload": "ycsb-a", "item_bytes": 50}, "at least"),
    ],
)
def test_settings_that_make_no_sense_are_told_in_one_sentence(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(LoadError, match=words):
        dataclasses.replace(LoadSettings(), **changes).checked()
