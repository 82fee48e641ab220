"""Expressions: only exact errors whatever the text, and the same outcomes as a slow and simple model."""

from __future__ import annotations

import copy
from typing import Any

import msgpack
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from hashrange.errors import ApiError
from hashrange.expr import (
    Bound,
    BoundUpdate,
    ExpressionContext,
    ExpressionError,
    Projection,
    touched_attributes,
)
from hashrange.expr.program import _long_programs, _short_programs
from hashrange.model.key import KeyPart
from hashrange.model.value import normalise_item
from tests.property import model_expr as model

KINDS = ("condition", "filter", "update", "projection", "key_condition")

KEY = {"pk": {"S": "k"}}

# Tokens that make soups which the grammar accepts now and then, and all of its corners nearly.
_TOKENS = (
    "a b a.b a[1] a[2147483648] #n #m.x :v :w :x = <> < <= > >= + - ( ) , . [ ] 0 7 -1 [3] [-1] "
    "AND OR NOT BETWEEN IN and or not SET REMOVE ADD DELETE set size size(a) if_not_exists(a,:v) "
    "list_append(a,:v) attribute_exists(a) attribute_not_exists( attribute_type(a,:v) begins_with(a,:v) "
    "contains(a,:v) foo(a) begins_with contains name status é 😀 ! \" ' # : \t \n \x00 _a a_b a-b a:b a#b"
)
_tokens = st.sampled_from(_TOKENS.split(" "))
_soup = st.builds(
    lambda tokens, space: space.join(tokens), st.lists(_tokens, max_size=30), st.sampled_from(" \n")
)
_repeats = st.builds(
    lambda pieces, count: ("".join(pieces) * count)[:4100],
    st.lists(_tokens, min_size=1, max_size=3),
    st.integers(1, 4100),
)
texts = st.one_of(st.text(max_size=60), _soup, _repeats)

_placeholders = st.sampled_from(["n", "m", "v", "w", "x", "", "é", "a b", "a" * 256])
_name_maps = st.none() | st.dictionaries(
    st.builds(str.__add__, st.sampled_from(["#", ":", ""]), _placeholders),
    st.sampled_from(["a", "b", "pk", "", "status", "a" * 65536]),
    max_size=4,
)
_value_maps = st.none() | st.dictionaries(
    st.builds(str.__add__, st.sampled_from([":", ":", "#", ""]), _placeholders), model.values, max_size=4
)


def use(kind: str, text: str, names: Any, values: Any) -> None:
    """All that a request does with an expression."""
    context = ExpressionContext(names, values)
    bound = getattr(context, kind)(text)
    context.finish()
    if kind == "key_condition":
        bound.resolve([KeyPart("a", "S")], [KeyPart("b", "N")])
    elif kind == "update":
        bound.check_keys(["pk"])
        assert bound.assigned_values() is not None
        bound.check_charge()
        bound.apply({"a": {"L": [{"S": "x"}]}}, KEY)
    elif kind == "projection":
        assert bound.apply({}) == {}
    else:
        assert bound.matches({"a": {"M": {"b": {"N": "1"}}}}) in (True, False)


def outcome(kind: str, text: str, names: Any, values: Any) -> tuple[str, ...]:
    """What a request answers: the error, or success."""
    try:
        use(kind, text, names, copy.deepcopy(values))
    except ApiError as error:
        return (error.type_name, error.message)
    return ("ok",)


def forget_programs() -> None:
    """Start with empty caches."""
    _short_programs.cache_clear()
    _long_programs.cache_clear()


@settings(max_examples=600, deadline=None)
@example("condition", "(" * 4096, None, None)
@example("condition", "NOT " * 1024, None, None)
@example("filter", "(" * 1300 + "a = :v" + ")" * 1300, None, {":v": {"N": "1"}})
@example("update", "SET a = " + "if_not_exists(a, " * 200 + ":v" + ")" * 200, None, {":v": {"N": "1"}})
@example("update", "SET a = " + "(" * 2000, None, None)
@example("projection", "a" + "[0]" * 1300, None, None)
@example("projection", "a" + ".b" * 2000, None, None)
@example("condition", "size(" * 800, None, None)
@example("key_condition", " AND ".join(["a = :v"] * 400), None, {":v": {"N": "1"}})
@example("condition", "a[" + "9" * 4000 + "] = :v", None, {":v": {"N": "1"}})
@example("condition", "é" * 4096, None, None)
@given(st.sampled_from(KINDS), texts, _name_maps, _value_maps)
def test_nothing_but_service_errors(kind: str, text: str, names: Any, values: Any) -> None:
    forget_programs()
    first = outcome(kind, text, names, values)
    # The same again from the caches, whatever the outcome.
    assert outcome(kind, text, names, values) == first


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(KINDS), st.text(min_size=1000, max_size=4200))
def test_long_arbitrary_texts(kind: str, text: str) -> None:
    with pytest.raises(ExpressionError):
        use(kind, text, None, None)


def bound_condition(node: model.Node) -> Bound:
    """A condition of the model as the service takes it; drops the example if it is refused."""
    writer = model.Writer()
    text = writer.condition(node)
    try:
        context = ExpressionContext(None, writer.values or None)
        bound = context.filter(text)
    except ExpressionError as error:
        # What the strategies cannot rule out: operands alike, or of a type that the operator does not take.
        assert "operand" in error.message
        assume(False)
    context.finish()
    return bound


