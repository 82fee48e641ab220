"""`hashrange top`: rates from two samples, figures, and a screen that fits whatever terminal it gets."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner

from hashrange.cli.admin import AdminPort
from hashrange.cli.cluster.ask import AskError
from hashrange.cli.main import app
from hashrange.cli.top import figures
from hashrange.cli.top.build import NO_TABLE, SORTS, build, quantile
from hashrange.cli.top.model import Sample, View
from hashrange.cli.top.page import FORMAT
from hashrange.cli.top.screen import Screen
from hashrange.cli.top.sources import find

BOUNDS = [0.001, 0.01, 0.1]


def router(at_s: float, number: int = 1, **members: Any) -> dict[str, Any]:
    """The page of a router."""
    return page("router", number, at_s, {"latency_bounds": BOUNDS, "operations": [], **members})


def node(at_s: float, number: int = 1, **members: Any) -> dict[str, Any]:
    """The page of a node."""
    return page("node", number, at_s, {"partitions": [], "partitions_left_out": 0, **members})


def page(role: str, number: int, at_s: float, members: dict[str, Any]) -> dict[str, Any]:
    process = {
        "role": role, "id": number, "az": f"az{number}", "version": "1", "state": "ready", "uptime_s": at_s,
        "cpu_seconds": at_s / 4, "memory_bytes": 50_000_000, **members.pop("process", {}),
    }  # fmt: skip
    return {"format": FORMAT, "at_s": at_s, "process": process, **members}


def operation(name: str, table: str, latency: list[int], **errors: int) -> dict[str, Any]:
    return {"operation": name, "table": table, "latency": latency, "errors": errors}


def partition(number: int, table: str = "t", **members: Any) -> dict[str, Any]:
    return {
        "id": number, "table": table, "index": None, "hash_range": [0, 2**64 - 1], "leads": True, "reads": 0,
        "writes": 0, "read_bytes": 0, "write_bytes": 0, "items": 7, "size_bytes": 700, "hot_keys": [], **members,
    }  # fmt: skip


def sample(*pages: dict[str, Any], **more: Any) -> Sample:
    rows = [
        {
            "name": f"{each['process']['role']}-{each['process']['id']}",
            **{k: each["process"][k] for k in ("role", "id", "az", "state")},
        }
        for each in pages
    ]
    return Sample("here", {row["name"]: each for row, each in zip(rows, pages, strict=True)}, rows, **more)


# ---- the view


def test_totals_become_rates_over_all_routers() -> None:
    before = sample(
        router(10, 1, operations=[operation("GetItem", "t", [4, 0, 0, 0])]),
        router(20, 2, operations=[operation("GetItem", "t", [100, 0, 0, 0])]),
    )
    after = sample(
        router(12, 1, operations=[operation("GetItem", "t", [24, 0, 0, 0])]),
        router(
            22,
            2,
            operations=[operation("GetItem", "t", [110, 0, 0, 0]), operation("PutItem", "t", [0, 2, 0, 0])],
        ),
    )
    view = build(before, after)
    [row] = view.tables
    assert (row.load.requests, row.load.reads, row.load.writes) == (16, 15, 1)
    assert row.operations == {"GetItem": 15, "PutItem": 1}
    assert view.totals.requests == 16
    assert view.interval_s == 2
    assert [each.requests for each in view.processes] == [10, 6]
    assert [each.cpu for each in view.processes] == [0.25, 0.25]


def test_errors_throttles_and_conflicts_are_told_apart() -> None:
    failing = operation(
        "PutItem", "t", [0, 0, 0, 0],
        ConditionalCheckFailedException=4, ProvisionedThroughputExceededException=6, TransactionConflictException=2,
    )  # fmt: skip
    refused = operation("Unknown", "", [0, 0, 0, 0], ValidationException=8)
    throttled = [{"table": "t", "reason": "TableWriteProvisionedThroughputExceeded", "count": 10}]
    transactions = {"outcomes": [["TransactWriteItems", "local", 6]], "conflicts": 2}
    after = router(12, operations=[failing, refused], throttled=throttled, transactions=transactions)
    view = build(sample(router(10)), sample(after))
    rows = {row.name: row for row in view.tables}
    load = rows["t"].load
    assert (load.requests, load.errors, load.conflicts) == (6, 6, 1)
    assert load.throttled == 5, "parts of batches are counted by reason alone"
    assert rows["t"].reasons == {"TableWriteProvisionedThroughputExceeded": 5}
    assert rows[NO_TABLE].load.errors == 4
    assert view.totals.conflicts == 2
    assert view.transactions == {"local": 3}


def test_functions_and_their_triggers_are_summed_over_pools() -> None:
    def pool(at_s: float, number: int, runs: int, records: int, age_ms: float) -> dict[str, Any]:
        function = {"name": "f", "invocations": runs, "errors": runs // 10, "throttles": 0, "concurrent": 1}
        mapping = {"mapping": "m", "function": "f", "table": "orders", "records": records, "retries": 0}
        mapping |= {"dropped": records // 100, "filtered": 0, "iterator_age_ms": age_ms}
        functions = [{**function, "duration_ms": runs * 5.0}]
        return page("triggers", number, at_s, {"functions": functions, "mappings": [mapping]})

    before = sample(pool(10, 1, 0, 0, 1), pool(10, 2, 0, 0, 1))
    view = build(before, sample(pool(12, 1, 20, 200, 900), pool(12, 2, 40, 0, 50)))
    [row] = view.functions
    assert (row.name, row.runs, row.errors, row.running, row.duration_s) == ("f", 30, 3, 2, 0.005)
    [mapping] = row.mappings
    assert (mapping.table, mapping.records, mapping.dropped, mapping.age_s) == ("orders", 100, 1, 0.9)
    shown = "\n".join(drawn(view, 120, 40))
    assert "iterator age" in shown
    assert "900 ms" in shown
    assert "iterator age" not in "\n".join(drawn(crowded(), 120, 60))


def test_capacity_of_tables_and_indexes() -> None:
    def entry(index: str, read: float, write: float) -> dict[str, Any]:
        return {
            "table": "t", "index": index, "read_units": read, "write_units": write,
            "read_provisioned": 50, "write_provisioned": 20,
        }  # fmt: skip

    before = sample(router(10, 1, capacity=[entry("", 100, 0)]), router(10, 2, capacity=[entry("", 0, 0)]))
    after = sample(
        router(12, 1, capacity=[entry("", 140, 4), entry("g", 0, 6)]),
        router(12, 2, capacity=[entry("", 10, 0)]),
    )
    [row] = build(before, after).tables
    assert (row.read_units, row.write_units, row.read_provisioned, row.write_provisioned) == (25, 2, 50, 20)
    [index] = row.indexes
    assert (index.name, index.write_units) == ("g", 3)
    assert (row.load.read_units, row.load.write_units) == (25, 5)


def test_a_process_that_was_started_anew_does_not_count_until_the_next_look() -> None:
    before = sample(router(100, operations=[operation("GetItem", "t", [500, 0, 0, 0])]))
    restarted = router(100.5, operations=[operation("GetItem", "t", [3, 0, 0, 0])])
    restarted["process"]["uptime_s"] = 0.5
    view = build(before, sample(restarted))
    assert (view.totals.requests, view.interval_s, view.processes[0].cpu) == (0, 0, None)
    assert build(None, sample(restarted)).totals.requests == 0


def test_a_partition_is_the_sum_of_its_replicas_and_belongs_to_its_leader() -> None:
    before = sample(
        node(10, 1, partitions=[partition(5)]), node(10, 2, partitions=[partition(5, leads=False)])
    )
    hot = [{"key": {"p": {"S": "a"}}, "whole": True, "share": 0.5}]
    leader = partition(5, reads=20, writes=10, write_bytes=5_000, hot_keys=hot)
    follower = partition(5, leads=False, reads=10, read_bytes=2_000, size_bytes=600, hot_keys=hot)
    view = build(before, sample(node(12, 1, partitions=[follower]), node(12, 2, partitions=[leader])))
    [row] = view.partitions
    assert (row.leader, row.zone, row.reads, row.writes) == ("node-2", "az2", 15, 5)
    assert (row.read_bytes, row.write_bytes, row.size_bytes) == (1_000, 2_500, 700)
    [key] = view.keys
    assert (key.key, key.share, key.requests) == ({"p": {"S": "a"}}, 0.5, 10)
    assert [each.leads for each in view.processes] == [0, 1]
    [table] = view.tables
    assert (table.name, table.load.reads, table.load.writes) == ("t", 15, 5), "where no router is asked"


def test_what_the_control_plane_says_of_partitions_counts() -> None:
    def placed(number: int, **more: Any) -> dict[str, Any]:
        return {"id": number, "table": "t", "index": None, "hash_range": [0, 9], "size_bytes": 1, **more}

    view = build(
        None,
        sample(
            node(10, partitions=[partition(3), partition(9, leads=False), partition(4, "$transactions")]),
            partitions=[placed(0), placed(2), placed(3), placed(8, successors=[2, 3])],
            note="slow",
        ),
    )
    assert [(row.id, row.leader) for row in view.partitions] == [(2, None), (3, "node-1")]
    assert view.processes[0].partitions == 2
    assert view.note == "slow"


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("requests", "bca"),
        ("p99", "cba"),
        ("throttled", "abc"),
        ("units", "cab"),
        ("size", "bac"),
        ("name", "abc"),
    ],
)
def test_orders(sort: str, order: str) -> None:
    def capacity(table: str, units: float) -> dict[str, Any]:
        return {
            "table": table, "index": "", "read_units": units, "write_units": 0,
            "read_provisioned": 0, "write_provisioned": 0,
        }  # fmt: skip

    after = router(
        11,
        operations=[
            operation("GetItem", "a", [1, 0, 0, 0], ThrottlingException=1),
            operation("GetItem", "b", [0, 9, 0, 0]),
            operation("GetItem", "c", [0, 0, 5, 0]),
        ],
        capacity=[capacity("a", 5), capacity("b", 1), capacity("c", 9)],
    )
    sizes = [
        partition(n, name, size_bytes=size)
        for n, (name, size) in enumerate((("a", 5), ("b", 9), ("c", 1)), 1)
    ]
    view = build(sample(router(10), node(10)), sample(after, node(11, partitions=sizes)), sort)
    assert "".join(row.name for row in view.tables) == order
    if sort in ("size", "name"):
        assert "".join(row.table for row in view.partitions) == order


def test_quantiles_are_interpolated() -> None:
    assert quantile(BOUNDS, [0, 0, 0, 0], 0.5) is None
    assert quantile(BOUNDS, [10, 0, 0, 0], 0.5) == pytest.approx(0.0005)
    assert quantile(BOUNDS, [0, 10, 0, 0], 1.0) == pytest.approx(0.01)
    assert quantile(BOUNDS, [90, 10, 0, 0], 0.95) == pytest.approx(0.0055)
    assert quantile(BOUNDS, [0, 0, 0, 3], 0.5) == 0.1, "beyond the last bound"


# ---- figures


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (figures.rate(0), "·"), (figures.rate(None), "·"), (figures.rate(0.01), "<0.1"), (figures.rate(9.96), "10"),
        (figures.rate(12_345.6), "12,346"), (figures.seconds(0.000_085), "85 µs"), (figures.seconds(0.0012), "1.2 ms"),
        (figures.seconds(0.34), "340 ms"), (figures.seconds(2.14), "2.1 s"), (figures.seconds(None), "·"),
        (figures.size(840), "840 B"), (figures.size(999_600), "1.0 MB"), (figures.size(3_400_000_000), "3.4 GB"),
        (figures.count(9_999), "9,999"), (figures.count(12_340), "12.3 k"), (figures.count(4_000_000), "4.0 M"),
        (figures.units(37, 50), "37/50"), (figures.units(0, 50), "0/50"), (figures.units(37, 0), "37"),
        (figures.duration(42), "42 s"), (figures.duration(3 * 3600 + 1200), "3 h 20 min"),
        (figures.duration(300_000), "3 d 11 h"), (figures.bar(1.0, 4), "████"), (figures.bar(0.5, 3), "█▌"),
        (figures.sparkline([0, 5, 10]), "▁▄█"), (figures.sparkline([0, 0]), "▁▁"),
        (figures.hash_range([0, 2**64 - 1]), "all"), (figures.hash_range([2**63, 2**64 - 1]), "8000-ffff"),
        (figures.key({"p": {"S": "a\x1b[2J\n"}}), '{"p":{"S":"a\\u001b[2J\\n"}}'),
    ],
)  # fmt: skip
def test_figures(text: str, expected: str) -> None:
    assert text == expected


# ---- the screen


def crowded() -> View:
    """A view with more of everything than fits."""
    hot = [
        {"key": {"p": {"S": "[red]" + "名前" * 40}}, "whole": False, "share": 0.7},
        {"key": {"p": {"S": "x"}}, "whole": True, "share": 0.2},
    ]
    names = [f"table-{number}-with-a-rather-long-name" for number in range(30)]
    before = sample(router(10), *(node(10, number) for number in range(1, 10)), note="something is slow")
    after = sample(
        router(
            11,
            operations=[operation("PutItem", name, [5, 3, 1, 1], ThrottlingException=2) for name in names],
            throttled=[{"table": names[0], "reason": "TableWriteKeyRangeThroughputExceeded", "count": 2}],
            tables=[
                {"name": name, "status": "UPDATING", "billing": "PROVISIONED", "indexes": []}
                for name in names
            ],
            process={"connections": 3},
        ),
        *(
            node(
                11,
                number,
                partitions=[
                    partition(100 * number + n, name, reads=10_000 * n, writes=5, hot_keys=hot)
                    for n, name in enumerate(names)
                ],
                process={"disk_free_bytes": 10**9, "disk_total_bytes": 10**12},
            )
            for number in range(1, 10)
        ),
        note="something is slow",
    )
    return build(before, after)


def drawn(view: View, width: int, height: int) -> list[str]:
    """The lines of a screen, without styles."""
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=False)
    console.print(Screen(view, history=[1.0, 5.0, 3.0], keys_help="q: quit"))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().rstrip("\n").split("\n")


@pytest.mark.parametrize(
    ("width", "height"), [(100, 30), (160, 50), (80, 24), (300, 100), (40, 12), (100, 8)]
)
def test_the_screen_fits(width: int, height: int) -> None:
    for view in (crowded(), build(None, sample(router(1))), build(None, Sample("", {}, []))):
        lines = drawn(view, width, height)
        assert len(lines) <= height
        assert max(map(cell_len, lines)) <= width


def test_the_screen_shows_what_matters_first() -> None:
    lines = drawn(crowded(), 100, 40)
    text = "\n".join(lines)
    assert "hashrange top  here" in lines[0]
    for heading in ("zone", "table", "partition", "hot key"):
        assert any(heading in line for line in lines)
    assert "something is slow" in lines[-2]
    assert "q: quit" in lines[-1]
    assert "more partitions" in text
    assert "p99" in text
    wide = "\n".join(drawn(crowded(), 220, 60))
    assert "TableWriteKeyRangeThroughputExceeded" in wide
    assert "[red]名前" in wide, "keys are no markup"


def test_an_empty_server_says_so() -> None:
    text = "\n".join(drawn(build(None, sample(router(1))), 100, 30))
    assert "no tables" in text
    assert "no hot keys" in text
    assert "keys are not shown" in "\n".join(drawn(build(None, sample(node(1, keys_shown=False))), 100, 30))


def test_a_view_is_a_document() -> None:
    document = orjson.loads(orjson.dumps(crowded().to_json()))
    assert document["tables"][0]["load"]["requests"] == 12
    assert {"place", "totals", "processes", "tables", "partitions", "keys", "interval_s"} <= set(document)


# ---- where it looks


def looking(answer: dict[str, Any], scenario: Callable[[str], Awaitable[None]]) -> None:
    """Run a scenario against an admin port with this page, given its URL."""

    async def main() -> None:
        view: dict[str, Any] = {"nodes": [], "partitions": []}
        port = AdminPort(
            lambda: "", lambda: b"", lambda message, done: done(view), None, lambda: orjson.dumps(answer)
        )
        await port.listen("127.0.0.1", 0)
        try:
            await scenario(f"http://127.0.0.1:{port.port}")
        finally:
            await port.close()

    asyncio.run(main())


def test_an_admin_port_is_found() -> None:
    async def scenario(url: str) -> None:
        take = await find([url], None)
        found = await take()
        assert [row["name"] for row in found.processes] == ["router-4"]
        assert found.note == ""

    looking(router(5, 4), scenario)


@pytest.mark.parametrize(
    ("answer", "words"), [({}, "another version"), ({"format": FORMAT + 1, "process": {}}, "another version")]
)
def test_a_page_of_another_version_is_refused(answer: dict[str, Any], words: str) -> None:
    async def scenario(url: str) -> None:
        with pytest.raises(AskError, match=words):
            await find([url], None)

    looking(answer, scenario)


def test_mistakes_are_explained(tmp_path: Any) -> None:
    runner = CliRunner()
    nobody = runner.invoke(app, ["top", "--endpoint", "http://127.0.0.1:1", "--once"])
    assert nobody.exit_code == 1
    assert "hashrange serve" in nobody.output
    assert "no http URL" in runner.invoke(app, ["top", "--endpoint", "nonsense", "--once"]).output
    empty = runner.invoke(app, ["top", "--data-dir", str(tmp_path), "--once"])
    assert (empty.exit_code, "there is no cluster in" in empty.output) == (1, True)
    assert runner.invoke(app, ["top", "--sort", "colour"]).exit_code == 2
    assert all(order in runner.invoke(app, ["top", "--help"]).output for order in SORTS)
