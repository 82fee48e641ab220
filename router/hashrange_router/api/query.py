"""Query and Scan, of tables and of indexes.

A Query lies in one partition: one message. A Scan walks a position through its segment in hash order until the
page is full. Which partition holds a position is asked anew at every step, because a split may come at any time;
each message is cut to its partition's hashes, which never change, so that every key is seen exactly once. Parallel
segments are equal shares of the 64-bit hash range, so they need no state.
"""

from __future__ import annotations

from collections.abc import Collection
from copy import copy
from typing import Any

from hashrange.errors import invalid_parameter, unavailable, validation
from hashrange.expr import (
    Bound,
    BoundKeyCondition,
    Condition,
    ExpressionContext,
    KeyCondition,
    Projection,
    attributes_to_get,
    check_filter_names,
    legacy_filter,
    legacy_key_conditions,
    resolve_key_condition,
)
from hashrange.expr.java_order import hash_set_order
from hashrange.model.table import IndexSchema, Partition, TableSchema
from hashrange.model.value import Wording
from hashrange.wire.faults import StaleRoute
from hashrange.wire.messages import RangeResult, ReadRange
from hashrange_router.api.call import Call, Operation
from hashrange_router.api.context import ANY_EPOCH, RouterContext
from hashrange_router.api.expressions import check_scalar
from hashrange_router.api.ranges import (
    INVALID_START,
    PAGE_BYTES,
    Source,
    charge_page,
    check_start,
    open_source,
    page_reply,
)

HASHES = 1 << 64
STALE_MAX = 32
"""Splits that one page of a Scan follows before it gives up."""


class _Parsed:
    """The expressions of a Query or Scan."""

    __slots__ = ("filter", "filter_heads", "filter_parameter", "key", "projection")

    def __init__(self) -> None:
        self.filter_heads: Collection[str] = ()
        self.key: BoundKeyCondition | list[Condition] | None = None
        self.filter: Bound | None = None
        self.filter_parameter = "Filter Expression"
        self.projection: Projection | None = None


def parse(request: dict[str, Any], wording: Wording) -> _Parsed:
    """All expressions of a request, new or legacy, before the table is known."""
    parsed = _Parsed()
    names, values = request.get("ExpressionAttributeNames"), request.get("ExpressionAttributeValues")
    if (
        "KeyConditionExpression" in request
        or "FilterExpression" in request
        or "ProjectionExpression" in request
    ):
        context = ExpressionContext(names, values, wording)
        if "FilterExpression" in request:
            parsed.filter = context.filter(request["FilterExpression"])
            parsed.filter_heads = parsed.filter.program.heads
        if "ProjectionExpression" in request:
            parsed.projection = context.projection(request["ProjectionExpression"])
        if "KeyConditionExpression" in request:
            parsed.key = context.key_condition(request["KeyConditionExpression"])
        context.finish()
    if "KeyConditions" in request:
        parsed.key = legacy_key_conditions(request["KeyConditions"], wording)
    for parameter in ("QueryFilter", "ScanFilter"):
        if parameter in request:
            parsed.filter = legacy_filter(request[parameter], request.get("ConditionalOperator"), wording)
            parsed.filter_parameter = parameter
            parsed.filter_heads = request[parameter]
    if "AttributesToGet" in request:
        parsed.projection = attributes_to_get(request["AttributesToGet"])
    return parsed


