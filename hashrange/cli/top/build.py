"""From two samples to a view: totals become rates, buckets become quantiles, processes become one picture. Pure.

Counts of a process that was started anew between the samples have nothing to be compared with: they do not count until
the next one. Tables are summed over all routers; a partition over all its replicas, as followers serve reads too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hashrange.cli.top.model import (
    WITHOUT_DATA,
    FunctionRow,
    IndexRow,
    KeyRow,
    Load,
    MappingRow,
    PartitionRow,
    ProcessRow,
    Sample,
    TableRow,
    View,
)

READS = frozenset(("GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems"))
WRITES = frozenset(("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"))
THROTTLED = frozenset(
    ("ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded")
)
CONFLICTS = frozenset(("TransactionConflictException",))
NO_TABLE = "(no one table)"
"""Requests that named several tables, or were refused before their table was known."""

SHARE_MIN = 0.01
"""Of a key's share of its partition, over all replicas: less is not hot."""

SORTS = ("requests", "p99", "throttled", "units", "size", "name")
HIDDEN = "$"
"""What the names of tables begin with that are not the user's."""


def quantile(bounds: list[float], counts: list[float], share: float) -> float | None:
    """The time below which this share of the observations lies, interpolated within its bucket; None without any."""
    total = sum(counts)
    if total <= 0:
        return None
    wanted, running, low = total * share, 0.0, 0.0
    for bound, count in zip(bounds, counts, strict=False):
        if running + count >= wanted and count > 0:
            return low + (bound - low) * (wanted - running) / count
        running += count
        low = bound
    return bounds[-1]


class _Pair:
    """The pages of one process at two moments. `seconds` lie between them; 0 when they cannot be compared."""

    def __init__(self, before: dict[str, Any] | None, after: dict[str, Any]) -> None:
        self.after = after
        self.seconds = 0.0
        self.before: dict[str, Any] = {}
        if before is not None and before["process"]["uptime_s"] <= after["process"]["uptime_s"]:
            self.seconds = after["at_s"] - before["at_s"]
            self.before = before

    def rate(self, after: float, before: float) -> float:
        """What two totals say about a second."""
        return max(0.0, after - before) / self.seconds if self.seconds > 0 else 0.0

    def rows(
        self, member: str, key: Callable[[dict[str, Any]], Any]
    ) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """The rows of a list as they are now, each with itself as it was (empty when it is new)."""
        known = {key(row): row for row in self.before.get(member, ())}
        for row in self.after.get(member, ()):
            yield row, known.get(key(row), {})


class _Latency:
    """Buckets summed over operations and routers."""

    def __init__(self) -> None:
        self.counts: list[float] = []

    def add(self, counts: list[float], before: list[float]) -> None:
        if len(self.counts) < len(counts):
            self.counts += [0.0] * (len(counts) - len(self.counts))
        for position, count in enumerate(counts):
            self.counts[position] += count - (before[position] if before else 0)

    def fill(self, load: Load, bounds: list[float]) -> None:
        load.p50_s = quantile(bounds, self.counts, 0.5)
        load.p99_s = quantile(bounds, self.counts, 0.99)


def build(before: Sample | None, after: Sample, sort: str = "requests") -> View:
    """The view of `after`, with rates since `before`; lists are sorted by one of SORTS."""
    pairs = {
        name: _Pair(before.pages.get(name) if before is not None else None, page)
        for name, page in after.pages.items()
    }
    totals = Load()
    tables = _tables(pairs, totals)
    partitions = _partitions(pairs, after)
    if not any("operations" in page for page in after.pages.values()):
        _count_at_nodes(partitions, tables, totals)
    for row in partitions:
        table = tables.get(row.table)
        if table is not None and row.index is None:
            table.partitions += 1
            table.items += row.items or 0
            table.size_bytes += row.size_bytes or 0
    for table in tables.values():
        totals.read_units += table.load.read_units
        totals.write_units += table.load.write_units
        # A refused part of a batch has a reason, but is no failed request.
        table.load.throttled = max(table.load.throttled, sum(table.reasons.values()))
    totals.throttled = sum(table.load.throttled for table in tables.values())
    view = View(
        place=after.place,
        interval_s=max((pair.seconds for pair in pairs.values()), default=0.0),
        totals=totals,
        transactions=_transactions(pairs, totals),
        processes=_processes(pairs, after, partitions),
        tables=list(tables.values()),
        partitions=partitions,
        keys=_keys(pairs),
        functions=_functions(pairs),
        uptime_s=max((page["process"]["uptime_s"] for page in after.pages.values()), default=0.0),
        left_out=sum(page.get("partitions_left_out", 0) for page in after.pages.values()),
        keys_shown=all(page.get("keys_shown", True) for page in after.pages.values()),
        note=after.note,
    )
    _sort(view, sort)
    return view


