"""Names and values of a request: validation, use over several expressions, caching, and key rules."""

from __future__ import annotations

from typing import Any

import pytest

from hashrange.errors import ApiError
from hashrange.expr import (
    ExpressionContext,
    ExpressionError,
    check_filter_names,
    check_scalar_keys,
    compile_condition,
    compile_projection,
    compile_update,
)
from hashrange.expr.java_order import hash_set_order
from hashrange.model.value import ShapeError


def refused(names: Any = None, values: Any = None, *texts: tuple[str, str]) -> str:
    with pytest.raises(ExpressionError) as caught:
        context = ExpressionContext(names, values)
        for method, text in texts:
            getattr(context, method)(text)
        context.finish()
    return str(caught.value.message)


ANY = ("condition", "a = b")


def test_empty_maps() -> None:
    assert refused({}, None) == "ExpressionAttributeNames must not be empty"
    assert refused(None, {}) == "ExpressionAttributeValues must not be empty"
    assert refused({}, {}) == "ExpressionAttributeNames must not be empty"


@pytest.mark.parametrize("key", ["a", "#", "#a-b", "##a", ":a", ""])
def test_malformed_names_come_before_anything_else(key: str) -> None:
    message = f'ExpressionAttributeNames contains invalid key: Syntax error; key: "{key}"'
    assert refused({key: "a"}, None, ANY) == message
    assert refused({key: "a"}, {}) == message
    assert refused({key: "a"}, {":v": {"N": "x"}}) == message
    assert refused({key: "a"}, None, ("condition", "a syntax error")) == message
    assert refused({key: "a"}, None, ("condition", "#a = #b")) == message


@pytest.mark.parametrize("key", ["b", ":", ":a-b", "#a"])
def test_malformed_values(key: str) -> None:
    message = f'ExpressionAttributeValues contains invalid key: Syntax error; key: "{key}"'
    assert refused(None, {key: {"S": "a"}}, ANY) == message
    assert refused(None, {":b": {"N": "x"}, key: {"S": "a"}}, ANY) == message
    assert refused(None, {key: {"S": "a"}}, ("condition", "")) == message


def test_long_keys() -> None:
    long = "a" * 255
    assert refused({f"#{long}": "a"}, None, ANY) == (
        "ExpressionAttributeNames contains invalid key: "
        "The expression attribute map contains a key that is too long; size of key: 256"
    )
    assert refused({f"#{long}": "a"}, None, ("condition", f"#{long} = b")).endswith("size of key: 256")
    assert refused({f"#{long}-x": "a"}, None, ANY).endswith("size of key: 258")
    fits = "a" * 254
    assert "unused" in refused({f"#{fits}": "a"}, None, ANY)
    assert "unused" in refused(None, {f":{fits}": {"S": "a"}}, ANY)
    assert refused(None, {f":{long}": {"S": "a"}}, ("condition", f"a = :{long}")) == (
        "ExpressionAttributeValues contains invalid key: "
        "The expression attribute map contains a key that is too long;"
    )
    compile_condition(f"#{fits} = :{fits}", {f"#{fits}": "a"}, {f":{fits}": {"S": "a"}})


def test_names_that_stand_for_nothing() -> None:
    message = "ExpressionAttributeNames contains invalid value: Empty attribute name for key #a"
    assert refused({"#a": ""}, None, ("projection", "#a")) == message
    assert refused({"#a": ""}, None, ANY) == message
    assert refused({"#a": "x" * 65_536}, None, ANY) == (
        "ExpressionAttributeNames contains invalid value: "
        "Attribute name is too large, must be less than 65536 bytes for key #a"
    )
    assert "unused" in refused({"#a": "x" * 65_535}, None, ANY)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (
            {},
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
        ),
        (
            {"S": "a", "N": "1"},
            "Supplied AttributeValue has more than one datatypes set, "
            "must contain exactly one of the supported datatypes",
        ),
        ({"N": "b"}, "The parameter cannot be converted to a numeric value: b"),
        ({"SS": []}, "One or more parameter values were invalid: An string set  may not be empty"),
        (
            {"NS": ["1", "1.0"]},
            "One or more parameter values were invalid: Input collection contains duplicates.",
        ),
    ],
)
def test_invalid_values(value: Any, problem: str) -> None:
    values = {":ok": {"S": "x"}, ":b": value}
    with pytest.raises(ApiError) as caught:
        ExpressionContext(None, values)
    assert caught.value.message == problem
    with pytest.raises(ExpressionError) as wrapped:
        ExpressionContext(None, values, "classic")
    assert str(wrapped.value.message).startswith("ExpressionAttributeValues contains invalid value: ")
    assert str(wrapped.value.message).endswith(" for key :b")


def test_wording_of_values() -> None:
    values = {":b": {"SS": ["a", "a"]}}
    with pytest.raises(ExpressionError, match=r"\[a, a\] contains duplicates"):
        ExpressionContext(None, values, "classic")
    with pytest.raises(ShapeError, match=r'\["a", "a"\] contains duplicates'):
        ExpressionContext(None, values, "2026")


def test_json_of_the_wrong_type_stays_a_serialization_error() -> None:
    with pytest.raises(ApiError) as caught:
        ExpressionContext({"bad": "x"}, {":v": {"S": 5}})
    assert caught.value.type_name == "SerializationException"


