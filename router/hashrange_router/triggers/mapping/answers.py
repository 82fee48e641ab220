"""What goes to the function and to the destination of failures, and what the function's answer means.

    payload = event_body(unit, settings, shard_id, stream_arn)
    outcome = judge(result.payload, result.error, settings, unit)
    document = failure_document(...)

(AWS Lambda Developer Guide: Using AWS Lambda with Amazon DynamoDB, Configuring partial batch response, Stateful
processing, Retain discarded records.)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from hashrange.model.stream_sequence import sequence_text
from hashrange_router.triggers.mapping.lane import EMPTY_STATE, Unit
from hashrange_router.triggers.mapping.settings import Settings


@dataclass(frozen=True, slots=True)
class Success:
    """All records are taken. `state`: what the function returned for its window."""

    state: bytes | None = None


@dataclass(frozen=True, slots=True)
class Partial:
    """The records below `lowest` are taken."""

    lowest: int
    state: bytes | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Nothing is taken. `why` for the log, in words of this program; `error` as X-Amz-Function-Error."""

    why: str
    error: str | None = None


Outcome = Success | Partial | Failure


def event_body(unit: Unit, settings: Settings, shard_id: str, stream_arn: str) -> bytes:
    """The event that the function is called with."""
    records = b'{"Records":[' + b",".join([entry.body for entry in unit.records])
    window = unit.window
    if window is None:
        return records + b"]}"
    start_ms = window.start_ms
    return b'%b],"window":%b,"state":%b,"shardId":%b,"eventSourceARN":%b,%b' % (
        records,
        orjson.dumps({"start": _second(start_ms), "end": _second(start_ms + settings.tumbling_ms)}),
        window.state,
        orjson.dumps(shard_id),
        orjson.dumps(stream_arn),
        orjson.dumps({"isFinalInvokeForWindow": unit.final, "isWindowTerminatedEarly": unit.early})[1:],
    )


def judge(payload: bytes, error: str | None, settings: Settings, unit: Unit) -> Outcome:
    """What became of a unit that the function was called with, from the answer and its X-Amz-Function-Error."""
    if error is not None:
        return Failure("the function failed", error)
    if settings.plain or unit.final:
        return Success()
    try:
        answer = orjson.loads(payload) if payload.strip() else None
    except orjson.JSONDecodeError:
        return Failure("the function's answer is not JSON")
    if answer is not None and not isinstance(answer, dict):
        return Failure("the function's answer is no JSON object")
    state = None
    if unit.window is not None:
        if not answer or "state" not in answer:
            return Failure("the function's answer has no state for its window")
        try:
            state = EMPTY_STATE if answer["state"] is None else orjson.dumps(answer["state"])
        except TypeError:  # deeper than can be written
            return Failure("the state of the function's answer cannot be kept")
    failures = answer.get("batchItemFailures") if answer and settings.partial else None
    if not failures:
        return Success(state) if failures in (None, []) else Failure("batchItemFailures is no list")
    if not isinstance(failures, list):
        return Failure("batchItemFailures is no list")
    known = {sequence_text(entry.sequence): entry.sequence for entry in unit.records}
    named: list[int] = []
    for failure in failures:
        identifier = failure.get("itemIdentifier") if isinstance(failure, dict) else None
        sequence = known.get(identifier) if isinstance(identifier, str) else None
        if sequence is None:
            return Failure("batchItemFailures names what is not in the batch")
        named.append(sequence)
    return Partial(min(named), state)


def failure_document(
    unit: Unit,
    *,
    request_id: str,
    function_arn: str,
    shard_id: str,
    stream_arn: str,
    position: int,
    now_ms: int,
) -> dict[str, Any]:
    """The document about records that were given up. It has no records in it, only where they are in the stream.

    `request_id` names a unit that no call was made with; `position` stands for the records of a unit that has none.
    """
    answer = unit.answer
    records = unit.records
    arrivals = [entry.created_ms for entry in records] or [now_ms]
    document: dict[str, Any] = {
        "requestContext": {
            "requestId": request_id if answer is None else answer.request_id,
            "functionArn": function_arn,
            "condition": unit.verdict,
            "approximateInvokeCount": unit.calls,
        },
        "version": "1.0",
        "timestamp": _instant(now_ms),
        "DDBStreamBatchInfo": {
            "shardId": shard_id,
            "startSequenceNumber": sequence_text(records[0].sequence if records else position),
            "endSequenceNumber": sequence_text(records[-1].sequence if records else position),
            "approximateArrivalOfFirstRecord": _second(arrivals[0]),
            "approximateArrivalOfLastRecord": _second(arrivals[-1]),
            "batchSize": len(records),
            "streamArn": stream_arn,
        },
    }
    if answer is not None:
        document["responseContext"] = {
            "statusCode": 200,
            "executedVersion": answer.version,
            "functionError": answer.error,
        }
    return document


def _second(at_ms: int) -> str:
    """A time as `2020-07-30T17:00:00Z`."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _instant(at_ms: int) -> str:
    """A time with milliseconds."""
    return _second(at_ms)[:-1] + f".{at_ms % 1000:03d}Z"