# ---- tables


def _tables(pairs: dict[str, _Pair], totals: Load) -> dict[str, TableRow]:
    tables: dict[str, TableRow] = {}
    latencies: dict[str, _Latency] = {}
    overall = _Latency()
    bounds: list[float] = []
    for pair in pairs.values():
        bounds = pair.after.get("latency_bounds", bounds)
        for entry in pair.after.get("tables", ()):
            table = tables.setdefault(entry["name"], TableRow(entry["name"]))
            table.status, table.billing = entry["status"], entry["billing"]
        for row, old in pair.rows("operations", lambda row: (row["operation"], row["table"])):
            name = row["table"] or NO_TABLE
            table = tables.setdefault(name, TableRow(name))
            _count(pair, row, old, table, totals)
            if pair.seconds:
                for latency in (latencies.setdefault(name, _Latency()), overall):
                    latency.add(row["latency"], old.get("latency", []))
        _capacity(pair, tables)
    for name, latency in latencies.items():
        latency.fill(tables[name].load, bounds)
    overall.fill(totals, bounds)
    idle = tables.get(NO_TABLE)
    if idle is not None and not idle.load.requests:
        del tables[NO_TABLE]
    return tables


def _count(pair: _Pair, row: dict[str, Any], old: dict[str, Any], table: TableRow, totals: Load) -> None:
    """Add the requests of one operation on one table, at one router."""
    errors, known = row["errors"], old.get("errors", {})
    failed = pair.rate(sum(errors.values()), sum(known.values()))
    requests = failed + pair.rate(sum(row["latency"]), sum(old.get("latency", ())))
    for load in (table.load, totals):
        load.requests += requests
        load.errors += failed
        if row["operation"] in READS:
            load.reads += requests
        elif row["operation"] in WRITES:
            load.writes += requests
        for kind, count in errors.items():
            rate = pair.rate(count, known.get(kind, 0))
            if kind in THROTTLED:
                load.throttled += rate
            elif kind in CONFLICTS:
                load.conflicts += rate
    if requests:
        table.operations[row["operation"]] = table.operations.get(row["operation"], 0.0) + requests


def _count_at_nodes(partitions: list[PartitionRow], tables: dict[str, TableRow], totals: Load) -> None:
    """Requests by what nodes served of tables: where no router is asked."""
    for row in partitions:
        if row.index is None:
            for load in (tables.setdefault(row.table, TableRow(row.table)).load, totals):
                load.reads += row.reads
                load.writes += row.writes
                load.requests += row.reads + row.writes


def _capacity(pair: _Pair, tables: dict[str, TableRow]) -> None:
    for row, old in pair.rows("capacity", lambda row: (row["table"], row["index"])):
        if row["table"].startswith(HIDDEN):
            continue
        table = tables.setdefault(row["table"], TableRow(row["table"]))
        target: TableRow | IndexRow = table
        if row["index"]:
            index = next((each for each in table.indexes if each.name == row["index"]), None)
            if index is None:
                index = IndexRow(row["index"])
                table.indexes.append(index)
            target = index
        for kind in ("read", "write"):
            units = pair.rate(row[f"{kind}_units"], old.get(f"{kind}_units", 0))
            setattr(target, f"{kind}_units", getattr(target, f"{kind}_units") + units)
            setattr(table.load, f"{kind}_units", getattr(table.load, f"{kind}_units") + units)
            # Every router knows the whole of it.
            setattr(target, f"{kind}_provisioned", row[f"{kind}_provisioned"])
    for row, old in pair.rows("throttled", lambda row: (row["table"], row["reason"])):
        found = tables.get(row["table"])
        rate = pair.rate(row["count"], old.get("count", 0))
        if found is not None and rate:
            found.reasons[row["reason"]] = found.reasons.get(row["reason"], 0.0) + rate