def test_values_become_canonical() -> None:
    values = {":n": {"N": "1.50"}, ":s": {"SS": ["b", "a"]}}
    context = ExpressionContext(None, values)
    bound = context.condition("a = :s AND b = :n")
    assert list(bound.values) == [{"SS": ["a", "b"]}, {"N": "1.5"}]


def test_unused_names_and_values() -> None:
    values = {":v": {"S": "x"}}
    names = {"#a": "a"}
    used = ("condition", "#a = :v")
    assert refused({**names, "#u": "u"}, values, used) == (
        "Value provided in ExpressionAttributeNames unused in expressions: keys: {#u}"
    )
    assert refused(names, {**values, ":u": {"S": "x"}}, used) == (
        "Value provided in ExpressionAttributeValues unused in expressions: keys: {:u}"
    )
    # Names before values, and even where a condition would never look at the value.
    assert "Names unused" in refused({"#u": "u"}, {":u": {"S": "x"}}, ANY)
    assert refused({"#u": "u"}, None, ("update", "SET a = b")).endswith("keys: {#u}")


def test_use_is_counted_over_all_expressions() -> None:
    context = ExpressionContext({"#a": "a", "#b": "b"}, {":v": {"N": "1"}, ":w": {"N": "2"}})
    context.update("SET #a = :v")
    context.condition("#b = :w AND #a <> :v")
    context.finish()
    context = ExpressionContext({"#a": "a", "#b": "b"}, {":v": {"N": "1"}})
    context.key_condition("#a = :v")
    context.filter("attribute_exists(c)")
    context.projection("#b, d")
    context.finish()


def test_nothing_is_unused_where_there_is_no_expression() -> None:
    ExpressionContext({"#a": "a"}, {":v": {"S": "x"}}).finish()


def test_unused_keys_stand_in_the_order_of_a_hash_set() -> None:
    assert hash_set_order([":c", ":a", ":b"], 3) == [":a", ":b", ":c"]
    # A set made from 12 elements or more has 32 buckets, from 24 or more 64.
    letters = [f":{letter}" for letter in "tsrqponmlkjihgfedcba"]
    assert hash_set_order(letters, 11) != hash_set_order(letters, 12)
    assert hash_set_order(letters, 12) == hash_set_order(letters, 23)
    # "Aa" and "BB" have the same hash code, so they keep the order they came in.
    assert hash_set_order(["BB", "Aa"], 2) == ["BB", "Aa"]
    names = {"#zeta": "z", "#alpha": "a", "#a": "b"}
    assert refused(names, None, ANY).endswith("keys: {#alpha, #zeta, #a}")


def test_programs_are_shared_by_text_and_names() -> None:
    first = compile_condition("#n = :v", {"#n": "x"}, {":v": {"N": "1"}})
    again = compile_condition("#n = :v", {"#n": "x"}, {":v": {"N": "2"}})
    other = compile_condition("#n = :v", {"#n": "y"}, {":v": {"N": "1"}})
    assert first.program is again.program
    assert first.program is not other.program
    item = {"x": {"N": "2"}, "y": {"N": "1"}}
    assert [bound.matches(item) for bound in (first, again, other)] == [False, True, True]
    # A different kind is a different program: its errors are worded differently.
    assert compile_condition("a = :v", None, {":v": {"N": "1"}}, "FilterExpression").program.kind == (
        "FilterExpression"
    )


def test_errors_are_the_same_when_the_program_is_cached() -> None:
    for _ in range(2):
        assert "attribute value: :v" in refused(None, {":w": {"S": "a"}}, ("condition", "a < :v"))
        assert "operand type: M" in refused(None, {":v": {"M": {}}}, ("condition", "a < :v"))
        assert "attribute name: #x" in refused(None, None, ("condition", "#x < :v"))
        compile_condition("a < :v", None, {":v": {"N": "1"}})


def test_long_texts_are_compiled_and_cached_too() -> None:
    text = " OR ".join(f"attribute_exists(attribute{number})" for number in range(100))
    bound = compile_condition(text)
    assert bound.matches({"attribute99": {"N": "1"}})
    assert compile_condition(text).program is bound.program


def test_filters_must_not_name_key_attributes() -> None:
    bound = compile_condition("a = :v AND b.c > :v", None, {":v": {"N": "1"}}, "FilterExpression")
    check_filter_names(bound.program.heads, ["pk", "sk"])
    for key in ("a", "b"):
        with pytest.raises(ApiError) as caught:
            check_filter_names(bound.program.heads, ["pk", key])
        assert caught.value.message == (
            f"Filter Expression can only contain non-primary key attributes: Primary key attribute: {key}"
        )
    with pytest.raises(ApiError, match="QueryFilter can only contain"):
        check_filter_names(["a"], ["a"], "QueryFilter")


def test_expressions_must_not_look_into_key_attributes() -> None:
    message = (
        "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: {}: {}"
    )
    update = compile_update("SET e = list_append(a, b), f = d[1]")
    projection = compile_projection("pk, d.x")
    for nested in (update.program.nested_heads, projection.nested_heads):
        check_scalar_keys(nested, ["pk"], ["a"])
        with pytest.raises(ApiError) as caught:
            check_scalar_keys(nested, ["pk"], ["c", "d"])
        assert caught.value.message == message.format("IndexKey", "d")
        with pytest.raises(ApiError) as caught:
            check_scalar_keys(nested, ["d"], ["d"])
        assert caught.value.message == message.format("Key", "d")
