"""Whether transactions on lists could have been carried out one at a time, in an order that keeps to real time.

The method is that of Elle (Kingsbury and Alvaro, 2020). The longest list read of each key is the order of its
appends; every other list must be a beginning of it. From that follows who came before whom (`cycles`): an order in
which all could have been carried out exists only if these dependencies, together with the order of real time, have
no cycle. Besides, no list may show what was refused, what nobody appended, a value twice, or the first part of what a
transaction appended to a key; and no append that was acknowledged may be missing from a list read later.

A transaction whose outcome is unknown counts as done if anybody has seen one of its appends, else as not done.

A GetItem (`Transaction.lone`) is no transaction: it shows what is committed at its own item, while a transaction that
was seen elsewhere is still being finished there. It keeps to real time with everything that concerns its key, and is
serializable with all the rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.cluster.histories.cycles import NAMES, RT, RW, THROUGH, WR, WW, Cycle, Graph, cycles_of
from tests.cluster.histories.lists import OK, REFUSED, Transaction, Value

G0 = "G0"
G1A = "G1a"
G1B = "G1b"
G1C = "G1c"
G_SINGLE = "G-single"
G2 = "G2"
LOST_UPDATE = "lost update"
FRACTURED_READ = "fractured read"
STALE_READ = "stale read"
REAL_TIME = "real time"
DUPLICATE = "duplicate append"
LOST_APPEND = "lost append"
INCOMPATIBLE = "incompatible orders"
INVENTED = "invented value"

MEANING = {
    G0: "transactions appended to each other's keys in different orders",
    G1A: "a list shows what was refused",
    G1B: "a list shows the first part of what a transaction appended to it",
    G1C: "transactions saw each other's appends",
    G_SINGLE: "a transaction saw one append of others, but not an earlier one (read skew)",
    G2: "transactions did not see each other's appends (write skew)",
    LOST_UPDATE: "a transaction appended to a list other than the one it had read",
    FRACTURED_READ: "a transaction was seen in one key and not in another",
    STALE_READ: "a list lacks what had been appended before it was asked for",
    REAL_TIME: "transactions took effect in another order than they were carried out in",
    DUPLICATE: "a list shows a value twice",
    LOST_APPEND: "an acknowledged append is missing from a list that was asked for later",
    INCOMPATIBLE: "two lists of a key show different orders",
    INVENTED: "a list shows what nobody appended",
}


@dataclass
class Finding:
    """What is wrong: the kind, the transactions that show it, and what joins them."""

    kind: str
    transactions: list[Transaction]
    why: str
    key: str = ""

    def text(self) -> str:
        """Several lines for people."""
        lines = [f"{self.kind}: {MEANING[self.kind]}: {self.why}"]
        first = min(each.start for each in self.transactions)
        for each in self.transactions:
            end = "?" if each.end == math.inf else f"{(each.end - first) * 1000:.1f}"
            span = f"{(each.start - first) * 1000:.1f} .. {end} ms"
            lines.append(f"  T{each.id} (client {each.process}, {span}): {each.text()}")
        return "\n".join(lines)


@dataclass
class _Key:
    """What is known of one key. `order` is the longest list that was read."""

    name: str
    order: list[Value] = field(default_factory=list)
    shown_by: Transaction | None = None
    reads: list[Transaction] = field(default_factory=list)
    unseen: list[Transaction] = field(default_factory=list)
    """Transactions that were done, and whose append to this key is in no list."""


class ListCheck:
    """One check. `findings` is empty when the history can be explained."""

    def __init__(self, transactions: Sequence[Transaction]) -> None:
        self.findings: list[Finding] = []
        self._all = transactions
        self._keys: dict[str, _Key] = {}
        self._writers: dict[tuple[str, Value], Transaction] = {}
        self._number = {each.id: number for number, each in enumerate(transactions)}
        self._done: set[int] = set()

    def run(self) -> list[Finding]:
        """Look at everything; what is found, the plainest first."""
        self._collect()
        for key in self._keys.values():
            self._look_at_lists(key)
        self._find_unseen()
        for key in self._keys.values():
            self._look_for_lost(key)
        for cycle in cycles_of(self._graph()):
            self.findings.append(self._name(cycle))
        return self.findings

    # What was seen

    def _key(self, name: str) -> _Key:
        found = self._keys.get(name)
        if found is None:
            found = self._keys[name] = _Key(name)
        return found

    def _collect(self) -> None:
        for each in self._all:
            for key, value in each.appends():
                if self._writers.setdefault((key, value), each) is not each:
                    raise ValueError(f"{value} is appended to {key} by two transactions")
                self._key(key)
            if each.outcome == OK:
                self._done.add(each.id)
                for name, values in each.lists.items():
                    key_ = self._key(name)
                    key_.reads.append(each)
                    if len(values) > len(key_.order):
                        key_.order, key_.shown_by = values, each

    def _look_at_lists(self, key: _Key) -> None:
        order, name, longest = key.order, key.name, key.shown_by
        if longest is None:
            return
        if len(set(order)) < len(order):
            twice = next(value for place, value in enumerate(order) if value in order[:place])
            self._add(DUPLICATE, [longest], f"{twice} in {name}", name)
            key.order = order = list(dict.fromkeys(order))
        for value in order:
            writer = self._writers.get((name, value))
            if writer is None:
                self._add(INVENTED, [longest], f"{value} in {name}", name)
            elif writer.outcome == REFUSED:
                self._add(G1A, [writer, longest], f"{value} in {name}", name)
            else:
                self._done.add(writer.id)
        kept = []
        for reader in key.reads:
            values = reader.lists[name]
            if reader is not longest and values != order[: len(values)]:
                if len(set(values)) < len(values):
                    self._add(DUPLICATE, [reader], f"in {name}", name)
                else:
                    self._add(INCOMPATIBLE, [reader, longest], f"of {name}", name)
                continue
            kept.append(reader)
            self._look_for_parts(key, reader, values)
        key.reads = kept

    def _look_for_parts(self, key: _Key, reader: Transaction, values: list[Value]) -> None:
        if not values:
            return
        writer = self._writers.get((key.name, values[-1]))
        if writer is None or writer is reader or len(writer.ops) == 1:
            return
        mine = [value for name, value in writer.appends() if name == key.name]
        if mine[-1] != values[-1]:
            self._add(G1B, [writer, reader], f"{values[-1]} without {mine[-1]} in {key.name}", key.name)

    def _find_unseen(self) -> None:
        """Appends of done transactions that are in no list come behind all that are."""
        seen = {name: set(key.order) for name, key in self._keys.items()}
        for each in self._all:
            if each.id in self._done:
                for name, value in each.appends():
                    if value not in seen[name]:
                        self._keys[name].unseen.append(each)

    def _look_for_lost(self, key: _Key) -> None:
        """Whoever was acknowledged must be in every list asked for later."""
        if not key.unseen or not key.reads:
            return
        last = max(key.reads, key=lambda each: each.start)
        for writer in dict.fromkeys(key.unseen):
            if writer.end < last.start:
                self._add(LOST_APPEND, [writer, last], f"to {key.name}", key.name)

    def _add(self, kind: str, transactions: list[Transaction], why: str, key: str) -> None:
        self.findings.append(Finding(kind, transactions, why, key))

    # Who came before whom

    def _graph(self) -> Graph:
        graph = Graph(len(self._all))
        lost = {(each.key, each.transactions[0].id) for each in self.findings if each.kind == LOST_APPEND}
        for key in self._keys.values():
            self._add_key(graph, key, lost)
        self._add_real_time(graph)
        return graph

    def _add_key(self, graph: Graph, key: _Key, lost: set[tuple[str, int]]) -> None:
        number, name = self._number, key.name
        found = [self._writers.get((name, value)) for value in key.order]
        writers = [number[each.id] if each is not None else -1 for each in found]
        unseen = [number[each.id] for each in key.unseen if (name, each.id) not in lost]
        place_of = {value: place for place, value in enumerate(key.order)}
        end = graph.node() if unseen else -1
        for before, after in pairwise(writers):
            if before >= 0 <= after:
                graph.edge(before, after, WW)
        if unseen and writers and writers[-1] >= 0:
            graph.edge(writers[-1], end, WW)
        for each in unseen:
            graph.edge(end, each, THROUGH)
        for reader in key.reads:
            values = reader.lists[name]
            me = number[reader.id]
            place = place_of[values[-1]] if values else -1
            if place >= 0 and writers[place] >= 0:
                graph.edge(writers[place], me, WR)
            if place + 1 < len(writers):
                if writers[place + 1] >= 0:
                    graph.edge(me, writers[place + 1], RW)
            elif unseen and me not in unseen:
                graph.edge(me, end, RW)

    def _add_real_time(self, graph: Graph) -> None:
        """The order of real time: of all transactions and, key by key, of lone reads too."""
        done = [each for each in self._all if each.id in self._done]
        self._add_instants(graph, [each for each in done if not each.lone])
        keys: dict[str, list[Transaction]] = {key: [] for each in done if each.lone for key in each.lists}
        for each in done:
            for key in {key for _, key, _ in each.ops} & keys.keys():
                keys[key].append(each)
        for found in keys.values():
            self._add_instants(graph, found)

    def _add_instants(self, graph: Graph, transactions: Sequence[Transaction]) -> None:
        """One node an instant at which transactions have ended: whoever begins later comes after all of them."""
        events: list[tuple[float, int, int]] = []
        for each in transactions:
            number = self._number[each.id]
            events.append((each.start, 0, number))
            if each.outcome == OK:
                events.append((each.end, 1, number))
        events.sort()
        latest, ended = -1, []
        for _, ends, number in events:
            if ends:
                ended.append(number)
                continue
            if ended:
                instant = graph.node()
                if latest >= 0:
                    graph.edge(latest, instant, RT)
                for each_ended in ended:
                    graph.edge(each_ended, instant, RT)
                latest, ended = instant, []
            if latest >= 0:
                graph.edge(latest, number, RT)

    # What it is called

    def _name(self, cycle: Cycle) -> Finding:
        involved = [self._all[node] for node in cycle.nodes]
        parts = []
        for place, (node, kind) in enumerate(zip(cycle.nodes, cycle.kinds, strict=True)):
            after = cycle.nodes[(place + 1) % len(cycle.nodes)]
            key = self._joined_by(node, after, kind)
            parts.append(f"T{self._all[node].id} -{NAMES[kind]}{' ' + key if key else ''}-> ")
        return Finding(self._kind_of(cycle), involved, "".join(parts) + f"T{involved[0].id}")

    def _kind_of(self, cycle: Cycle) -> str:
        kinds = cycle.kinds
        missed = kinds.count(RW)
        if RT in kinds:
            return STALE_READ if missed == 1 else REAL_TIME
        if missed == 0:
            return G1C if WR in kinds else G0
        if missed > 1:
            return G2
        if len(kinds) == 2:
            return FRACTURED_READ if WR in kinds else LOST_UPDATE
        return G_SINGLE

    def _joined_by(self, source: int, target: int, kind: int) -> str:
        """A key by which one transaction comes before another."""
        before, after = self._all[source], self._all[target]
        if kind == WR:
            for name, values in after.lists.items():
                if values and self._writers.get((name, values[-1])) is before:
                    return name
        appended = {name for name, _ in after.appends()}
        if kind == WW:
            return next((name for name, _ in before.appends() if name in appended), "")
        if kind == RW:
            missed = [name for name, value in after.appends() if value not in before.lists.get(name, [value])]
            return missed[0] if missed else ""
        return ""


def check_lists(transactions: Sequence[Transaction]) -> list[Finding]:
    """What cannot be explained in a history of transactions on lists; ValueError if a value is appended twice."""
    return ListCheck(transactions).run()


__all__ = ["Finding", "check_lists"]
