"""The events that functions get, as AWS Lambda Powertools reads them: its data classes and its parser."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
import pytest
from aws_lambda_powertools.utilities.data_classes import DynamoDBStreamEvent
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import (
    DynamoDBRecordEventName,
    StreamViewType,
)
from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.parser.models import DynamoDBStreamModel
from hashrange_router.triggers.mapping.answers import event_body
from hashrange_router.triggers.mapping.lane import Unit, Window
from hashrange_router.triggers.mapping.settings import Entry, Settings

from hashrange.model.key import KeyCodec, KeyPart
from hashrange.model.stream_record import INSERT, MODIFY, REMOVE, StreamRecord, renderer

ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/T/stream/2024-01-01T00:00:00.000"
CODEC = KeyCodec((KeyPart("pk", "S"),), (KeyPart("sk", "N"),))
ITEM: dict[str, Any] = {
    "pk": {"S": "a"},
    "sk": {"N": "101"},
    "b": {"B": "AP8="},
    "yes": {"BOOL": True},
    "none": {"NULL": True},
    "list": {"L": [{"S": "x"}, {"N": "1.5"}]},
    "map": {"M": {"n": {"N": "-3"}}},
    "strings": {"SS": ["a", "b"]},
    "numbers": {"NS": ["1", "2.5"]},
    "blobs": {"BS": ["AP8=", "/w=="]},
}


def event(settings: Settings, *changes: tuple[str, bool], window: Window | None = None) -> bytes:
    """An event of changes of one item: (kind, by time to live)."""
    show = renderer(CODEC, "NEW_AND_OLD_IMAGES", "us-east-1", ARN, True)
    image = orjson.dumps(ITEM)
    entries = []
    for number, (kind, expired) in enumerate(changes):
        record = StreamRecord(
            (5 << 72) + number,
            kind,
            CODEC.encode({"pk": ITEM["pk"], "sk": ITEM["sk"]}),
            None if kind == INSERT else image,
            None if kind == REMOVE else image,
            50,
            1_693_997_155_250 << 16,
            expired,
        )
        entries.append(Entry(record.sequence, record.stamp >> 16, 0.0, show(record)))
    return event_body(Unit(entries, window=window), settings, "shardId-1", ARN)


ALL = ((INSERT, False), (MODIFY, False), (REMOVE, False), (REMOVE, True))


@pytest.mark.parametrize("window", [None, Window(1_693_997_100_000, b'{"n":1}')])
def test_data_classes(window: Window | None) -> None:
    settings = Settings(tumbling_ms=60_000 if window else 0)
    inserted, modified, removed, expired = DynamoDBStreamEvent(
        orjson.loads(event(settings, *ALL, window=window))
    ).records
    assert [each.event_name for each in (inserted, modified, removed)] == list(DynamoDBRecordEventName)
    change = inserted.dynamodb
    assert (change is not None and change.old_image == {}) or change.old_image is None
    assert change.keys == {"pk": "a", "sk": Decimal(101)}
    assert change.stream_view_type is StreamViewType.NEW_AND_OLD_IMAGES
    assert change.approximate_creation_date_time == 1_693_997_155
    image = change.new_image
    assert image["list"] == ["x", Decimal("1.5")] and image["map"] == {"n": Decimal(-3)}
    assert image["strings"] == {"a", "b"} and image["numbers"] == {Decimal(1), Decimal("2.5")}
    assert image["yes"] is True and image["none"] is None
    assert removed.dynamodb is not None and removed.dynamodb.old_image["pk"] == "a"
    assert inserted.event_source_arn == ARN and inserted.aws_region == "us-east-1"
    assert not inserted.user_identity
    assert expired.user_identity == {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


def test_parser() -> None:
    parsed = parse(event(Settings(), *ALL).decode(), DynamoDBStreamModel)
    assert [record.eventName for record in parsed.Records] == [INSERT, MODIFY, REMOVE, REMOVE]
    assert parsed.Records[1].dynamodb.OldImage is not None and parsed.Records[0].dynamodb.OldImage is None
    identity = parsed.Records[3].userIdentity
    assert identity is not None and identity.principalId == "dynamodb.amazonaws.com"


def test_the_event_of_a_window() -> None:
    window = Window(1_693_997_100_000, b'{"n":1}')
    body = orjson.loads(event(Settings(tumbling_ms=60_000), (INSERT, False), window=window))
    assert body | {"Records": []} == {
        "Records": [],
        "window": {"start": "2023-09-06T10:45:00Z", "end": "2023-09-06T10:46:00Z"},
        "state": {"n": 1},
        "shardId": "shardId-1",
        "eventSourceARN": ARN,
        "isFinalInvokeForWindow": False,
        "isWindowTerminatedEarly": False,
    }
