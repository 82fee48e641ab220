"""The screen of `hashrange top`: a view as lines of a terminal, fitted to its width and height.

From the top: what is looked at and its totals; processes by zone; tables with the capacity of their indexes;
functions, where there are any; partitions; hot keys. Sections share the height by what they have to show; columns that
find no room are left out, the least important first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import strftime

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text

from hashrange import __version__
from hashrange.cli.top import figures, sections
from hashrange.cli.top.model import View

LEAST_ROWS = 2


@dataclass
class Screen:
    """One view on a terminal. `history` are the last totals of requests a second, the newest last."""

    view: View
    history: Sequence[float] = field(default_factory=tuple)
    sort: str = "requests"
    keys_help: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or console.size.height
        lines = self._lines(width, height)
        for number, line in enumerate(lines):
            line.truncate(width, overflow="ellipsis")
            yield from console.render(line, options.update(no_wrap=True, height=None))
            if number == height - 1:
                break
        yield Segment("")

    def _lines(self, width: int, height: int) -> list[Text]:
        view = self.view
        head = _head(view, self.history, width)
        parts = [
            sections.processes(view),
            sections.tables(view),
            sections.partitions(view),
            sections.hot_keys(view),
        ]
        if view.functions:
            parts.insert(2, sections.functions(view))
        foot = _foot(view, self.sort, self.keys_help)
        room = height - len(head) - len(foot)
        rows = _share([len(part.rows) or 1 for part in parts], room - 2 * len(parts))
        lines = head
        for part, most in zip(parts, rows, strict=True):
            lines += part.lines(width, most)
            lines.append(Text(""))
        del lines[-1]
        lines += [Text("")] * (height - len(lines) - len(foot))
        return lines[: height - len(foot)] + foot


def _share(wanted: list[int], room: int) -> list[int]:
    """Rows for each section: all it wants while there is room, and never less than a few."""
    given = [min(LEAST_ROWS, each) for each in wanted]
    left = room - sum(given)
    while left > 0:
        open_ = [number for number, each in enumerate(wanted) if given[number] < each]
        if not open_:
            break
        smallest = min(open_, key=lambda number: given[number])
        given[smallest] += 1
        left -= 1
    return given


def _head(view: View, history: Sequence[float], width: int) -> list[Text]:
    """Title, totals, and the state of the zones."""
    title = Text.assemble(("hashrange top", "bold"), "  ")
    right = Text(f"{__version__}   up {figures.duration(view.uptime_s)}   {strftime('%H:%M:%S')}", "dim")
    place = Text(view.place, "cyan")
    place.truncate(max(8, width - cell_len(title.plain) - cell_len(right.plain) - 2), overflow="ellipsis")
    title.append_text(place)
    gap = width - cell_len(title.plain) - cell_len(right.plain)
    title.append(" " * max(2, gap))
    title.append_text(right)
    return [title, *_totals(view, history, width), Text("")]


def _totals(view: View, history: Sequence[float], width: int) -> list[Text]:
    total = view.totals
    first = _labelled(
        [
            ("requests", f"{figures.rate_or_zero(total.requests)}/s", "bold"),
            ("reads", f"{figures.rate_or_zero(total.reads)}/s", ""),
            ("writes", f"{figures.rate_or_zero(total.writes)}/s", ""),
            ("p50", figures.seconds(total.p50_s), ""),
            ("p99", figures.seconds(total.p99_s), sections.latency_style(total.p99_s)),
        ]
    )
    spark = figures.sparkline(history[-(width - cell_len(first.plain) - 2) :]) if len(history) > 1 else ""
    if spark:
        first.append(" " * max(2, width - cell_len(first.plain) - len(spark)))
        first.append(spark, "green")
    others = max(0.0, total.errors - total.throttled - total.conflicts)
    done = sum(view.transactions.get(outcome, 0.0) for outcome in ("local", "spread", "replayed"))
    second = _labelled(
        [
            (
                "units",
                f"{figures.rate_or_zero(total.read_units)} read {figures.rate_or_zero(total.write_units)} write/s",
                "",
            ),
            (
                "throttled",
                f"{figures.rate_or_zero(total.throttled)}/s",
                "bold red" if total.throttled else "dim",
            ),
            (
                "conflicts",
                f"{figures.rate_or_zero(total.conflicts)}/s",
                "yellow" if total.conflicts else "dim",
            ),
            ("errors", f"{figures.rate_or_zero(others)}/s", "yellow" if others else "dim"),
            ("transactions", f"{figures.rate_or_zero(done)}/s", "" if done else "dim"),
        ]
    )
    return [first, second]


def _labelled(pairs: list[tuple[str, str, str]]) -> Text:
    text = Text()
    for label, value, style in pairs:
        text.append(label + " ", "dim")
        text.append(value, style)
        text.append("   ")
    text.rstrip()
    return text


def _foot(view: View, sort: str, keys_help: str) -> list[Text]:
    lines = []
    if view.note:
        lines.append(Text(view.note, "yellow"))
    if view.left_out:
        lines.append(Text(f"{view.left_out} partitions with the fewest requests are not shown", "yellow"))
    if keys_help:
        lines.append(Text(f"sorted by {sort}   {keys_help}", "dim"))
    return lines
