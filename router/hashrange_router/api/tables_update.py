"""UpdateTable: what the request does to the table's document.

Most settings take effect when the new document is committed; making or removing an index and switching the
stream are left to actions, and keep the table UPDATING until they are reported done. The reply shows what
the real service shows, which is the table just before the change takes effect: the old throughput with
TableStatus UPDATING, the old encryption with Status UPDATING.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from hashrange.errors import invalid_parameter, limit_exceeded, resource_not_found, validation
from hashrange.model.table_document import (
    ACTIVE,
    CREATING,
    DELETING,
    ON_DEMAND_WARM_READ,
    ON_DEMAND_WARM_WRITE,
    PAY_PER_REQUEST,
    PROVISIONED,
    UPDATING,
    TableDocument,
    decreases_today,
    find_global_index,
    is_local_index,
    revised,
    stream_enabled,
    timestamp,
    whole_range,
)
from hashrange.model.throughput import lift_warm, note_switch_to_on_demand
from hashrange_router.api.tables_describe import NO_STATISTICS, TableStatistics, describe
from hashrange_router.api.tables_index import IndexContext, new_global_index
from hashrange_router.api.tables_keys import projected_count, stored_definitions
from hashrange_router.api.tables_plan import (
    Action,
    CreateIndex,
    DeleteIndex,
    SwitchStream,
    UpdatePlan,
)
from hashrange_router.api.tables_quotas import (
    GLOBAL_INDEXES_MAX,
    PROJECTED_ATTRIBUTES_MAX,
    Quotas,
)
from hashrange_router.api.tables_settings import (
    check_encryption,
    check_encryption_changes,
    disable_stream,
    enable_stream,
    encryption_description,
    no_stream_to_disable,
    stream_already_enabled,
    stream_of_replica,
)
from hashrange_router.api.tables_throughput import (
    TABLE,
    Subject,
    change_provisioned,
    check_on_demand_mode,
    check_provisioned,
    merge_on_demand,
    raise_warm,
)
from hashrange_router.api.tables_update_rules import check_request
from hashrange_router.api.tables_update_state import check_update_admitted


def plan_update(
    document: TableDocument,
    request: Mapping[str, Any],
    *,
    now: float,
    next_partition_ids: Callable[[], int],
    region: str,
    account: str,
    statistics: TableStatistics = NO_STATISTICS,
    quotas: Quotas | None = None,
) -> UpdatePlan:
    """The plan for an UpdateTable request on a table.

    Raises ValidationException, ResourceInUseException, ResourceNotFoundException (an index) and
    LimitExceededException. `check_request` is repeated here, so it may be called with any request; the caller
    runs it before it looks the table up, because its errors come first.
    """
    check_request(request)
    check_update_admitted(document, request)
    update = _Update(document, request, now, region, account, quotas or Quotas())
    update.apply(next_partition_ids)
    return update.plan(statistics)


class _Update:
    """One request being applied: the new document, and a copy of it as the reply shows it."""

    def __init__(
        self,
        document: TableDocument,
        request: Mapping[str, Any],
        now: float,
        region: str,
        account: str,
        quotas: Quotas,
    ) -> None:
        self._old = document
        self._new = revised(document)
        self._request = request
        self._now = now
        self._region = region
        self._account = account
        self._quotas = quotas
        self._mode: str = request.get("BillingMode") or document["BillingMode"]
        self._actions: list[Action] = []
        self._patches: list[Callable[[dict[str, Any]], None]] = []

    def apply(self, next_partition_ids: Callable[[], int]) -> None:
        request = self._request
        updates = request.get("GlobalSecondaryIndexUpdates") or ()
        self._check_indexes_exist(updates)
        self._change_billing()
        self._change_on_demand()
        if request.get("WarmThroughput"):
            self._raise_warm()
        if request.get("StreamSpecification") is not None:
            self._switch_stream(request["StreamSpecification"]["StreamEnabled"])
        if request.get("SSESpecification") is not None:
            self._change_encryption(request["SSESpecification"])
        if request.get("TableClass") is not None:
            self._change_class(request["TableClass"])
        if request.get("DeletionProtectionEnabled") is not None:
            self._new["DeletionProtectionEnabled"] = request["DeletionProtectionEnabled"]
        for update in updates:
            if update.get("Update") is not None:
                self._update_index(update["Update"])
            elif update.get("Delete") is not None:
                self._delete_index(update["Delete"]["IndexName"])
            else:
                self._create_index(update["Create"], next_partition_ids)

    def plan(self, statistics: TableStatistics) -> UpdatePlan:
        changed = {**self._new, "Generation": 0} != {**self._old, "Generation": 0}
        document = self._new if changed else self._old
        description = copy.deepcopy(describe(document, statistics=statistics, now=self._now))
        for patch in self._patches:
            patch(description)
        return UpdatePlan(document, {"TableDescription": description}, tuple(self._actions), changed)

    def _show(self, **members: Any) -> None:
        """Show these members in the reply instead of the new ones; None takes one away."""

        def patch(description: dict[str, Any]) -> None:
            description.update(members)
            for name, value in members.items():
                if value is None:
                    del description[name]

        self._patches.append(patch)

    def _show_index(self, name: str, **members: Any) -> None:
        """Show these members of an index in the reply instead of the new ones."""

        def patch(description: dict[str, Any]) -> None:
            for index in description["GlobalSecondaryIndexes"]:
                if index["IndexName"] == name:
                    index.update(members)

        self._patches.append(patch)

    # Throughput of the table

    def _change_billing(self) -> None:
        provisioned = self._request.get("ProvisionedThroughput")
        old_mode = self._old["BillingMode"]
        if self._mode == PAY_PER_REQUEST:
            if provisioned is not None:
                raise invalid_parameter(
                    "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified "
                    "when BillingMode is PAY_PER_REQUEST"
                )
            if old_mode == PROVISIONED:
                self._switch_to_on_demand()
            elif self._request.get("BillingMode") is not None:
                self._show(TableStatus=UPDATING)
        elif old_mode == PAY_PER_REQUEST:
            self._switch_to_provisioned(provisioned or {})
        elif provisioned is not None:
            before = self._shown_throughput(self._old["Throughput"])
            throughput = self._new["Throughput"]
            self._change_units(TABLE, throughput, provisioned)
            lift_warm(self._new["Warm"], throughput["Read"], throughput["Write"])
            self._show(
                TableStatus=UPDATING,
                ProvisionedThroughput=self._as_shown(before, throughput),
                WarmThroughput=_shown_warm(self._old["Warm"], ACTIVE),
            )

    def _change_units(self, subject: Subject, throughput: dict[str, Any], request: Mapping[str, int]) -> None:
        change_provisioned(
            subject, throughput, request, now=self._now, quotas=self._quotas, region=self._region
        )

    def _switch_to_on_demand(self) -> None:
        new = self._new
        if self._quotas.limit_decreases:
            note_switch_to_on_demand(new, self._now)
        new["BillingMode"] = PAY_PER_REQUEST
        new["BillingModeSummary"] = {"LastUpdateToPayPerRequestDateTime": timestamp(self._now)}
        for owner in (new, *new["GlobalSecondaryIndexes"]):
            owner["Throughput"]["Read"] = owner["Throughput"]["Write"] = 0
            lift_warm(owner["Warm"], ON_DEMAND_WARM_READ, ON_DEMAND_WARM_WRITE)
        self._show(TableStatus=UPDATING, BillingModeSummary={"BillingMode": PAY_PER_REQUEST})

    def _switch_to_provisioned(self, provisioned: Mapping[str, int]) -> None:
        """Every index needs its units in the same request: nothing is estimated."""
        new = self._new
        given = {
            update["Update"]["IndexName"]: update["Update"].get("ProvisionedThroughput")
            for update in self._request.get("GlobalSecondaryIndexUpdates") or ()
            if update.get("Update") is not None
        }
        new["BillingMode"] = PROVISIONED
        self._set_units(TABLE, new, provisioned)
        for index in new["GlobalSecondaryIndexes"]:
            name = index["IndexName"]
            if given.get(name) is None:
                raise invalid_parameter(f"ProvisionedThroughput must be specified for index: {name}")
            self._set_units(Subject(name), index, given[name])
        self._show(TableStatus=UPDATING)

    def _set_units(self, subject: Subject, owner: dict[str, Any], request: Mapping[str, int]) -> None:
        read, write = request["ReadCapacityUnits"], request["WriteCapacityUnits"]
        check_provisioned(subject, read, write, self._quotas, self._region)
        owner["Throughput"]["Read"], owner["Throughput"]["Write"] = read, write
        lift_warm(owner["Warm"], read, write)
        owner.pop("OnDemand", None)

    def _shown_throughput(self, throughput: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "NumberOfDecreasesToday": decreases_today(throughput, self._now),
            "ReadCapacityUnits": throughput["Read"],
            "WriteCapacityUnits": throughput["Write"],
        }

    def _as_shown(self, before: dict[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
        """Old units with the times of the change."""
        for member, stored in (
            ("LastIncreaseDateTime", "LastIncrease"),
            ("LastDecreaseDateTime", "LastDecrease"),
        ):
            if stored in after:
                before[member] = after[stored]
        return before

    def _change_on_demand(self) -> None:
        request = self._request.get("OnDemandThroughput")
        if not request:
            return
        if self._mode == PROVISIONED:
            check_on_demand_mode(TABLE, request, creating=False)
        merged = merge_on_demand(
            TABLE, self._new.get("OnDemand"), request, self._quotas, self._region, creating=False
        )
        _store_on_demand(self._new, merged)
        self._show(OnDemandThroughput={**merged, **request})

    def _raise_warm(self) -> None:
        raise_warm(TABLE, self._new["Warm"], self._request["WarmThroughput"], self._quotas, self._region)
        self._show(WarmThroughput=_shown_warm(self._old["Warm"], UPDATING))

    # Settings

    def _switch_stream(self, enable: bool) -> None:
        new, name = self._new, self._old["TableName"]
        if enable:
            if stream_enabled(new):
                raise stream_already_enabled(name)
            enable_stream(new, self._request["StreamSpecification"]["StreamViewType"], self._now)
        else:
            if not stream_enabled(new):
                raise no_stream_to_disable(name)
            if "Replication" in new:
                raise stream_of_replica()
            disable_stream(new, self._now)
        new["StreamChanging"] = "ENABLE" if enable else "DISABLE"
        self._actions.append(SwitchStream(enable, new["LatestStreamArn"]))

    def _change_encryption(self, settings: Mapping[str, Any]) -> None:
        wanted = check_encryption(settings)
        check_encryption_changes(self._new, settings, wanted)
        if wanted:
            self._new["SSEDescription"] = encryption_description(settings, self._region, self._account)
        else:
            del self._new["SSEDescription"]
        self._show(SSEDescription={**self._old.get("SSEDescription", {}), "Status": UPDATING})

    def _change_class(self, table_class: str) -> None:
        current = self._old.get("TableClassSummary")
        if table_class != (current or {"TableClass": "STANDARD"})["TableClass"]:
            self._new["TableClassSummary"] = {
                "TableClass": table_class,
                "LastUpdateDateTime": timestamp(self._now),
            }
            self._show(TableClassSummary=current)
        self._show(TableStatus=UPDATING)

    # Indexes

    def _check_indexes_exist(self, updates: Any) -> None:
        for update in updates:
            kind = next(k for k, v in update.items() if v is not None)
            name = update[kind]["IndexName"]
            local = is_local_index(self._old, name)
            if kind == "Create":
                if local or find_global_index(self._old, name) is not None:
                    raise validation("Attempting to create an index which already exists")
            elif local:
                verb = "delete" if kind == "Delete" else "update"
                raise validation(f"Cannot {verb} an index that is not a GlobalSecondaryIndex: {name}")
            elif find_global_index(self._old, name) is None:
                raise resource_not_found(
                    f"Requested resource not found: Index {name} for table {self._old['TableName']}"
                )

    def _update_index(self, request: Mapping[str, Any]) -> None:
        name = request["IndexName"]
        subject = Subject(name)
        index = find_global_index(self._new, name)
        old = find_global_index(self._old, name)
        assert index is not None and old is not None, "existence was checked"
        if self._mode != self._old["BillingMode"] and self._mode == PROVISIONED:
            self._show_index(name, IndexStatus=UPDATING)
            return
        provisioned = request.get("ProvisionedThroughput")
        on_demand, warm = request.get("OnDemandThroughput"), request.get("WarmThroughput")
        if self._mode == PAY_PER_REQUEST:
            if provisioned is not None or not (on_demand or warm):
                raise invalid_parameter(
                    f"The only Updates for index: {name} when TableThroughputMode is PAY_PER_REQUEST "
                    "can be to OnDemandThroughput, WarmThroughput"
                )
        elif on_demand:
            check_on_demand_mode(subject, on_demand, creating=False)
        elif provisioned is None and not warm:
            raise invalid_parameter(f"ProvisionedThroughput must be specified for index: {name}")
        if provisioned is not None:
            before = self._shown_throughput(old["Throughput"])
            self._change_units(subject, index["Throughput"], provisioned)
            lift_warm(index["Warm"], index["Throughput"]["Read"], index["Throughput"]["Write"])
            self._show_index(
                name,
                IndexStatus=UPDATING,
                ProvisionedThroughput=self._as_shown(before, index["Throughput"]),
                WarmThroughput=_shown_warm(old["Warm"], ACTIVE),
            )
        if on_demand:
            merged = merge_on_demand(
                subject, index.get("OnDemand"), on_demand, self._quotas, self._region, creating=False
            )
            _store_on_demand(index, merged)
            self._show_index(name, IndexStatus=UPDATING, OnDemandThroughput={**merged, **on_demand})
        if warm:
            raise_warm(subject, index["Warm"], warm, self._quotas, self._region)
            self._show_index(name, WarmThroughput=_shown_warm(old["Warm"], UPDATING))

    def _create_index(self, request: Mapping[str, Any], next_partition_ids: Callable[[], int]) -> None:
        new = self._new
        if len(new["GlobalSecondaryIndexes"]) >= GLOBAL_INDEXES_MAX:
            raise limit_exceeded(
                "Subscriber limit exceeded: Number of global secondary indexes exceeds per-table limit of "
                f"{GLOBAL_INDEXES_MAX}"
            )
        indexes = [*new["LocalSecondaryIndexes"], *new["GlobalSecondaryIndexes"], request]
        if projected_count(indexes) > PROJECTED_ATTRIBUTES_MAX:
            raise limit_exceeded(
                "Subscriber limit exceeded: Number of attributes projected into all of the secondary indexes "
                f"exceeds the limit of {PROJECTED_ATTRIBUTES_MAX}"
            )
        self._add_definitions(request)
        context = IndexContext(self._mode, self._quotas, self._region, creating=False)
        index = new_global_index(request, context)
        index["Backfilling"] = True
        index["Partitions"] = whole_range(next_partition_ids())
        new["GlobalSecondaryIndexes"].append(index)
        self._actions.append(CreateIndex(request["IndexName"]))

    def _add_definitions(self, index: Mapping[str, Any]) -> None:
        """Take over the definitions of the new index's key; all others in the request say nothing."""
        new = self._new
        known = {d["AttributeName"]: d["AttributeType"] for d in new["AttributeDefinitions"]}
        given = {d["AttributeName"]: d["AttributeType"] for d in self._request["AttributeDefinitions"]}
        for element in index["KeySchema"]:
            name = element["AttributeName"]
            if known.setdefault(name, given[name]) != given[name]:
                raise invalid_parameter(
                    f"Attribute {name} is defined as {given[name]}, but the table uses it as {known[name]}"
                )
        new["AttributeDefinitions"] = stored_definitions(
            {"AttributeName": name, "AttributeType": kind} for name, kind in known.items()
        )

    def _delete_index(self, name: str) -> None:
        index = find_global_index(self._new, name)
        assert index is not None and index["Status"] in (ACTIVE, CREATING), "existence and state were checked"
        index["Status"] = DELETING
        index.pop("Backfilling", None)
        self._actions.append(DeleteIndex(name))


def _store_on_demand(owner: dict[str, Any], maxima: dict[str, int]) -> None:
    if maxima:
        owner["OnDemand"] = maxima
    else:
        owner.pop("OnDemand", None)


def _shown_warm(warm: Mapping[str, Any], status: str) -> dict[str, Any]:
    return {"ReadUnitsPerSecond": warm["Read"], "WriteUnitsPerSecond": warm["Write"], "Status": status}
