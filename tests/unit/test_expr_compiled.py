"""Expressions that come parsed: the same programs, answers and refusals as their texts."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from hashrange.expr import Compiled, ExpressionContext, ExpressionError
from hashrange.expr.compiled import program_of
from hashrange.expr.parser import parse
from hashrange.expr.tree import CONDITION, FILTER, KEY_CONDITION, PROJECTION, UPDATE

METHODS = {
    CONDITION: "condition",
    FILTER: "filter",
    KEY_CONDITION: "key_condition",
    UPDATE: "update",
    PROJECTION: "projection",
}

N1 = {"N": "1"}
A = ("path", ("a",))
V0 = ("value", ":0")


def renamed(tree: Any, names: dict[str, str], numbers: dict[str, int]) -> Any:
    """A parsed text's tree with real names and numbered values, as a client of DAX sends it."""
    if tree.__class__ is not tuple:
        return names.get(tree, tree) if tree.__class__ is str else tree
    if len(tree) == 2 and tree[0] == "value":
        return ("value", f":{numbers.setdefault(tree[1], len(numbers))}")
    return tuple(renamed(part, names, numbers) for part in tree)


def both(kind: str, text: str, names: dict[str, str], values: dict[str, Any]) -> tuple[Any, Any]:
    """What a text and its compiled form come to: program and values, or the text of an error."""
    numbers: dict[str, int] = {}
    tree = renamed(parse(kind, text), names, numbers)
    compiled = Compiled.of(kind, tree, [orjson.loads(orjson.dumps(values[name])) for name in numbers])
    outcomes: list[Any] = []
    for given, context in (
        (text, ExpressionContext(names or None, values or None)),
        (compiled, ExpressionContext()),
    ):
        try:
            bound: Any = getattr(context, METHODS[kind])(given)
            context.finish()
        except ExpressionError as error:
            outcomes.append(error.message)
            continue
        if kind == PROJECTION:
            outcomes.append(bound.heads)
        else:
            outcomes.append((bound.program.kind, bound.program.tree, list(bound.values)))
    return outcomes[0], outcomes[1]


@pytest.mark.parametrize(
    ("kind", "text", "names", "values"),
    [
        (CONDITION, "a = :v", {}, {":v": {"N": "1.50"}}),
        (CONDITION, "#s.b[3] <> :v and not (size(c) > :w)", {"#s": "size"}, {":v": {"S": "x"}, ":w": N1}),
        (CONDITION, "a between :x and :y or b in (:x, c, :y)", {}, {":x": N1, ":y": {"N": "2"}}),
        (CONDITION, "attribute_exists(a) or attribute_type(b, :t)", {}, {":t": {"S": "SS"}}),
        (FILTER, "begins_with(a, :p) and contains(b, :p)", {}, {":p": {"S": "p"}}),
        (KEY_CONDITION, "pk = :p and sk >= :s", {}, {":p": {"S": "p"}, ":s": {"B": "AA=="}}),
        (UPDATE, "SET a = b + :n, c[1] = list_append(if_not_exists(d, :l), :l) REMOVE e ADD f :n DELETE g :s",
         {}, {":n": N1, ":l": {"L": [N1]}, ":s": {"SS": ["b", "a"]}}),
        (PROJECTION, "a, b.c[0], #d", {"#d": "#d"}, {}),
        # Refused, with one text.
        (CONDITION, "a between :y and :x", {}, {":x": N1, ":y": {"N": "2"}}),
        (CONDITION, "attribute_type(b, :t)", {}, {":t": {"S": "XX"}}),
        (CONDITION, "a < :v", {}, {":v": {"BOOL": True}}),
        (CONDITION, "a = a", {}, {}),
        (CONDITION, "size(a)", {}, {}),
        (CONDITION, "nothing(a)", {}, {}),
        (CONDITION, "list_append(a, b)", {}, {}),
        (CONDITION, "begins_with(a)", {}, {}),
        (CONDITION, "a" + ".a" * 40 + " = :v", {}, {":v": N1}),
        (CONDITION, "a[2147483648] = :v", {}, {":v": N1}),
        (CONDITION, f"a in ({', '.join([':v'] * 101)})", {}, {":v": N1}),
        (UPDATE, "SET a = :v, a.b = :v", {}, {":v": N1}),
        (UPDATE, "SET a = :v SET b = :v", {}, {":v": N1}),
        (UPDATE, "SET a = :v, a[1] = :v", {}, {":v": N1}),
        (UPDATE, "SET a = b + :v", {}, {":v": {"S": "x"}}),
        (UPDATE, "DELETE a :v", {}, {":v": N1}),
        (UPDATE, "SET a = list_append(list_append(b, :v), :v)", {}, {":v": {"L": [N1]}}),
        (PROJECTION, "a.b, a", {}, {}),
    ],
)  # fmt: skip
def test_a_tree_comes_to_what_its_text_comes_to(
    kind: str, text: str, names: dict[str, str], values: dict[str, Any]
) -> None:
    of_text, of_tree = both(kind, text, names, values)
    assert of_tree == of_text


def test_names_are_real_whatever_they_look_like() -> None:
    for name in ("#a", "SELECT", "a-b c", ":v", "size", "é"):
        bound = ExpressionContext().condition(
            Compiled.of(CONDITION, ("compare", "=", ("path", (name,)), V0), [N1])
        )
        assert bound.program.heads == (name,)
        assert bound.matches({name: N1})
        assert not bound.matches({"other": N1})


