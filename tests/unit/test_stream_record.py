"""One change as a stream keeps it, and as GetRecords and Lambda events show it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from hashrange.model.key import KeyCodec, KeyPart
from hashrange.model.sizes import item_size
from hashrange.model.stream_record import (
    EVENTS,
    INSERT,
    MODIFY,
    REMOVE,
    StreamRecord,
    event_id,
    images_of,
    pack,
    render,
    render_event,
    stamp_of,
    unpack,
)
from hashrange.model.stream_sequence import sequence_of

STRING = KeyCodec((KeyPart("pk", "S"),), ())
PAIR = KeyCodec((KeyPart("pk", "B"),), (KeyPart("sk", "N"),))
ARN = "arn:aws:dynamodb:eu-west-1:000000000000:table/T/stream/2026-01-01T00:00:00.000"
STAMP = (1_693_997_155_999 << 16) + 7
SEQUENCE = sequence_of(7, 12, 3)
OLD = {"pk": {"S": 'a"ä'}, "n": {"N": "1"}}
NEW = {"pk": {"S": 'a"ä'}, "b": {"B": "AP8="}}


def stored(event: str, old: Any, new: Any, expired: bool = False) -> StreamRecord:
    key = STRING.encode(OLD)
    size = sum(item_size(each) for each in (old, new) if each)
    old_json = orjson.dumps(old) if old else None
    new_json = orjson.dumps(new) if new else None
    return unpack(SEQUENCE, pack(event, key, old_json, new_json, size, STAMP, expired))


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("old", [None, b"", b"{}", b"x" * 70_000])
@pytest.mark.parametrize("new", [None, b"", b'{"a":1}'])
@pytest.mark.parametrize("expired", [False, True])
def test_what_is_packed_comes_back(event: str, old: bytes | None, new: bytes | None, expired: bool) -> None:
    value = pack(event, b"12345678key", old, new, 99, STAMP, expired)
    assert unpack(5, value) == StreamRecord(5, event, b"12345678key", old, new, 99, STAMP, expired)
    assert stamp_of(value) == STAMP


def test_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version 2"):
        unpack(1, b"\x02" + pack(INSERT, b"k" * 8, None, None, 0, 1, False)[1:])


@pytest.mark.parametrize(
    ("view", "images"),
    [
        ("KEYS_ONLY", (False, False)),
        ("NEW_IMAGE", (False, True)),
        ("OLD_IMAGE", (True, False)),
        ("NEW_AND_OLD_IMAGES", (True, True)),
    ],
)
def test_the_view_type_says_which_images_are_kept(view: str, images: tuple[bool, bool]) -> None:
    assert images_of(view) == images


def test_a_record_as_get_records_shows_it() -> None:
    record = stored(MODIFY, OLD, NEW)
    shown = orjson.loads(render(record, STRING, "NEW_AND_OLD_IMAGES", "eu-west-1", ARN))
    assert shown == {
        "eventID": event_id(ARN, SEQUENCE),
        "eventName": "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-west-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_693_997_155,
            "Keys": {"pk": {"S": 'a"ä'}},
            "NewImage": NEW,
            "OldImage": OLD,
            "SequenceNumber": str(SEQUENCE),
            "SizeBytes": item_size({"pk": {"S": 'a"ä'}}) + item_size(OLD) + item_size(NEW),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }


@pytest.mark.parametrize(
    ("event", "old", "new", "members"),
    [
        (INSERT, None, NEW, {"NewImage"}),
        (REMOVE, OLD, None, {"OldImage"}),
        (MODIFY, None, None, set()),
    ],
)
def test_a_missing_image_is_left_out(event: str, old: Any, new: Any, members: set[str]) -> None:
    shown = orjson.loads(render(stored(event, old, new), STRING, "KEYS_ONLY", "r", ARN))
    assert shown["eventName"] == event
    assert shown["dynamodb"].keys() & {"NewImage", "OldImage"} == members
    assert "userIdentity" not in shown


def test_the_identity_of_time_to_live_is_written_in_two_ways() -> None:
    record = stored(REMOVE, OLD, None, expired=True)
    shown = orjson.loads(render(record, STRING, "OLD_IMAGE", "r", ARN))
    assert shown["userIdentity"] == {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}
    event = orjson.loads(render_event(record, STRING, "OLD_IMAGE", "r", ARN))
    assert event["userIdentity"] == {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


def test_a_lambda_event_names_the_stream_and_has_a_float_for_the_time() -> None:
    record = stored(INSERT, None, NEW)
    body = render_event(record, STRING, "NEW_IMAGE", "eu-west-1", ARN)
    assert b'"ApproximateCreationDateTime":1693997155.0,' in body
    event = orjson.loads(body)
    assert event.pop("eventSourceARN") == ARN
    shown = orjson.loads(render(record, STRING, "NEW_IMAGE", "eu-west-1", ARN))
    assert event == shown


def test_keys_of_all_types_are_shown() -> None:
    item = {"pk": {"B": "AP8A"}, "sk": {"N": "-1.5"}}
    value = pack(INSERT, PAIR.encode(item), None, None, 0, STAMP, False)
    shown = orjson.loads(render(unpack(1, value), PAIR, "KEYS_ONLY", "r", ARN))
    assert shown["dynamodb"]["Keys"] == item
    assert shown["dynamodb"]["SizeBytes"] == item_size(item)
    assert shown["dynamodb"]["SequenceNumber"] == "0" * 20 + "1"


def test_ids_of_events_are_stable_and_differ() -> None:
    ids = {event_id(ARN, sequence_of(1, index, number)) for index in range(50) for number in range(3)}
    assert len(ids) == 150
    assert all(len(each) == 32 and int(each, 16) >= 0 for each in ids)
    assert event_id(ARN, 1) == event_id(ARN, 1) != event_id(ARN + "0", 1)
