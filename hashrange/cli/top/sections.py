"""The sections of the screen: columns with headings, rows of styled cells, fitted to a width."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.text import Text

from hashrange.cli.top import figures
from hashrange.cli.top.model import WITHOUT_DATA, IndexRow, ProcessRow, TableRow, View

HEADING = "bold cyan"
ROLES = {"router": 0, "embedded": 0, "node": 1, "triggers": 2, "dax": 3}
STATE_STYLES = {
    "ready": "green",
    "starting": "yellow",
    "paused": "yellow",
    "draining": "cyan",
    "leaving": "cyan",
    "stopped": "dim",
    "down": "bold red",
    "failed": "bold red",
    "unreachable": "bold red",
}
SLOW_S = 0.1
VERY_SLOW_S = 1.0
AGE_OF_LATENCY = 50.0
"""Changes may be so much older than requests take: yellow from 5 s, red from 50 s."""
BAR_CELLS = 8
TABLE_CELLS = 16

Cell = Text | str


@dataclass
class Column:
    """One column. `rank` 0 is never left out; the highest rank goes first. `flexible` takes the room that is left."""

    heading: str
    right: bool = True
    rank: int = 0
    flexible: bool = False
    least: int = 0


@dataclass
class Section:
    """A heading and rows below it. `more` says what rows there are that find no room."""

    columns: list[Column]
    rows: list[list[Cell]] = field(default_factory=list)
    empty: str = ""
    more: str = "more"

    def lines(self, width: int, rows: int) -> list[Text]:
        """The heading and so many rows; the last one says how many more there are."""
        chosen = self._fitting(width)
        widths = self._widths(chosen)
        for position, number in enumerate(chosen):
            if self.columns[number].flexible:
                widths[position] += width - sum(widths) - 2 * (len(widths) - 1)
        lines = [self._line([Text(self.columns[n].heading, HEADING) for n in chosen], chosen, widths)]
        if not self.rows:
            return [*lines, Text(self.empty, "dim")][: rows + 2]
        shown = self.rows if len(self.rows) <= rows else self.rows[: max(0, rows - 1)]
        for row in shown:
            lines.append(self._line([_text(row[number]) for number in chosen], chosen, widths))
        if len(shown) < len(self.rows):
            lines.append(Text(f"and {len(self.rows) - len(shown)} {self.more}", "dim"))
        return lines

    def _widths(self, chosen: list[int]) -> list[int]:
        return [
            max(
                cell_len(self.columns[number].heading),
                *(cell_len(_text(row[number]).plain) for row in self.rows),
                self.columns[number].least,
            )
            for number in chosen
        ]

    def _fitting(self, width: int) -> list[int]:
        """The columns that fit; a flexible one may shrink to its least width."""
        chosen = list(range(len(self.columns)))
        while True:
            widths = self._widths(chosen)
            for position, number in enumerate(chosen):
                if self.columns[number].flexible:
                    widths[position] = min(
                        widths[position],
                        max(self.columns[number].least, cell_len(self.columns[number].heading)),
                    )
            if sum(widths) + 2 * (len(widths) - 1) <= width:
                return chosen
            last = max(chosen, key=lambda number: self.columns[number].rank)
            if not self.columns[last].rank:
                return chosen
            chosen.remove(last)

    def _line(self, cells: list[Text], chosen: list[int], widths: list[int]) -> Text:
        line = Text()
        for position, cell in enumerate(cells):
            if position:
                line.append("  ")
            copy = cell.copy()
            copy.truncate(max(1, widths[position]), overflow="ellipsis")
            pad = " " * (widths[position] - cell_len(copy.plain))
            if self.columns[chosen[position]].right:
                line.append(pad)
                line.append_text(copy)
            else:
                line.append_text(copy)
                line.append(pad)
        line.rstrip()
        return line


def _text(cell: Cell) -> Text:
    return cell if isinstance(cell, Text) else Text(cell, "dim" if cell == figures.NOTHING else "")


def latency_style(value_s: float | None) -> str:
    """Slow is yellow, very slow is red."""
    if value_s is None or value_s < SLOW_S:
        return ""
    return "yellow" if value_s < VERY_SLOW_S else "bold red"


def processes(view: View) -> Section:
    """Zones and the processes in them."""
    section = Section(
        [
            Column("zone", right=False),
            Column("process", right=False),
            Column("state", right=False),
            Column("leads"),
            Column("partitions", rank=5),
            Column("requests/s"),
            Column("reads/s", rank=1),
            Column("writes/s", rank=1),
            Column("cpu"),
            Column("memory", rank=2),
            Column("disk free", rank=2),
            Column("sync p99", rank=3),
            Column("clients", rank=4),
        ],
        empty="no processes",
        more="more processes",
    )
    zone = ""
    for row in sorted(view.processes, key=lambda each: (each.zone, ROLES.get(each.role, 2), each.name)):
        section.rows.append([row.zone if row.zone != zone else "", *_process(row)])
        zone = row.zone
    return section


def _process(row: ProcessRow) -> list[Cell]:
    cpu: Cell = figures.NOTHING
    if row.cpu is not None:
        cpu = Text(f"{row.cpu:.0%}", "yellow" if row.cpu > 0.9 else "")
    return [
        row.name,
        Text(row.state, STATE_STYLES.get(row.state, "yellow")),
        "" if row.leads is None else str(row.leads),
        "" if row.partitions is None else str(row.partitions),
        "" if row.requests is None else figures.rate(row.requests),
        "" if row.reads is None else figures.rate(row.reads),
        "" if row.writes is None else figures.rate(row.writes),
        cpu,
        figures.size(row.memory_bytes),
        _disk(row),
        "" if row.role in WITHOUT_DATA else figures.seconds(row.sync_p99_s),
        "" if row.connections is None else str(row.connections),
    ]


def _disk(row: ProcessRow) -> Cell:
    if row.role in WITHOUT_DATA:
        return ""
    if row.disk_free_bytes is None or not row.disk_total_bytes:
        return "" if row.memory_bytes is None else Text("in memory", "dim")
    free = row.disk_free_bytes / row.disk_total_bytes
    style = "bold red" if free < 0.05 else "yellow" if free < 0.15 else ""
    return Text(f"{figures.size(row.disk_free_bytes)} {free:.0%}", style)


def tables(view: View) -> Section:
    """Tables, each with its global indexes below it."""
    section = Section(
        [
            Column("table", right=False, least=12),
            Column("requests/s"),
            Column("reads/s", rank=4),
            Column("writes/s", rank=4),
            Column("p50", rank=2, least=6),
            Column("p99", least=6),
            Column("read units/s", rank=1),
            Column("write units/s", rank=1),
            Column("throttled/s"),
            Column("by", right=False, rank=8),
            Column("conflicts/s", rank=5),
            Column("errors/s", rank=6),
            Column("items", rank=7),
            Column("size", rank=3, least=6),
            Column("billing", right=False, rank=9),
            Column("busiest operation", right=False, rank=10),
        ],
        empty="no tables",
        more="more rows",
    )
    for row in view.tables:
        section.rows.append(_table(row))
        section.rows += [_index(index) for index in row.indexes]
    return section


def _table(row: TableRow) -> list[Cell]:
    load = row.load
    name = Text(row.name, "dim" if row.name.startswith(("(", "~")) else "bold")
    if row.status and row.status != "ACTIVE":
        name.append(f" {row.status}", "yellow")
    busiest = max(row.operations, key=lambda each: row.operations[each], default="")
    return [
        name,
        Text(figures.rate(load.requests), "bold" if load.requests else "dim"),
        figures.rate(load.reads),
        figures.rate(load.writes),
        figures.seconds(load.p50_s),
        Text(figures.seconds(load.p99_s), latency_style(load.p99_s) or ("" if load.p99_s else "dim")),
        _units(row.read_units, row.read_provisioned),
        _units(row.write_units, row.write_provisioned),
        _alarm(load.throttled, "bold red"),
        max(row.reasons, key=lambda each: row.reasons[each], default=""),
        _alarm(load.conflicts, "yellow"),
        _alarm(load.errors - load.throttled - load.conflicts, "yellow"),
        figures.count(row.items),
        figures.size(row.size_bytes),
        {"PROVISIONED": "provisioned", "PAY_PER_REQUEST": "on demand"}.get(row.billing, ""),
        f"{busiest} {figures.rate(row.operations[busiest])}/s" if busiest else "",
    ]


def _index(index: IndexRow) -> list[Cell]:
    cells: list[Cell] = [""] * TABLE_CELLS
    cells[0] = f"  {index.name}"
    cells[6] = _units(index.read_units, index.read_provisioned)
    cells[7] = _units(index.write_units, index.write_provisioned)
    return cells


def _units(consumed: float, provisioned: float) -> Text:
    """Consumed of provisioned: red from 95 %, yellow from 70 %."""
    style = "" if consumed else "dim"
    if provisioned:
        used = consumed / provisioned
        style = "bold red" if used >= 0.95 else "yellow" if used >= 0.7 else "green" if consumed else "dim"
    return Text(figures.units(consumed, provisioned), style)


def _alarm(rate: float, style: str) -> Text:
    shown = figures.rate(max(0.0, rate))
    return Text(shown, "dim" if shown == figures.NOTHING else style)


def functions(view: View) -> Section:
    """Functions, each with the tables whose changes run it below it."""
    section = Section(
        [
            Column("function", right=False, least=12),
            Column("runs/s"),
            Column("mean", rank=1, least=6),
            Column("running", rank=3),
            Column("errors/s"),
            Column("throttled/s", rank=4),
            Column("records/s"),
            Column("retries/s", rank=2),
            Column("dropped/s", rank=2),
            Column("iterator age"),
        ],
        more="more rows",
    )
    for row in view.functions:
        section.rows.append(
            [
                Text(row.name, "bold"),
                figures.rate(row.runs),
                figures.seconds(row.duration_s),
                str(row.running) if row.running else figures.NOTHING,
                _alarm(row.errors, "bold red"),
                _alarm(row.throttles, "bold red"),
                *("", "", "", ""),
            ]
        )
        for mapping in row.mappings:
            age = Text(figures.seconds(mapping.age_s), latency_style((mapping.age_s or 0.0) / AGE_OF_LATENCY))
            section.rows.append(
                [
                    f"  {mapping.table}",
                    *("", "", "", "", ""),
                    figures.rate(mapping.records),
                    _alarm(mapping.retries, "yellow"),
                    _alarm(mapping.dropped, "bold red"),
                    age,
                ]
            )
    return section


def partitions(view: View) -> Section:
    """Partitions, those with most requests first unless another order was asked for."""
    section = Section(
        [
            Column("partition"),
            Column("of", right=False, least=14),
            Column("hashes", right=False, rank=5),
            Column("leader", right=False),
            Column("zone", right=False, rank=3),
            Column("reads/s"),
            Column("writes/s"),
            Column("read", rank=2, least=8),
            Column("written", rank=2, least=8),
            Column("items", rank=6),
            Column("size", rank=1, least=6),
            Column("load", right=False, rank=7, least=BAR_CELLS),
        ],
        empty="no partitions",
        more="more partitions",
    )
    top = max((row.reads + row.writes for row in view.partitions), default=0.0)
    for row in view.partitions:
        load = row.reads + row.writes
        section.rows.append(
            [
                str(row.id),
                _place(row.table, row.index),
                figures.hash_range(row.hash_range),
                Text("none", "bold red") if row.leader is None else row.leader,
                row.zone,
                figures.rate(row.reads),
                figures.rate(row.writes),
                _per_s(row.read_bytes),
                _per_s(row.write_bytes),
                figures.count(row.items),
                figures.size(row.size_bytes),
                Text(figures.bar(load / top, BAR_CELLS) if top else "", "green"),
            ]
        )
    return section


def _per_s(size_bytes: float) -> str:
    return f"{figures.size(size_bytes)}/s" if size_bytes else figures.NOTHING


def _place(table: str, index: str | None) -> Text:
    return Text(table) if index is None else Text.assemble(table, ("/", "dim"), index)


def hot_keys(view: View) -> Section:
    """Keys with a large share of their partition's requests."""
    section = Section(
        [
            Column("requests/s"),
            Column("share of partition", right=False),
            Column("of", right=False, rank=1),
            Column("hot key", right=False, flexible=True, least=24),
        ],
        empty="no hot keys: no partition key has a large share of its partition's requests"
        if view.keys_shown
        else "keys are not shown: show_hot_keys is off, or the server asks for signatures",
        more="more hot keys",
    )
    section.rows.extend(_key_rows(view))
    return section


def _key_rows(view: View) -> Iterator[list[Cell]]:
    for row in view.keys:
        style = "bold red" if row.share >= 0.5 else "yellow" if row.share >= 0.2 else ""
        key = Text(figures.key(row.key))
        if not row.whole:
            key.append(" several items", "dim")
        yield [
            figures.rate(row.requests),
            Text(f"{figures.bar(row.share, BAR_CELLS):<{BAR_CELLS}} {row.share:>4.0%}", style),
            Text.assemble(f"{row.partition} ", _place(row.table, row.index)),
            key,
        ]
