"""The checker of list histories: what one server did, one transaction after the other, is never called wrong; what
was tampered with afterwards nearly always is."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from tests.cluster.histories.cycles import EVERY, RT, WW, Graph, components, cycles_of
from tests.cluster.histories.list_check import check_lists
from tests.cluster.histories.lists import APPEND, OK, READ, REFUSED, UNKNOWN, Op, Transaction

KEYS = "xyz"
OUTCOMES = st.sampled_from([OK, OK, OK, OK, UNKNOWN, "unknown, not done", REFUSED])


@st.composite
def executions(draw: st.DrawFn) -> list[Transaction]:
    """Transactions carried out one at a time, each at some instant between its beginning and its end.

    Of those whose outcome is unknown some are carried out, and some long after their clients gave up.
    """
    state: dict[str, list[int]] = {key: [] for key in KEYS}
    found: list[Transaction] = []
    value = 0
    for instant in range(1, draw(st.integers(1, 25))):
        outcome = draw(OUTCOMES)
        ops: list[Op] = []
        for key in draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True)):
            kind = draw(st.integers(0, 2))
            if kind != 1:
                value += 1
                ops.append((APPEND, key, value))
            if kind != 0:
                ops.append((READ, key, None))
        if outcome in (OK, UNKNOWN):
            for kind_, key, each in ops:
                if kind_ == APPEND and each is not None:
                    state[key].append(each)
        known = outcome in (OK, REFUSED)
        start = instant - draw(st.floats(0, 4))
        end = instant + draw(st.floats(0, 4)) if known else math.inf
        lists = {key: list(state[key]) for kind_, key, _ in ops if kind_ == READ} if outcome == OK else {}
        told = outcome if known else UNKNOWN
        found.append(Transaction(len(found), 1, start, ops, end, told, lists))
    return sorted(found, key=lambda each: each.start)


@given(executions())
def test_serial_executions_are_never_called_wrong(transactions: list[Transaction]) -> None:
    assert [finding.text() for finding in check_lists(transactions)] == []


@given(executions(), st.data())
def test_an_acknowledged_append_that_is_taken_out_of_every_list_is_missed(
    transactions: list[Transaction], data: st.DataObject
) -> None:
    """If anybody asked for the list after it had been acknowledged."""
    ended = [
        (each, key, value)
        for each in transactions
        if each.outcome == OK and not each.lists
        for key, value in each.appends()
        if any(key in other.lists and other.start > each.end for other in transactions)
    ]
    assume(ended)
    _, key, value = data.draw(st.sampled_from(ended))
    for each in transactions:
        if value in each.lists.get(key, []):
            each.lists[key] = [other for other in each.lists[key] if other != value]
    assert check_lists(transactions)


@given(executions(), st.data())
def test_a_value_shown_twice_is_noticed(transactions: list[Transaction], data: st.DataObject) -> None:
    shown = [(each, key) for each in transactions for key, values in each.lists.items() if values]
    assume(shown)
    reader, key = data.draw(st.sampled_from(shown))
    reader.lists[key] = [*reader.lists[key], reader.lists[key][0]]
    assert check_lists(transactions)


edges = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.sampled_from([WW, RT])), max_size=16)


@given(edges)
def test_components_are_those_who_reach_each_other(found: list[tuple[int, int, int]]) -> None:
    graph = Graph(8)
    reach = {(a, b) for a, b, _ in found if a != b}
    for a, b, kind in found:
        graph.edge(a, b, kind)
    for middle in range(8):
        reach |= {(a, d) for a, b in reach if b == middle for c, d in reach if c == middle}
    expected = {frozenset(b for b in range(8) if (a, b) in reach and (b, a) in reach) | {a} for a in range(8)}
    assert {frozenset(each) for each in components(graph, EVERY)} == {
        each for each in expected if len(each) > 1
    }
    cycles: list[Any] = cycles_of(graph)
    assert bool(cycles) == any(len(each) > 1 for each in expected)
    for cycle in cycles:
        steps = zip(cycle.nodes, (*cycle.nodes[1:], cycle.nodes[0]), cycle.kinds, strict=True)
        assert all(step in found for step in steps)