class RangeOperations:
    """Query and Scan of one router."""

    def __init__(self, context: RouterContext) -> None:
        self._context = context

    def query(self, call: Call, request: dict[str, Any]) -> Operation:
        """Query."""
        parsed = parse(request, self._context.wording)
        table = self._context.table(request["TableName"])
        call.table = table.name
        source = open_source(table, request)
        condition = self._key_condition(parsed, source)
        if parsed.filter_heads:
            key_names = source.names if source.index is None else source.index.key_names
            check_filter_names(parsed.filter_heads, key_names, parsed.filter_parameter)
            if source.index is not None:
                _check_filter_projected(parsed.filter_heads, source.index)
        prefix = source.codec.partition_prefix(condition.hash_values)
        low, high = source.codec.range_bounds(
            prefix,
            condition.range_equals,
            condition.op,  # type: ignore[arg-type]
            condition.operands,
        )
        reverse = request.get("ScanIndexForward") is False
        start = request.get("ExclusiveStartKey")
        if start is not None:
            encoded = self._query_start(source, start, condition, prefix, low, high)
            if reverse:
                high = max(low, min(high, encoded))
            else:
                low = min(high, max(low, encoded + b"\x00"))
        partition = source.partitions.of(prefix)
        message = self._message(request, source, parsed, partition, low, high)
        message.reverse = reverse
        message.limit = request.get("Limit")
        message.max_bytes = PAGE_BYTES
        admission = self._context.admission
        if admission is not None:
            admission.read(table, source.budget)
        result: RangeResult = yield message
        if admission is not None:
            charge_page(admission, source, [result], message.consistent)
        # A table without a range key has at most one item to give: there is nothing to go on with.
        last = result.last if source.index is not None or source.codec.range_parts else None
        return page_reply(call, request, source, [result], last, message.consistent)

    def _key_condition(self, parsed: _Parsed, source: Source) -> KeyCondition:
        codec = source.codec
        if isinstance(parsed.key, BoundKeyCondition):
            return parsed.key.resolve(codec.hash_parts, codec.range_parts)
        assert parsed.key is not None
        return resolve_key_condition(parsed.key, codec.hash_parts, codec.range_parts)

    def _query_start(
        self, source: Source, start: Any, condition: KeyCondition, prefix: bytes, low: bytes, high: bytes
    ) -> bytes:
        """The place of a Query's start key, which must lie where the query looks."""
        encoded = check_start(source, start, self._context.rules, detail=True)
        if source.index is None and not source.codec.range_parts:
            raise validation(INVALID_START)
        if not encoded.startswith(prefix):
            raise validation(
                "The provided starting key is outside query boundaries based on provided conditions"
            )
        if not low <= encoded < high:
            if condition.op is None and not condition.range_equals:
                raise validation(INVALID_START)
            raise validation("The provided starting key does not match the range key predicate")
        return encoded

    def _message(
        self,
        request: dict[str, Any],
        source: Source,
        parsed: _Parsed,
        partition: Partition,
        low: bytes,
        high: bytes,
    ) -> ReadRange:
        message = ReadRange(partition.id, ANY_EPOCH, source.space, low, high)
        message.consistent = request.get("ConsistentRead") is True
        message.filter = parsed.filter
        message.projection = parsed.projection
        message.count_only = request.get("Select") == "COUNT"
        for heads in (
            parsed.projection.nested_heads if parsed.projection is not None else (),
            parsed.filter.program.nested_heads if parsed.filter is not None else (),
        ):
            check_scalar(heads, source.table)
        if source.index is not None:
            message.fetch = _must_fetch(request, source.index, parsed.projection)
        return message

    def scan(self, call: Call, request: dict[str, Any]) -> Operation:
        """Scan, whole or one segment of a parallel one."""
        parsed = parse(request, "classic")
        table = self._context.table(request["TableName"])
        call.table = table.name
        source = open_source(table, request)
        low_hash, high_hash = _segment(request)
        low, high = low_hash.to_bytes(8, "big"), _upper(high_hash)
        start = request.get("ExclusiveStartKey")
        if start is not None:
            encoded = check_start(source, start, self._context.classic_rules, detail=False)
            if not low <= encoded < high:
                raise validation(
                    f"{INVALID_START}: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct "
                    f"Segment. TotalSegments: {request.get('TotalSegments')} Segment: {request.get('Segment')}"
                )
            low = encoded + b"\x00"
        limit = request.get("Limit")
        budget = PAGE_BYTES
        results: list[RangeResult] = []
        last = None
        message = self._message(request, source, parsed, source.partitions.of(low), low, high)
        stale = charged = 0
        admission = self._context.admission
        if admission is not None:
            # Once for the page: were a part of it refused, a page over many partitions might never come about.
            admission.read(table, source.budget)
        while low < high:
            partition = self._partition_at(table, source, low)
            upper = min(high, _upper(partition.hi + 1))
            message = copy(message)
            message.partition, message.low, message.high = partition.id, low, upper
            message.limit, message.max_bytes = limit, budget
            try:
                result: RangeResult = yield message
            except StaleRoute:
                stale += 1
                if stale > STALE_MAX:
                    raise unavailable(
                        f"Partition {partition.id} of table {table.name} is being moved"
                    ) from None
                continue
            results.append(result)
            if admission is not None:
                charged = charge_page(admission, source, results, message.consistent, charged)
            last = result.last
            if last is not None:
                break
            budget -= result.size_bytes + sum(result.fetched_sizes)
            if limit is not None:
                limit -= result.scanned
            low = upper
        return page_reply(call, request, source, results, last, message.consistent)

    def _partition_at(self, table: TableSchema, source: Source, position: bytes) -> Partition:
        """The partition that holds a position now, by the newest that is known of the table."""
        current = self._context.tables.get(table.name)
        partitions = source.partitions
        if current is not None and current is not table and current.table_id == table.table_id:
            index = source.index
            if index is None or index.kind == "LSI":
                partitions = current.partitions
            else:
                found = next((each for each in current.gsis if each.name == index.name), None)
                if found is not None and found.arn == index.arn:
                    partitions = found.partitions
        return self._context.locate(partitions.of(position), position)


def _upper(hash_value: int) -> bytes:
    """The smallest key of a hash, or what is above every key."""
    return hash_value.to_bytes(8, "big") if hash_value < HASHES else b"\xff" * 9


def _segment(request: dict[str, Any]) -> tuple[int, int]:
    """The hashes of a segment, half open."""
    total = request.get("TotalSegments")
    if total is None:
        return 0, HASHES
    segment = request["Segment"]
    return segment * HASHES // total, (segment + 1) * HASHES // total


def _check_filter_projected(heads: Collection[str], index: IndexSchema) -> None:
    """A Query filters what the index holds, of either kind: what a local index fetches comes after the filter."""
    if index.projected is None:
        return
    missing = [name for name in heads if name not in index.projected]
    if missing:
        raise invalid_parameter(
            f"Secondary index {index.name} does not project one or more filter attributes: "
            f"[{', '.join(hash_set_order(missing, len(missing)))}]"
        )


def _must_fetch(request: dict[str, Any], index: IndexSchema, projection: Projection | None) -> bool:
    """Whether a read of an index needs attributes that it does not hold: allowed on a local index only."""
    select = request.get("Select")
    if index.projected is None or select == "COUNT":
        return False
    missing: list[str] = []
    if projection is not None:
        missing = [name for name in projection.heads if name not in index.projected]
        if not missing:
            return False
    elif select != "ALL_ATTRIBUTES":
        return False
    if index.kind == "LSI":
        return True
    if missing:
        raise invalid_parameter(
            f"Global secondary index {index.name} does not project [{', '.join(missing)}]"
        )
    raise invalid_parameter(
        f"Select type ALL_ATTRIBUTES is not supported for global secondary index {index.name} "
        "because its projection type is not ALL"
    )