def _transactions(pairs: dict[str, _Pair], totals: Load) -> dict[str, float]:
    """Transactions by outcome; what was cancelled for a conflict counts as one."""
    rates: dict[str, float] = {}
    for pair in pairs.values():
        now, old = pair.after.get("transactions", {}), pair.before.get("transactions", {})
        known = {(operation, outcome): count for operation, outcome, count in old.get("outcomes", ())}
        for operation, outcome, count in now.get("outcomes", ()):
            rate = pair.rate(count, known.get((operation, outcome), 0))
            if rate:
                rates[outcome] = rates.get(outcome, 0.0) + rate
        totals.conflicts += pair.rate(now.get("conflicts", 0), old.get("conflicts", 0))
    return rates


# ---- partitions


def _partitions(pairs: dict[str, _Pair], sample: Sample) -> list[PartitionRow]:
    rows: dict[int, PartitionRow] = {}
    for entry in sample.partitions:
        if entry["id"] and not entry.get("successors"):
            rows[entry["id"]] = PartitionRow(
                entry["id"],
                entry["table"],
                entry["index"],
                entry["hash_range"],
                size_bytes=entry["size_bytes"],
            )
    for name, pair in pairs.items():
        for entry, old in pair.rows("partitions", lambda row: row["id"]):
            row = rows.get(entry["id"])
            if row is None:
                if sample.partitions and not entry["leads"]:
                    continue  # what a split has replaced, or is about to go
                row = rows[entry["id"]] = PartitionRow(
                    entry["id"], entry["table"], entry["index"], entry["hash_range"]
                )
            for member in ("reads", "writes", "read_bytes", "write_bytes"):
                rate = pair.rate(entry[member], old.get(member, 0))
                setattr(row, member, getattr(row, member) + rate)
            if entry["leads"]:
                row.leader, row.zone = name, pair.after["process"]["az"]
            if entry["leads"] or row.items is None:
                row.items, row.size_bytes = entry["items"], entry["size_bytes"]
    return [row for row in rows.values() if not row.table.startswith(HIDDEN)]


def _keys(pairs: dict[str, _Pair]) -> list[KeyRow]:
    """Hot keys of all partitions, by the requests they get; replicas of a partition are put together."""
    found: dict[tuple[int, str], KeyRow] = {}
    loads: dict[int, float] = {}
    for pair in pairs.values():
        for entry, old in pair.rows("partitions", lambda row: row["id"]):
            if entry["table"].startswith(HIDDEN):
                continue
            load = pair.rate(entry["reads"], old.get("reads", 0)) + pair.rate(
                entry["writes"], old.get("writes", 0)
            )
            loads[entry["id"]] = loads.get(entry["id"], 0.0) + load
            for hot in entry["hot_keys"]:
                name = (entry["id"], repr(hot["key"]))
                row = found.get(name)
                if row is None:
                    row = found[name] = KeyRow(
                        entry["table"], entry["index"], entry["id"], hot["key"], hot["whole"], 0.0, 0.0
                    )
                row.requests += hot["share"] * load
    for row in found.values():
        row.share = row.requests / loads[row.partition] if loads[row.partition] else 0.0
    hot = [row for row in found.values() if row.requests > 0 and row.share >= SHARE_MIN]
    return sorted(hot, key=lambda row: -row.requests)


# ---- functions


