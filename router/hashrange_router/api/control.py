"""The operations on tables, tags and time to live: plans made here, committed by the control plane.

The planning functions (tables*.py) are pure; this module gives them the view of the catalogue, sends their
plan as a compare-and-set, and makes a new plan when somebody else was faster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from hashrange.errors import ApiError, internal
from hashrange.model.table_arn import resolve_table_name
from hashrange.model.table_document import TableDocument
from hashrange.wire import messages as wire
from hashrange.wire.messages import ChangeTable, ConflictError, WhenSettled
from hashrange_router.api import tables, tables_misc, tables_tags, tables_ttl
from hashrange_router.api.call import Call, Operation
from hashrange_router.api.context import RouterContext
from hashrange_router.api.tables_describe import NO_STATISTICS, TableStatistics
from hashrange_router.api.tables_plan import Plan
from hashrange_router.regions.legacy import LegacyOperations
from hashrange_router.regions.operations import ReplicaOperations
from hashrange_router.regions.rules import concerns_replicas

RACES_MAX = 50
"""Plans made for one change before it is refused: each time another change of the catalogue was faster."""

Request = dict[str, Any]
Handler = Callable[[Call, Request], Operation]


class TableOperations:
    """The control-plane operations of one router."""

    def __init__(self, context: RouterContext) -> None:
        self._context = context
        self._replicas = ReplicaOperations(context)

    def handlers(self) -> dict[str, Handler]:
        """Every operation here, by its name."""
        context, site = self._context, self._context.site
        answers: dict[str, Callable[[Request], Any]] = {
            "ListTables": lambda r: tables.list_tables(r, context),
            "ListTagsOfResource": lambda r: tables_tags.list_tags_of_resource(r, context, site),
            "DescribeTimeToLive": lambda r: tables_ttl.describe_time_to_live(r, context, site),
            "DescribeLimits": lambda r: tables_misc.describe_limits(site),
            "DescribeEndpoints": lambda r: tables_misc.describe_endpoints(site),
            "DescribeContinuousBackups": lambda r: tables_misc.describe_continuous_backups(r, context, site),
            "UpdateContinuousBackups": lambda r: tables_misc.update_continuous_backups(r, context, site),
            "DescribeContributorInsights": lambda r: tables_misc.describe_contributor_insights(
                r, context, site
            ),
            "DescribeKinesisStreamingDestination": (
                lambda r: tables_misc.describe_kinesis_streaming_destination(r, context, site)
            ),
        }
        found: dict[str, Handler] = {
            "CreateTable": self.create_table,
            "UpdateTable": self.update_table,
            "DeleteTable": self.delete_table,
            "DescribeTable": self.describe_table,
            "TagResource": self.tag_resource,
            "UntagResource": self.untag_resource,
            "UpdateTimeToLive": self.update_time_to_live,
            **self._replicas.handlers(),
            **LegacyOperations(context).handlers(),
        }
        for name in tables_misc.REFUSED:
            answers[name] = lambda r: tables_misc.refuse_kinesis_streaming_destination(r, context, site)
        for name, answer in answers.items():
            found[name] = _answering(answer)
        return found

    def create_table(self, call: Call, request: Request) -> Operation:
        """CreateTable: answered once the table can be used, though its body says CREATING."""

        def plan(next_id: Callable[[], int]) -> Plan:
            return tables.create_table(
                request,
                self._context,
                self._context.site,
                now=self._context.now(),
                table_id=self._context.new_id(),
                next_partition_ids=next_id,
            )

        body = yield from self._commit(call, plan)
        yield from _settled(call.table)
        return body

    def update_table(self, call: Call, request: Request) -> Operation:
        """UpdateTable."""
        statistics = yield from self._statistics(request)
        if concerns_replicas(request):
            return (yield from self._replicas.update_table(call, request, statistics))

        def plan(next_id: Callable[[], int]) -> Plan:
            return tables.update_table(
                request,
                self._context,
                self._context.site,
                now=self._context.now(),
                next_partition_ids=next_id,
                statistics=lambda document: statistics,
            )

        return (yield from self._commit(call, plan))

    def delete_table(self, call: Call, request: Request) -> Operation:
        """DeleteTable: answered once the name is free again, though its body says DELETING."""
        statistics = yield from self._statistics(request)

        def plan(next_id: Callable[[], int]) -> Plan:
            return tables.delete_table(
                request,
                self._context,
                self._context.site,
                now=self._context.now(),
                statistics=lambda document: statistics,
            )

        name = resolve_table_name(request["TableName"], self._context.site.region, self._context.site.account)
        farewell = self._replicas.farewell(self._context.get(name))
        body = yield from self._commit(call, plan)
        if farewell is not None:
            yield farewell
        yield from _settled(call.table)
        return body

    def describe_table(self, call: Call, request: Request) -> Operation:
        """DescribeTable."""
        statistics = yield from self._statistics(request)
        answer = tables.describe_table(
            request,
            self._context,
            self._context.site,
            now=self._context.now(),
            statistics=lambda document: statistics,
        )
        return orjson.dumps(answer)

    def tag_resource(self, call: Call, request: Request) -> Operation:
        """TagResource."""
        context = self._context
        return self._commit(call, lambda _: tables_tags.tag_resource(request, context, context.site))

    def untag_resource(self, call: Call, request: Request) -> Operation:
        """UntagResource."""
        context = self._context
        return self._commit(call, lambda _: tables_tags.untag_resource(request, context, context.site))

    def update_time_to_live(self, call: Call, request: Request) -> Operation:
        """UpdateTimeToLive."""
        context = self._context

        def plan(next_id: Callable[[], int]) -> Plan:
            return tables_ttl.update_time_to_live(request, context, context.site, now=context.now())

        return self._commit(call, plan)

    def _statistics(self, request: Request) -> Any:
        """Counts and sizes of the table that a request names; none if there is no such table, or no counts."""
        name = resolve_table_name(request["TableName"], self._context.site.region, self._context.site.account)
        if self._context.get(name) is None:
            return NO_STATISTICS
        try:
            totals = yield wire.TableStatistics(name)
        except ApiError as error:
            if error.status < 500:
                raise
            return NO_STATISTICS  # a description must not fail because nobody can count for now
        items, size = totals.pop(None)
        return TableStatistics(items, size, totals)

    def _commit(self, call: Call, plan: Callable[[Callable[[], int]], Plan]) -> Operation:
        """Plan and propose until no other change comes between the two.

        Another router may be faster, then the plan is made again on what it has left. A change whose first
        attempt went through unnoticed loses against itself: it is in the view then, just as planned.
        """
        for _ in range(RACES_MAX):
            ids: list[int] = []
            first = self._context.next_partition_id()

            def next_id(ids: list[int] = ids, first: int = first) -> int:
                ids.append(first + len(ids))
                return ids[-1]

            planned = plan(next_id)
            document: TableDocument = planned.document
            call.table = document["TableName"]
            body = orjson.dumps(planned.response) if planned.response is not None else b""
            if not planned.changed:
                return body
            before = self._context.get(call.table)
            expected = (before["TableId"], before["Generation"]) if before is not None else None
            try:
                yield ChangeTable(call.table, expected, document, ids)
            except ConflictError:
                if self._context.get(call.table) != document:
                    continue
            return body
        raise internal("The table is being changed by too many at once")


def _settled(name: str) -> Operation:
    """Wait until a table can be used, or its name; the reply says CREATING or DELETING, which stays true."""
    try:
        yield WhenSettled(name)
    except ApiError as error:
        if error.status < 500:
            raise
    return b""


def _answering(answer: Callable[[Request], Any]) -> Handler:
    """An operation that needs nothing but the router's view."""

    def handle(call: Call, request: Request) -> Operation:
        return orjson.dumps(answer(request))
        yield  # makes this a generator, like every operation

    return handle