@settings(max_examples=500, deadline=None)
@given(model.conditions, model.items, model.items)
def test_conditions_match_as_the_model_does(node: model.Node, item: model.Item, other: model.Item) -> None:
    bound = bound_condition(node)
    for candidate in (item, other):
        normalise_item(candidate)
        before = copy.deepcopy(candidate)
        assert bound.matches(candidate) == model.holds(node, candidate)
        assert candidate == before
    assert bound.matches(None) == model.holds(node, {})


@given(st.lists(model.paths, min_size=2, max_size=2))
def test_conflicting_paths_are_refused(nodes: list[model.Node]) -> None:
    (_, first), (_, second) = nodes
    text = ", ".join(map(model.path_text, (first, second)))
    for expression in (f"REMOVE {text}", text):
        kind = "update" if expression is not text else "projection"
        answer = outcome(kind, expression, None, None)
        assert ("document paths" in answer[-1]) == model.conflict(first, second)


@settings(deadline=None)
@given(model.conditions, model.items, st.booleans())
def test_conditions_travel(node: model.Node, item: model.Item, use_list: bool) -> None:
    bound = bound_condition(node)
    normalise_item(item)
    packed = msgpack.packb(bound.to_portable())
    received = Bound.from_portable(msgpack.unpackb(packed, use_list=use_list))
    assert received.matches(item) == bound.matches(item)
    assert received.program.tree == bound.program.tree
    assert received.program.kind == bound.program.kind
    assert msgpack.packb(received.to_portable()) == packed


def bound_update(actions: list[model.Node]) -> BoundUpdate:
    """An update of the model as the service takes it; drops the example if it is refused."""
    writer = model.Writer()
    text = writer.update(actions)
    try:
        context = ExpressionContext(None, writer.values or None)
        update = context.update(text)
    except ExpressionError as error:
        assert "operand" in error.message
        assume(False)
    context.finish()
    return update


@settings(max_examples=500, deadline=None)
@given(model.actions, model.items)
def test_updates_do_as_the_model_does_and_leave_their_input_alone(
    actions: list[model.Node], item: model.Item
) -> None:
    update = bound_update(actions)
    normalise_item(item)
    before = copy.deepcopy((item, update.values))
    try:
        expected = model.plain_item(model.updated(actions, item))
    except model.Refused:
        with pytest.raises(ApiError):
            update.apply(item, KEY)
    else:
        new = update.apply(item, KEY).new_item
        assert new is not None
        assert model.plain_item(new) == expected
        canonical = copy.deepcopy(new)
        normalise_item(canonical)
        assert new == canonical
        assert list(canonical.values()) == list(new.values())
    assert (item, update.values) == before


@settings(max_examples=200, deadline=None)
@given(model.actions, model.items)
def test_updates_return_what_they_touch(actions: list[model.Node], item: model.Item) -> None:
    update = bound_update(actions)
    normalise_item(item)
    try:
        result = update.apply(item, KEY)
    except ApiError:
        return
    assert result.new_item is not None
    assert result.touched == update.paths
    assert {*result.touched} == {action[1] for action in actions}
    for version in (item, result.new_item):
        touched = touched_attributes(version, result.touched)
        for path in result.touched:
            found = model.look_up(version, path)
            assert (found is None) or path[0] in touched
            if len(path) == 1:
                assert touched.get(path[0]) == found
        assert set(touched) <= {path[0] for path in result.touched}


@settings(deadline=None)
@given(model.actions, model.items, st.booleans())
def test_updates_travel(actions: list[model.Node], item: model.Item, use_list: bool) -> None:
    update = bound_update(actions)
    normalise_item(item)
    packed = msgpack.packb(update.to_portable())
    received = BoundUpdate.from_portable(msgpack.unpackb(packed, use_list=use_list))
    assert result_of(received, item) == result_of(update, item)
    assert received.paths == update.paths
    assert received.assigned_values() == update.assigned_values()
    assert msgpack.packb(received.to_portable()) == packed


def result_of(update: BoundUpdate, item: model.Item) -> Any:
    """The new item, or the error."""
    try:
        new = update.apply(item, KEY).new_item
    except ApiError as error:
        return error.message
    assert new is not None
    return new


@settings(max_examples=300, deadline=None)
@given(model.path_lists, model.items, st.booleans())
def test_projections_keep_what_they_name(nodes: list[model.Node], item: model.Item, use_list: bool) -> None:
    paths = [path for _, path in nodes]
    projection = ExpressionContext().projection(", ".join(map(model.path_text, paths)))
    before = copy.deepcopy(item)
    projected = projection.apply(item)
    assert item == before
    assert leaves(projected) == leaves_at(item, paths)
    packed = msgpack.packb(projection.to_portable())
    assert Projection.from_portable(msgpack.unpackb(packed, use_list=use_list)).apply(item) == projected


def leaves(item: model.Item) -> list[str]:
    """The scalars, sets and empty containers of an item by the names that lead to them, without positions."""
    found: list[str] = []

    def walk(value: model.Value, names: str) -> None:
        [(tag, content)] = value.items()
        if tag == "L" and content:
            for element in content:
                walk(element, names + "[]")
        elif tag == "M" and content:
            for name, member in content.items():
                walk(member, f"{names}.{name}")
        else:
            found.append(f"{names}={value}")

    for name, value in item.items():
        walk(value, name)
    return sorted(found)


def leaves_at(item: model.Item, paths: list[tuple[str | int, ...]]) -> list[str]:
    """The leaves below any of the paths, each path by itself."""
    found: list[str] = []
    for path in paths:
        value = model.look_up(item, path)
        if value is None:
            continue
        for step in reversed(path[1:]):
            value = {"L": [value]} if isinstance(step, int) else {"M": {step: value}}
        found += leaves({str(path[0]): value})
    return sorted(found)
