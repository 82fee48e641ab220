"""Expressions of the DAX protocol: every function, chains and depth, and what is no expression."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hashrange_dax.codec import expressions
from hashrange_dax.codec.cbor import CodecError

from hashrange.expr import ExpressionContext
from hashrange.expr.errors import ExpressionError
from hashrange.expr.tree import CONDITION, FILTER, KEY_CONDITION, MAX_OPERATORS, PROJECTION, UPDATE

A, B = [18, "a"], [18, "b", cbor2.CBORTag(3324, 2), "c"]
V, W = [17, 0], [17, 1]
PATH_A, PATH_B = ("path", ("a",)), ("path", ("b", 2, "c"))
VALUE_V, VALUE_W = ("value", ":0"), ("value", ":1")


def blob(expression: Any, values: Any = (1, "x")) -> bytes:
    return cbor2.dumps([1, expression, list(values)])


CONDITIONS = [
    ([0, A, V], ("compare", "=", PATH_A, VALUE_V)),
    ([1, A, B], ("compare", "<>", PATH_A, PATH_B)),
    ([2, V, A], ("compare", "<", VALUE_V, PATH_A)),
    ([3, A, V], ("compare", ">=", PATH_A, VALUE_V)),
    ([4, A, V], ("compare", ">", PATH_A, VALUE_V)),
    ([5, A, W], ("compare", "<=", PATH_A, VALUE_W)),
    ([8, [11, A]], ("not", ("call", "attribute_exists", (PATH_A,)))),
    ([9, A, V, W], ("between", PATH_A, VALUE_V, VALUE_W)),
    ([10, A, [V, W, B]], ("in", PATH_A, (VALUE_V, VALUE_W, PATH_B))),
    ([11, B], ("call", "attribute_exists", (PATH_B,))),
    ([12, A], ("call", "attribute_not_exists", (PATH_A,))),
    ([13, A, W], ("call", "attribute_type", (PATH_A, VALUE_W))),
    ([14, A, W], ("call", "begins_with", (PATH_A, VALUE_W))),
    ([15, A, V], ("call", "contains", (PATH_A, VALUE_V))),
    ([4, [16, A], V], ("compare", ">", ("call", "size", (PATH_A,)), VALUE_V)),
]


@pytest.mark.parametrize(("sent", "tree"), CONDITIONS)
def test_conditions(sent: Any, tree: Any) -> None:
    for read, kind in (
        (expressions.condition, CONDITION),
        (expressions.filter_, FILTER),
        (expressions.key_condition, KEY_CONDITION),
    ):
        compiled = read(blob(sent))
        assert (compiled.kind, compiled.tree) == (kind, tree)
        assert list(compiled.values) == [{"N": "1"}, {"S": "x"}]


EXISTS = ("call", "attribute_exists", (PATH_A,))


def chained(code: int, count: int, to_the_left: bool) -> Any:
    expression: Any = [11, A]
    for _ in range(count):
        expression = [code, expression, [11, A]] if to_the_left else [code, [11, A], expression]
    return expression


@pytest.mark.parametrize("to_the_left", [True, False])
@pytest.mark.parametrize(("code", "kind"), [(6, "and"), (7, "or")])
def test_chains_are_in_one_piece(code: int, kind: str, to_the_left: bool) -> None:
    for count in (1, 2, MAX_OPERATORS):
        data = cbor2.dumps([1, chained(code, count, to_the_left), []])
        compiled = expressions.condition(data)
        assert compiled.tree == (kind, (EXISTS,) * (count + 1))


@pytest.mark.parametrize("to_the_left", [True, False])
def test_a_chain_with_others_in_it_keeps_its_order(to_the_left: bool) -> None:
    inner = [7, [11, A], [12, A]]
    sent = [6, [6, inner, [0, A, V]], inner] if to_the_left else [6, inner, [6, [0, A, V], inner]]
    either = ("or", (EXISTS, ("call", "attribute_not_exists", (PATH_A,))))
    assert expressions.condition(blob(sent)).tree == (
        "and",
        (either, ("compare", "=", PATH_A, VALUE_V), either),
    )


def nested(opening: bytes, count: int) -> bytes:
    return b"\x83\x01" + opening * count + bytes.fromhex("820b82126161") + b"\x80"


@pytest.mark.parametrize("count", [1_000, 100_000])
@pytest.mark.parametrize("opening", ["8208", "8306820b82126161", "8307820b82126161"])
def test_depth_is_an_error_and_nothing_worse(opening: str, count: int) -> None:
    with pytest.raises(ExpressionError, match="too many operators; operator count: 301"):
        expressions.condition(nested(bytes.fromhex(opening), count))


@pytest.mark.parametrize("code", ["06", "07"])
def test_depth_to_the_left_is_an_error_and_nothing_worse(code: str) -> None:
    with pytest.raises(ExpressionError, match="too many operators"):
        expressions.filter_(b"\x83\x01" + bytes.fromhex("83" + code) * 100_000)
    with pytest.raises(ExpressionError, match="too many operators"):
        expressions.filter_(b"\x83\x01\x83\x00" + bytes.fromhex("8210") * 100_000)


def test_updates() -> None:
    sent = [
        [19, A, V],
        [19, B, [25, [23, A, V], W]],
        [22, [18, "d"]],
        [20, [18, "e"], V],
        [21, [18, "f"], W],
        [19, [18, "g"], [26, A, V]],
        [19, [18, "h"], [24, A, [18, "i"]]],
    ]
    compiled = expressions.update(blob(sent))
    assert compiled.kind == UPDATE
    plus = ("arithmetic", "+", ("call", "if_not_exists", (PATH_A, VALUE_V)), VALUE_W)
    last = (
        (("path", ("g",)), ("arithmetic", "-", PATH_A, VALUE_V)),
        (("path", ("h",)), ("call", "list_append", (PATH_A, ("path", ("i",))))),
    )
    assert compiled.tree == (
        "update",
        (
            ("SET", ((PATH_A, VALUE_V), (PATH_B, plus))),
            ("REMOVE", ((("path", ("d",)), None),)),
            ("ADD", ((("path", ("e",)), VALUE_V),)),
            ("DELETE", ((("path", ("f",)), VALUE_W),)),
            ("SET", last),
        ),
    )


def test_projections_keep_their_paths_in_order() -> None:
    data = cbor2.dumps([1, [B, A, [18, "#x.y"]]])
    projection = expressions.projection(data)
    assert projection.paths == (("b", 2, "c"), ("a",), ("#x.y",))
    assert projection.compiled.kind == PROJECTION
    assert projection is expressions.projection(data)
    large = cbor2.dumps([1, [[18, "x" * 5000]]])
    assert expressions.projection(large) is not expressions.projection(large)
    context = ExpressionContext()
    assert context.projection(projection.compiled).paths == projection.paths


def test_what_is_read_can_be_evaluated() -> None:
    context = ExpressionContext()
    bound = context.condition(expressions.condition(blob([6, [0, A, V], [14, [18, "s"], W]])))
    change = context.update(expressions.update(blob([[19, A, [25, A, V]]], [5])))
    context.finish()
    assert bound.matches({"a": {"N": "1"}, "s": {"S": "xyz"}})
    assert not bound.matches({"a": {"N": "2"}, "s": {"S": "xyz"}})
    assert change.apply({"a": {"N": "1"}}, {}).new_item == {"a": {"N": "6"}}


MISPLACED = [[0, [15, A, V], V], [16, A], [23, A, V], [11, A, A], [0, [23, A, V], V]]


@pytest.mark.parametrize("sent", MISPLACED)
def test_functions_where_they_cannot_stand_are_for_the_checks_of_the_expression(sent: Any) -> None:
    compiled = expressions.condition(blob(sent))
    with pytest.raises(ExpressionError):
        ExpressionContext().condition(compiled)


MALFORMED = [
    [1, [0, A, V]],
    [2, [0, A, V], [1]],
    [1, [0, A, V], [1], 1],
    [1, [0, A], [1]],
    [1, [0, A, V, V], [1]],
    [1, [0, A, V], []],
    [1, [0, A, [17, -1]], [1]],
    [1, [0, A, [17, 2**70]], [1]],
    [1, [0, A, [17]], [1]],
    [1, [0, A, "x"], [1]],
    [1, [], []],
    [1, [17, 0], [1]],
    [1, [18, "a"], []],
    [1, [25, A, V], [1]],
    [1, [99, A], []],
    [1, [0, [18], V], [1]],
    [1, [0, [18, 1], V], [1]],
    [1, [0, [18, cbor2.CBORTag(3324, 1)], V], [1]],
    [1, [0, [18, "a", cbor2.CBORTag(3324, -1)], V], [1]],
    [1, [0, [18, b"a"], V], [1]],
    [1, [10, A, []], []],
    [1, [10, A, V, V], [1]],
    [1, [11], []],
    [1, [6, [11, A]], []],
    [1, [8, [11, A], [11, A]], []],
    [1, [9, A, V], [1]],
    [1, {0: 1}, []],
    [1, [0, A, V], [cbor2.CBORTag(0, "x")]],
]


@pytest.mark.parametrize("sent", MALFORMED)
def test_what_is_no_condition(sent: Any) -> None:
    with pytest.raises(CodecError):
        expressions.condition(cbor2.dumps(sent))


BAD_UPDATES = [
    [],
    [[19, A]],
    [[22, A, V]],
    [[19, V, V]],
    [[20, A]],
    [[0, A, V]],
    [[19, A, [25, A]]],
    [[19, A, [6, A, A]]],
]


@pytest.mark.parametrize("sent", BAD_UPDATES)
def test_what_is_no_update(sent: Any) -> None:
    with pytest.raises(CodecError):
        expressions.update(blob(sent))


@pytest.mark.parametrize("sent", [[1, []], [1, ["a"]], [1, [[17, 0]]], [1, [A], []], [3, [A]]])
def test_what_is_no_projection(sent: Any) -> None:
    with pytest.raises(CodecError):
        expressions.projection(cbor2.dumps(sent))


def test_every_prefix_of_an_expression_is_refused() -> None:
    data = blob([6, [0, A, V], [10, B, [V, W]]])
    for size in range(len(data)):
        with pytest.raises(CodecError):
            expressions.condition(data[:size])
