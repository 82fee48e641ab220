"""What a function's answer means for its batch, and the report about records that are given up."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hashrange_router.triggers.mapping.answers import Failure, Partial, Success, failure_document, judge
from hashrange_router.triggers.mapping.lane import AGE_EXCEEDED, Answer, Unit, Window
from hashrange_router.triggers.mapping.settings import Entry, Settings

RECORDS = [Entry(number, 1_700_000_000_000 + number, 0.0, b"{}") for number in (10, 20, 30)]
PARTIAL = Settings(partial=True)


def named(*identifiers: Any) -> bytes:
    return json.dumps({"batchItemFailures": [{"itemIdentifier": each} for each in identifiers]}).encode()


def of(number: int) -> str:
    return f"{number:021d}"


@pytest.mark.parametrize(
    "payload", [b"", b"null", b"{}", b'{"batchItemFailures": null}', b'{"batchItemFailures": []}']
)
def test_success(payload: bytes) -> None:
    assert judge(payload, None, PARTIAL, Unit(RECORDS)) == Success()


@pytest.mark.parametrize(
    "payload",
    [
        named(""),
        named(None),
        named("unknown"),
        named(20),
        named(of(20), of(40)),
        b'{"batchItemFailures": [{}]}',
        b'{"batchItemFailures": [{"itemIdentity": "10"}]}',
        b'{"batchItemFailures": ["10"]}',
        b'{"batchItemFailures": {"itemIdentifier": "10"}}',
        b'{"batchItemFailures": 0}',
        b'"fine"',
        b"[]",
        b"{",
    ],
)
def test_the_whole_batch_has_failed(payload: bytes) -> None:
    assert isinstance(judge(payload, None, PARTIAL, Unit(RECORDS)), Failure)


def test_the_lowest_failure_counts() -> None:
    assert judge(named(of(30), of(20)), None, PARTIAL, Unit(RECORDS)) == Partial(20)


def test_answers_mean_nothing_unless_they_are_asked_for() -> None:
    assert judge(named(of(20)), None, Settings(), Unit(RECORDS)) == Success()
    assert judge(b"{", None, Settings(), Unit(RECORDS)) == Success()
    assert judge(b"{}", "Unhandled", Settings(), Unit(RECORDS)) == Failure("the function failed", "Unhandled")


def test_the_state_of_a_window() -> None:
    settings = Settings(tumbling_ms=1000)
    unit = Unit(RECORDS, window=Window(0))
    assert judge(b'{"state": {"n": 1}}', None, settings, unit) == Success(b'{"n":1}')
    assert judge(b'{"state": null}', None, settings, unit) == Success(b"{}")
    for payload in (b"null", b"{}", b'{"batchItemFailures": []}'):
        assert isinstance(judge(payload, None, settings, unit), Failure)
    final = Unit([], window=Window(0), final=True)
    assert judge(b"null", None, settings, final) == Success()
    deep = b'{"state": ' + b"[" * 400 + b"]" * 400 + b"}"
    assert isinstance(judge(deep, None, settings, unit), Failure)
    both = Settings(tumbling_ms=1000, partial=True)
    answer = json.dumps({"state": 5, "batchItemFailures": [{"itemIdentifier": of(20)}]}).encode()
    assert judge(answer, None, both, unit) == Partial(20, b"5")


def test_the_report() -> None:
    unit = Unit(RECORDS, calls=3, verdict="RetryAttemptsExhausted", answer=Answer("r-1", "7", "Unhandled"))
    document = failure_document(
        unit,
        request_id="unused",
        function_arn="arn:aws:lambda:us-east-1:000000000000:function:f:live",
        shard_id="shardId-1",
        stream_arn="arn:stream",
        position=0,
        now_ms=1_700_000_100_005,
    )
    assert document == {
        "requestContext": {
            "requestId": "r-1",
            "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:f:live",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 3,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "7", "functionError": "Unhandled"},
        "version": "1.0",
        "timestamp": "2023-11-14T22:15:00.005Z",
        "DDBStreamBatchInfo": {
            "shardId": "shardId-1",
            "startSequenceNumber": of(10),
            "endSequenceNumber": of(30),
            "approximateArrivalOfFirstRecord": "2023-11-14T22:13:20Z",
            "approximateArrivalOfLastRecord": "2023-11-14T22:13:20Z",
            "batchSize": 3,
            "streamArn": "arn:stream",
        },
    }


def test_the_report_about_records_that_no_call_was_made_with() -> None:
    document = failure_document(
        Unit(RECORDS[:1], verdict=AGE_EXCEEDED),
        request_id="r-2",
        function_arn="f",
        shard_id="s",
        stream_arn="a",
        position=0,
        now_ms=0,
    )
    assert document["requestContext"] == {
        "requestId": "r-2",
        "functionArn": "f",
        "condition": "MaximumRecordAgeExceeded",
        "approximateInvokeCount": 0,
    }
    assert "responseContext" not in document
