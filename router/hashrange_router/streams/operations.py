"""ListStreams, DescribeStream, GetShardIterator and GetRecords.

What a stream is and how far it has got is asked of the partitions of its table; which streams there are is in the
router's view. GetRecords, which consumers call all the time, is one message and one reply whose records are put
together from stored bytes (`hashrange.model.stream_record`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson

from hashrange.errors import ApiError, invalid_parameter, resource_not_found, validation
from hashrange.model.stream_record import renderer, unpack
from hashrange.model.stream_sequence import sequence_from, sequence_of, sequence_text
from hashrange.wire.streams import LocateRecord, ReadRecords, RecordPage, Shard
from hashrange_router.api.call import Call, Operation
from hashrange_router.api.context import ANY_EPOCH, RouterContext
from hashrange_router.streams import iterator
from hashrange_router.streams.directory import Stream, StreamDirectory
from hashrange_router.streams.gathering import KnownShards, Steps, gather, owner, shards_at
from hashrange_router.streams.iterator import Position
from hashrange_router.streams.paging import children, shards_page, streams_page
from hashrange_router.streams.secret import IteratorKey

LIST_LIMIT_MAX: Final = 100
SHARDS_LIMIT_MAX: Final = 100
RECORDS_LIMIT_MAX: Final = 1000
REPLY_BYTES: Final = 1 << 20
"""Limits of a page (Amazon DynamoDB Streams API Reference)."""

AT_SEQUENCE_NUMBER: Final = "AT_SEQUENCE_NUMBER"
AFTER_SEQUENCE_NUMBER: Final = "AFTER_SEQUENCE_NUMBER"
AT_TIMESTAMP: Final = "AT_TIMESTAMP"
TRIM_HORIZON: Final = "TRIM_HORIZON"

TIME_MAX_MS: Final = 1 << 53

_FRAME_BYTES: Final = len(b'{"Records":[],"NextShardIterator":""}')

Handler = Callable[[Call, dict[str, Any]], Operation]


class StreamOperations:
    """The operations of one router."""

    def __init__(self, context: RouterContext) -> None:
        self._context = context
        self._directory = StreamDirectory(context)
        self._known = KnownShards()
        self._key = IteratorKey(context)

    def handlers(self) -> dict[str, Handler]:
        """Every operation here, by its name."""
        return {
            "ListStreams": self.list_streams,
            "DescribeStream": self.describe_stream,
            "GetShardIterator": self.get_shard_iterator,
            "GetRecords": self.get_records,
        }

    def list_streams(self, call: Call, request: dict[str, Any]) -> Operation:
        """ListStreams: also of streams that were disabled and of deleted tables, while they can be read."""
        limit = request.get("Limit", LIST_LIMIT_MAX)
        if limit > LIST_LIMIT_MAX:
            raise invalid_parameter(
                f"Limit cannot be greater than the maximum allowed size: {LIST_LIMIT_MAX}"
            )
        listed = self._directory.listed(request.get("TableName"))
        page, more = streams_page(listed, request.get("ExclusiveStartStreamArn"), limit)
        reply: dict[str, Any] = {
            "Streams": [
                {"StreamArn": each.arn, "TableName": each.table_name, "StreamLabel": each.label}
                for each in page
            ]
        }
        if more:
            reply["LastEvaluatedStreamArn"] = page[-1].arn
        return orjson.dumps(reply)
        yield  # makes this a generator, like every operation

    def describe_stream(self, call: Call, request: dict[str, Any]) -> Operation:
        """DescribeStream: parents come before their children, and a shard is never closed without them."""
        limit = request.get("Limit", SHARDS_LIMIT_MAX)
        if limit > SHARDS_LIMIT_MAX:
            raise invalid_parameter(f"Limit cannot be greater than the maximum: {SHARDS_LIMIT_MAX}")
        shard_filter, start = request.get("ShardFilter"), request.get("ExclusiveStartShardId")
        if shard_filter is not None:
            _check_filter(shard_filter, start)
        stream = self._directory.get(request["StreamArn"])
        call.table = self._measured(stream)
        shards = yield from gather(self._context, stream)
        self._known.learn(stream.arn, shards)
        if shard_filter is not None:
            shards, more = children(shards, shard_filter.get("ShardId")), False
        else:
            shards, more = shards_page(shards, start, limit)
        description: dict[str, Any] = {
            "StreamArn": stream.arn,
            "StreamLabel": stream.label,
            "StreamStatus": stream.status,
            "StreamViewType": stream.view_type,
            "CreationRequestDateTime": stream.created_s,
            "TableName": stream.table_name,
            "KeySchema": stream.key_schema,
            "Shards": [_shown(shard) for shard in shards],
        }
        if more:
            description["LastEvaluatedShardId"] = shards[-1].id
        return orjson.dumps({"StreamDescription": description})

    def get_shard_iterator(self, call: Call, request: dict[str, Any]) -> Operation:
        """GetShardIterator: the position is fixed now, also that of LATEST."""
        kind = request["ShardIteratorType"]
        sequence = _requested_sequence(kind, request.get("SequenceNumber"))
        if kind == AT_TIMESTAMP and "Timestamp" not in request:
            raise invalid_parameter("Timestamp must be passed for this iterator type")
        stream = self._directory.get(request["StreamArn"])
        call.table = self._measured(stream)
        known = self._known.get(stream.arn, request["ShardId"])
        if sequence is not None or kind == TRIM_HORIZON or known is None:
            known = yield from self._shard(stream, request["ShardId"], known)
        after = 0
        if sequence is not None:
            after = _sequence_position(known, kind, sequence)
        elif kind != TRIM_HORIZON:
            at_ms = _milliseconds(request["Timestamp"]) if kind == AT_TIMESTAMP else None
            partition = owner(self._context, stream.partitions, known.lo)
            try:
                answer = yield LocateRecord(partition, ANY_EPOCH, known.lo, known.id, at_ms)
            except ApiError as error:
                raise _no_shard(error, "Shard does not exist") from None
            after = sequence_from(answer["after"])
        key = yield from self._key.get()
        position = Position(known.id, known.lo, after, int(self._context.now() * 1000))
        return orjson.dumps({"ShardIterator": iterator.make(key, stream.arn, position)})

    def get_records(self, call: Call, request: dict[str, Any]) -> Operation:
        """GetRecords: up to 1,000 records or 1 MB, whichever comes first, but one at least if there is one."""
        context = self._context
        key = yield from self._key.get()
        given = request["ShardIterator"]
        stream_arn, position = iterator.parse(key, given)
        limit = request.get("Limit", RECORDS_LIMIT_MAX)
        if limit > RECORDS_LIMIT_MAX:
            raise invalid_parameter(f"Limit should be less than or equal to {RECORDS_LIMIT_MAX}")
        now_ms = int(context.now() * 1000)
        iterator.check_age(position, now_ms)
        stream = self._directory.get(stream_arn)
        call.table = self._measured(stream)
        lo, shard = position.lo, position.shard
        partition = owner(context, stream.partitions, lo)
        # The next iterator is as long as the one given. Records are shorter as they are stored than in a reply.
        budget = REPLY_BYTES - _FRAME_BYTES - len(given)
        try:
            page: RecordPage = yield ReadRecords(
                partition, ANY_EPOCH, lo, shard, position.after, limit, budget
            )
        except ApiError as error:
            raise _no_shard(error, "Invalid ShardId in ShardIterator") from None
        records, cut_at = _rendered(page, stream, context.site.region, budget)
        call.returned_items = len(records)
        body = b'{"Records":[' + b",".join(records) + b"]"
        if page.ended and cut_at is None:
            return body + b"}"
        after = page.after if cut_at is None else cut_at
        following = Position(shard, lo, max(after, position.after), now_ms)
        return (
            body + b',"NextShardIterator":' + orjson.dumps(iterator.make(key, stream_arn, following)) + b"}"
        )

    def _measured(self, stream: Stream) -> str:
        """The table under which a call is counted: none once it is deleted, as its figures are gone then."""
        return stream.table_name if self._context.get(stream.table_name) is not None else ""

    def _shard(self, stream: Stream, shard_id: str, known: Shard | None) -> Steps:
        """The shard as it is now: one question if it is known where it lies, else one to every partition."""
        if known is not None:
            shards = yield from shards_at(self._context, stream, known.lo)
        else:
            shards = yield from gather(self._context, stream)
        self._known.learn(stream.arn, shards)
        for shard in shards:
            if shard.id == shard_id:
                return shard
        raise resource_not_found("Shard does not exist")


def _check_filter(shard_filter: dict[str, Any], start: str | None) -> None:
    if shard_filter.get("Type") is None:
        raise validation(
            "1 validation error detected: Value null at 'shardFilter.type' failed to satisfy constraint: "
            "Member must not be null"
        )
    if start is not None:
        raise validation("ShardFilter and ExclusiveStartShardId both should not be specified in the request.")


def _shown(shard: Shard) -> dict[str, Any]:
    """A shard as DescribeStream shows it."""
    numbers = {"StartingSequenceNumber": sequence_text(shard.start)}
    if shard.end is not None:
        numbers["EndingSequenceNumber"] = sequence_text(shard.end)
    shown: dict[str, Any] = {"ShardId": shard.id, "SequenceNumberRange": numbers}
    if shard.parent is not None:
        shown["ParentShardId"] = shard.parent
    return shown


def _requested_sequence(kind: str, text: str | None) -> int | None:
    """The sequence number of a request that has to have one; ValidationException if it must not or has none."""
    if kind not in (AT_SEQUENCE_NUMBER, AFTER_SEQUENCE_NUMBER):
        if text is not None:
            raise invalid_parameter("SequenceNumber should not be passed for this iterator type")
        return None
    try:
        return sequence_from(text or "")
    except ValueError:
        raise invalid_parameter("Invalid SequenceNumber") from None


def _sequence_position(shard: Shard, kind: str, sequence: int) -> int:
    """Behind which number to read, to begin at or after a number of the shard.

    ValidationException for a number that the shard cannot have, TrimmedDataAccessException for one of a record
    that is gone, if its reading was to begin with it or behind it and records behind it are gone as well.
    """
    # An open shard has no end yet, but whatever it gets has its partition's numbers: nothing would come behind others.
    end = shard.end if shard.end is not None else sequence_of(shard.partition + 1, 0) - 1
    if not shard.start <= sequence <= end:
        raise validation("Invalid SequenceNumber for the shard")
    after = sequence if kind == AFTER_SEQUENCE_NUMBER else max(sequence - 1, shard.start)
    if after < shard.trimmed:
        raise trimmed()
    return after


def trimmed() -> ApiError:
    """TrimmedDataAccessException: records that were to be read are kept no longer."""
    return ApiError("TrimmedDataAccessException", "The data you are trying to access has been trimmed")


def _no_shard(error: ApiError, message: str) -> ApiError:
    """A node's refusal in the words of the operation."""
    if error.type_name == "ResourceNotFoundException":
        return resource_not_found(message)
    if error.type_name == "TrimmedDataAccessException":
        return trimmed()
    return error


def _milliseconds(seconds: float) -> int:
    return max(0, min(round(seconds * 1000), TIME_MAX_MS))


def _rendered(page: RecordPage, stream: Stream, region: str, budget: int) -> tuple[list[bytes], int | None]:
    """The records of a page that fit into a reply, one at least; the last one's number if others were left out."""
    render = renderer(stream.codec, stream.view_type, region, stream.arn)
    records: list[bytes] = []
    last = 0
    for sequence, stored in page.records:
        record = render(unpack(sequence, stored))
        budget -= len(record) + 1
        if budget < 0 and records:
            return records, last
        records.append(record)
        last = sequence
    return records, None