def _functions(pairs: dict[str, _Pair]) -> list[FunctionRow]:
    """Functions and what runs them, summed over pools; of ages the highest counts. In the order of their names."""
    found: dict[str, FunctionRow] = {}
    mappings: dict[str, MappingRow] = {}
    busy_ms: dict[str, float] = {}
    for pair in pairs.values():
        for now, old in pair.rows("functions", lambda row: row["name"]):
            row = found.setdefault(now["name"], FunctionRow(now["name"]))
            row.runs += pair.rate(now["invocations"], old.get("invocations", 0))
            row.errors += pair.rate(now["errors"], old.get("errors", 0))
            row.throttles += pair.rate(now["throttles"], old.get("throttles", 0))
            row.running += now["concurrent"]
            spent_ms = pair.rate(now["duration_ms"], old.get("duration_ms", 0.0))
            busy_ms[row.name] = busy_ms.get(row.name, 0.0) + spent_ms
        for now, old in pair.rows("mappings", lambda row: row["mapping"]):
            if now["mapping"] not in mappings:
                mappings[now["mapping"]] = MappingRow(now["table"])
                found.setdefault(now["function"], FunctionRow(now["function"])).mappings.append(
                    mappings[now["mapping"]]
                )
            mapping = mappings[now["mapping"]]
            for member in ("records", "retries", "dropped"):
                rate = pair.rate(now[member], old.get(member, 0))
                setattr(mapping, member, getattr(mapping, member) + rate)
            if "iterator_age_ms" in now:
                mapping.age_s = max(mapping.age_s or 0.0, now["iterator_age_ms"] / 1_000)
    for row in found.values():
        if row.runs:
            row.duration_s = busy_ms[row.name] / row.runs / 1_000
    return sorted(found.values(), key=lambda row: row.name)


# ---- processes


def _processes(pairs: dict[str, _Pair], sample: Sample, partitions: list[PartitionRow]) -> list[ProcessRow]:
    rows = []
    for process in sample.processes:
        row = ProcessRow(process["name"], process["role"], process["az"], process["state"])
        pair = pairs.get(process["name"])
        if pair is not None:
            _describe(row, pair)
        if process["role"] not in WITHOUT_DATA:
            row.leads = sum(each.leader == row.name for each in partitions)
        rows.append(row)
    return rows


def _describe(row: ProcessRow, pair: _Pair) -> None:
    """What a process tells of itself."""
    now = pair.after["process"]
    if pair.seconds:
        row.cpu = pair.rate(now["cpu_seconds"], pair.before["process"]["cpu_seconds"])
    row.memory_bytes = now["memory_bytes"]
    row.connections = now.get("connections")
    row.disk_free_bytes, row.disk_total_bytes = now.get("disk_free_bytes"), now.get("disk_total_bytes")
    if "partitions" in pair.after:
        row.partitions = pair.after.get("partitions_left_out", 0) + sum(
            not each["table"].startswith(HIDDEN) for each in pair.after["partitions"]
        )
        row.reads = row.writes = 0.0
        for entry, old in pair.rows("partitions", lambda each: each["id"]):
            row.reads += pair.rate(entry["reads"], old.get("reads", 0))
            row.writes += pair.rate(entry["writes"], old.get("writes", 0))
    if "operations" in pair.after:
        row.requests = sum(
            pair.rate(_answered(entry), _answered(old))
            for entry, old in pair.rows("operations", lambda each: (each["operation"], each["table"]))
        )
    if "syncs" in pair.after:
        latency = _Latency()
        latency.add(pair.after["syncs"], pair.before.get("syncs", []))
        row.sync_p99_s = quantile(pair.after["sync_bounds"], latency.counts, 0.99)


def _answered(row: dict[str, Any]) -> int:
    answered: int = sum(row.get("latency", ())) + sum(row.get("errors", {}).values())
    return answered


# ---- order


def _sort(view: View, sort: str) -> None:
    """Put tables and partitions in order; by name where an order has no meaning for them."""
    table_keys: dict[str, Callable[[TableRow], float]] = {
        "requests": lambda row: row.load.requests,
        "p99": lambda row: row.load.p99_s or 0.0,
        "throttled": lambda row: row.load.throttled + sum(row.reasons.values()),
        "units": lambda row: row.load.read_units + row.load.write_units,
        "size": lambda row: row.size_bytes,
    }
    partition_keys: dict[str, Callable[[PartitionRow], float]] = {
        "requests": lambda row: row.reads + row.writes,
        "p99": lambda row: row.reads + row.writes,
        "throttled": lambda row: row.reads + row.writes,
        "units": lambda row: row.read_bytes + row.write_bytes,
        "size": lambda row: row.size_bytes or 0,
    }
    view.tables.sort(key=lambda row: row.name)
    view.partitions.sort(key=lambda row: (row.table, row.index or "", row.id))
    if sort != "name":
        view.tables.sort(key=table_keys[sort], reverse=True)
        view.partitions.sort(key=partition_keys[sort], reverse=True)