def test_each_has_values_of_its_own() -> None:
    context = ExpressionContext()
    update = context.update(Compiled.of(UPDATE, ("update", (("SET", ((A, V0),)),)), [{"N": "01.0"}]))
    condition = context.condition(Compiled.of(CONDITION, ("compare", "<", A, V0), [{"N": "2"}]))
    context.finish()
    assert list(update.values) == [N1]
    assert list(condition.values) == [{"N": "2"}]
    assert update.values_size == 2
    assert condition.matches({"a": N1})


def test_values_count_against_the_limit_on_a_statement() -> None:
    update = ExpressionContext().update(
        Compiled.of(UPDATE, ("update", (("SET", ((A, V0),)),)), [{"S": "x" * 409_600}])
    )
    with pytest.raises(Exception, match="Item size to update has exceeded"):
        update.check_charge()


def test_it_goes_with_texts_and_their_maps() -> None:
    context = ExpressionContext({"#b": "b"}, {":v": N1})
    context.update(Compiled.of(UPDATE, ("update", (("REMOVE", ((A, None),)),))))
    context.condition("#b = :v")
    context.finish()
    unused = ExpressionContext(None, {":0": N1})
    unused.condition(Compiled.of(CONDITION, ("compare", "<", A, V0), [N1]))
    with pytest.raises(ExpressionError, match="unused in expressions"):
        unused.finish()


def chain(length: int) -> Any:
    tree: Any = ("call", "attribute_exists", (A,))
    for _ in range(length):
        tree = ("and", (tree, ("call", "attribute_exists", (A,))))
    return tree


def test_limits_hold_for_trees() -> None:
    ExpressionContext().condition(Compiled.of(CONDITION, chain(149)))
    for tree in (chain(150), chain(1000), ("and", (chain(1),) * 200)):
        with pytest.raises(ExpressionError) as caught:
            ExpressionContext().condition(Compiled.of(CONDITION, tree))
        assert caught.value.message == (
            "Invalid ConditionExpression: The expression contains too many operators; operator count: 301"
        )
    for name, problem in (("", "Empty attribute name;"), ("x" * 65_536, "Attribute name is too large")):
        with pytest.raises(ExpressionError, match=problem):
            ExpressionContext().condition(
                Compiled.of(CONDITION, ("call", "attribute_exists", (("path", (name,)),)))
            )


@pytest.mark.parametrize(
    ("kind", "tree"),
    [
        (CONDITION, ()),
        (CONDITION, ("path", ("a",))),
        (CONDITION, ("compare", "==", A, V0)),
        (CONDITION, ("compare", "=", A)),
        (CONDITION, ("compare", "=", A, ("value", "0"))),
        (CONDITION, ("compare", "=", A, ("value", ":x"))),
        (CONDITION, ("compare", "=", ("path", ()), V0)),
        (CONDITION, ("compare", "=", ("path", (1,)), V0)),
        (CONDITION, ("compare", "=", ("path", ("a", -1)), V0)),
        (CONDITION, ("compare", "=", ("path", ("a", None)), V0)),
        (CONDITION, ("and", ())),
        (CONDITION, ("not", None)),
        (CONDITION, ("in", A, ())),
        (CONDITION, ("call", 5, (A,))),
        (CONDITION, ("update", ())),
        (UPDATE, ("update", ())),
        (UPDATE, ("update", (("PUT", ((A, V0),)),))),
        (UPDATE, ("update", (("ADD", ((A, A),)),))),
        (UPDATE, ("update", (("REMOVE", ((A, V0),)),))),
        (UPDATE, ("update", (("SET", ((A, None),)),))),
        (UPDATE, ("update", (("SET", ((A, ("arithmetic", "*", A, V0)),)),))),
        (PROJECTION, ("projection", ())),
        (PROJECTION, ("projection", (V0,))),
        (PROJECTION, A),
    ],
)  # fmt: skip
def test_a_tree_of_no_shape_is_refused(kind: str, tree: Any) -> None:
    with pytest.raises(ExpressionError, match=f"Invalid {kind}: "):
        getattr(ExpressionContext(), METHODS[kind])(Compiled.of(kind, tree, [N1]))


def test_values_that_are_not_there_or_invalid() -> None:
    with pytest.raises(ExpressionError, match="attribute value: :0"):
        ExpressionContext().condition(Compiled.of(CONDITION, ("compare", "=", A, V0)))
    with pytest.raises(Exception, match="cannot be converted to a numeric value"):
        ExpressionContext().condition(Compiled.of(CONDITION, ("compare", "=", A, V0), [{"N": "x"}]))


def test_its_text_tells_what_it_says() -> None:
    tree = ("compare", "=", A, V0)
    one = Compiled.of(CONDITION, tree, [{"N": "1.0"}])
    assert one == Compiled.of(CONDITION, tree, [{"N": "1.0"}])
    assert one.startswith("compiled:")
    assert len({one, *(Compiled.of(kind, tree, [N1]) for kind in (CONDITION, FILTER))}) == 3
    assert orjson.loads(orjson.dumps({"ConditionExpression": one})) == {"ConditionExpression": str(one)}
    ExpressionContext().condition(one)
    portable = one.to_portable()
    again = Compiled.from_portable(orjson.loads(orjson.dumps([*portable[:4], portable[4].decode()])))
    assert again == one
    assert (again.kind, again.tree, again.values) == (CONDITION, tree, (N1,))


def test_programs_are_made_once_and_huge_ones_not_kept() -> None:
    tree = ("compare", "=", A, V0)
    first = Compiled.of(CONDITION, tree, [N1])
    assert program_of(CONDITION, first) is program_of(CONDITION, Compiled.of(CONDITION, tree, [{"S": "x"}]))
    huge = Compiled.of(CONDITION, ("compare", "=", ("path", ("x" * 9000,)), V0), [N1])
    assert program_of(CONDITION, huge) is not program_of(CONDITION, huge)
