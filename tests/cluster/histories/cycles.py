"""Cycles in a graph of dependencies: strongly connected components, short cycles, and what they are called.

Nodes are numbers; the first `count` are transactions, all others stand for something in between (an instant, the end
of a list). An edge says that one comes before the other, and why:

| kind | from | to |
|---|---|---|
| ww | whoever appended a value | whoever appended the next one |
| wr | whoever appended a value | whoever read a list that ends with it |
| rw | whoever read a list | whoever appended the next value |
| rt | a transaction that had ended | one that began after that |

The names are those of Adya ("Weak Consistency", 1999) and Cerone and Gotsman: G0 is a cycle of ww alone, G1c of ww
and wr, G-single has exactly one rw, G2 more than one. A cycle that needs rt breaks the order of real time only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

WW, WR, RW, RT, THROUGH = 0, 1, 2, 3, 4
NAMES = ("ww", "wr", "rw", "rt", "")
SHIFT = 3
MASK = (1 << SHIFT) - 1
EVERY = frozenset((WW, WR, RW, RT, THROUGH))
_WRITES = frozenset((WW, THROUGH))
_FLOW = frozenset((WW, WR, THROUGH))
_DEPENDENCIES = frozenset((WW, WR, RW, THROUGH))
_TIMED_FLOW = frozenset((WW, WR, RT, THROUGH))
STEPS_MAX = 3_000_000
"""Nodes looked at in search of a shorter cycle through one component: then what was found has to do."""


class Graph:
    """Edges are kept as `target << SHIFT | kind` in the list of their source."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.out: list[list[int]] = [[] for _ in range(count)]

    def node(self) -> int:
        """A further node that is no transaction."""
        self.out.append([])
        return len(self.out) - 1

    def edge(self, source: int, target: int, kind: int) -> None:
        """`source` comes before `target`."""
        if source != target:
            self.out[source].append(target << SHIFT | kind)


@dataclass(frozen=True)
class Cycle:
    """`kinds[n]` is why `nodes[n]` comes before the next of them; they are transactions."""

    nodes: tuple[int, ...]
    kinds: tuple[int, ...]


def components(graph: Graph, kinds: frozenset[int] = EVERY) -> Iterator[list[int]]:
    """Strongly connected components of more than one node, by edges of some kinds (Tarjan, 1972)."""
    out = graph.out
    every = kinds == EVERY
    total = len(out)
    index = [0] * total
    low = [0] * total
    on_stack = bytearray(total)
    stack: list[int] = []
    number = 0
    for root in range(total):
        if index[root]:
            continue
        number += 1
        index[root] = low[root] = number
        stack.append(root)
        on_stack[root] = 1
        work = [(root, iter(out[root]))]
        while work:
            node, edges = work[-1]
            for edge in edges:
                if not every and edge & MASK not in kinds:
                    continue
                target = edge >> SHIFT
                if not index[target]:
                    number += 1
                    index[target] = low[target] = number
                    stack.append(target)
                    on_stack[target] = 1
                    work.append((target, iter(out[target])))
                    break
                if on_stack[target] and index[target] < low[node]:
                    low[node] = index[target]
            else:
                work.pop()
                if work and low[node] < low[work[-1][0]]:
                    low[work[-1][0]] = low[node]
                if low[node] == index[node]:
                    place = len(stack) - 1
                    while stack[place] != node:
                        place -= 1
                    found = stack[place:]
                    del stack[place:]
                    for each in found:
                        on_stack[each] = 0
                    if len(found) > 1:
                        yield found


def cycles_of(graph: Graph) -> list[Cycle]:
    """A short cycle for every component that has one; the plainest sort that a component shows.

    One that needs the order of real time is given only where there is no other. No cycle: an empty list.
    """
    if next(components(graph), None) is None:
        return []
    search = _Search(graph)
    for kinds in (_WRITES, _FLOW):
        for component in components(graph, kinds):
            search.take(component, lambda inside, kinds=kinds: search.shortest(inside, kinds))
    for component in components(graph, _DEPENDENCIES):
        search.take(
            component,
            lambda inside: search.with_one_rw(inside, _FLOW) or search.shortest(inside, _DEPENDENCIES),
        )
    for component in components(graph, _TIMED_FLOW):
        search.take(component, lambda inside: search.shortest(inside, _TIMED_FLOW))
    for component in components(graph):
        search.take(
            component,
            lambda inside: search.with_one_rw(inside, _TIMED_FLOW) or search.shortest(inside, EVERY),
        )
    return search.found


class _Search:
    """Looks for short cycles. `found` has one for each component that was given and shares none with an earlier."""

    def __init__(self, graph: Graph) -> None:
        self.found: list[Cycle] = []
        self._graph = graph
        self._told: set[int] = set()
        self._left = STEPS_MAX

    def take(self, component: list[int], look: Callable[[set[int]], Cycle | None]) -> None:
        """Look at a component, unless a cycle through it is known."""
        if self._told.isdisjoint(component):
            self._left = STEPS_MAX
            cycle = look(set(component))
            if cycle is not None:
                self.found.append(cycle)
                self._told.update(cycle.nodes)

    def shortest(self, inside: set[int], kinds: frozenset[int]) -> Cycle | None:
        """The shortest cycle found by edges of some kinds."""
        best: list[_Step] | None = None
        for start in sorted(inside):
            if start >= self._graph.count or (best is not None and (len(best) == 2 or self._left < 0)):
                break
            path = self._path(inside, start, start, kinds)
            if path is not None and (best is None or len(path) < len(best)):
                best = path
        return _closed(self._graph, best) if best is not None else None

    def with_one_rw(self, inside: set[int], others: frozenset[int]) -> Cycle | None:
        """A cycle with exactly one rw, the rest of others."""
        best: list[_Step] | None = None
        for source in sorted(inside):
            for edge in self._graph.out[source]:
                target = edge >> SHIFT
                if edge & MASK != RW or target not in inside or self._left < 0:
                    continue
                path = self._path(inside, target, source, others)
                if path is not None and (best is None or len(path) + 1 < len(best)):
                    best = [(source, RW), *path]
        return _closed(self._graph, best) if best is not None else None

    def _path(self, inside: set[int], start: int, goal: int, kinds: frozenset[int]) -> list[_Step] | None:
        """The shortest way of one edge or more."""
        before: dict[int, _Step] = {}
        queue = deque([start])
        while queue:
            node = queue.popleft()
            self._left -= 1
            for edge in self._graph.out[node]:
                kind, target = edge & MASK, edge >> SHIFT
                if kind not in kinds or target not in inside or target in before:
                    continue
                before[target] = (node, kind)
                if target == goal:
                    return _way_back(before, start, goal)
                queue.append(target)
        return None


_Step = tuple[int, int]
"""A node, and the kind of the edge that leaves it."""


def _way_back(before: dict[int, _Step], start: int, goal: int) -> list[_Step]:
    way = [before[goal]]
    while way[-1][0] != start:
        way.append(before[way[-1][0]])
    return way[::-1]


def _closed(graph: Graph, way: list[tuple[int, int]]) -> Cycle | None:
    """The cycle of a closed way, without the nodes that are no transactions; it begins with the lowest."""
    steps: list[tuple[int, int]] = []
    first = next(place for place, (node, _) in enumerate(way) if node < graph.count)
    for node, kind in way[first:] + way[:first]:
        if node < graph.count:
            steps.append((node, kind))
    lowest = min(range(len(steps)), key=lambda place: steps[place][0])
    steps = steps[lowest:] + steps[:lowest]
    return Cycle(tuple(node for node, _ in steps), tuple(kind for _, kind in steps))
