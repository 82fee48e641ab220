"""Errors in expressions that are no syntax errors: words, functions, placeholders, operands, paths."""

from __future__ import annotations

from typing import Any

import pytest

from hashrange.expr import ExpressionContext, ExpressionError
from hashrange.expr.reserved import RESERVED_WORDS

TYPES: dict[str, dict[str, Any]] = {
    "S": {"S": "a"},
    "N": {"N": "1"},
    "B": {"B": "YQ=="},
    "BOOL": {"BOOL": True},
    "NULL": {"NULL": True},
    "L": {"L": []},
    "M": {"M": {}},
    "SS": {"SS": ["1"]},
    "NS": {"NS": ["1"]},
    "BS": {"BS": ["YQ=="]},
}


def failure(method: str, text: str, names: Any = None, values: Any = None, wording: Any = "2026") -> str:
    context = ExpressionContext(names, values, wording)
    with pytest.raises(ExpressionError) as caught:
        getattr(context, method)(text)
        context.finish()
    assert caught.value.type_name == "ValidationException"
    assert caught.value.message is not None
    return caught.value.message


def condition_error(text: str, names: Any = None, values: Any = None) -> str:
    message = failure("filter", text, names, values)
    assert message.startswith("Invalid FilterExpression: ")
    return message.removeprefix("Invalid FilterExpression: ")


def update_error(text: str, names: Any = None, values: Any = None) -> str:
    message = failure("update", text, names, values)
    assert message.startswith("Invalid UpdateExpression: ")
    return message.removeprefix("Invalid UpdateExpression: ")


def typed(function: str, tag: str) -> str:
    return (
        "Incorrect operand type for operator or function; "
        f"operator or function: {function}, operand type: {tag}"
    )


def count(function: str, number: int) -> str:
    return (
        "Incorrect number of operands for operator or function; "
        f"operator or function: {function}, number of operands: {number}"
    )


def test_573_reserved_words() -> None:
    assert len(RESERVED_WORDS) == 573
    assert {"ABORT", "COMMENT", "FLATTERN", "INNTER", "LOGED", "STATUS", "ZONE"} <= RESERVED_WORDS
    assert "REMOVE" not in RESERVED_WORDS
    assert all(word == word.upper() for word in RESERVED_WORDS)


@pytest.mark.parametrize(
    ("method", "text", "word"),
    [
        ("filter", ":a < abOrT", "abOrT"),
        ("filter", "attribute_exists(views, #a)", "views"),
        ("condition", "m.COMMENT = :value", "COMMENT"),
        ("condition", "begins_with(#l[0].COMMENT, :value)", "COMMENT"),
        ("update", "set #c = :c, x = true", "true"),
        ("update", "remove Absolute", "Absolute"),
        ("update", "SET a = b.Status", "Status"),
        ("projection", "pk, status", "status"),
        ("projection", "list[0].x", "list"),
        ("key_condition", "data.foo = :v", "data"),
    ],
)
def test_reserved_words_in_any_part_of_any_expression(method: str, text: str, word: str) -> None:
    message = failure(method, text)
    assert message.endswith(f": Attribute name is a reserved keyword; reserved keyword: {word}")


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("a=a and whatever((:things)) > a", "whatever"),
        ("attRIbute_exIsts((views), #a)", "attRIbute_exIsts"),
        ("SIZE(a) > :v", "SIZE"),
        ("foo(a) BETWEEN b AND c", "foo"),
        ("a BETWEEN b AND foo(c)", "foo"),
        ("a IN (b, foo(c))", "foo"),
        ("NOT foo(a)", "foo"),
    ],
)
def test_unknown_functions(text: str, function: str) -> None:
    assert condition_error(text) == f"Invalid function name; function: {function}"


def test_functions_of_the_other_kind() -> None:
    for function in ("if_not_exists", "list_append"):
        assert condition_error(f"{function}(a, b) = :v") == (
            f"The function is not allowed in a condition expression; function: {function}"
        )
    for function in ("size", "contains", "attribute_exists"):
        assert update_error(f"SET a = {function}(b)") == (
            f"The function is not allowed in an update expression; function: {function}"
        )
    assert update_error("SET a = f123_hi(b,c,d)") == "Invalid function name; function: f123_hi"


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("a=a and attribute_exists((views), (#a)) > b", "attribute_exists"),
        ("attribute_not_exists(things) > b", "attribute_not_exists"),
        ("attribute_type(things, :a) > b", "attribute_type"),
        ("begins_with(things, a) > b", "begins_with"),
        ("contains(:things, c) > b", "contains"),
        ("size(contains(a, b)) > a", "contains"),
        ("size(things)", "size"),
        ("NOT size(things)", "size"),
        ("a = b OR size(things)", "size"),
        ("a between b and attribute_exists(things)", "attribute_exists"),
        ("a in (b, attribute_exists(things))", "attribute_exists"),
    ],
)
def test_misused_functions(text: str, function: str) -> None:
    assert condition_error(text) == (
        f"The function is not allowed to be used this way in an expression; function: {function}"
    )


def test_list_append_cannot_be_nested() -> None:
    message = "The function is not allowed to be used this way in an expression; function: list_append"
    assert update_error("SET a = list_append(list_append(:a, b), c)") == message
    assert update_error("SET a = if_not_exists(a, list_append(b, c))") == message


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("attribute_exists(#Pictures.RearView, :a) and a=a", "#Pictures"),
        ("begins_with(Pictures.#RearView)", "#RearView"),
        ("(#P between :lo and :hi) and (#PC in (:cat1, :cat2))", "#P"),
        ("#4g > a", "#4g"),
        ("#_ > a", "#_"),
        ("(a)between(b.c[45].#d)and(:a)", "#d"),
    ],
)
def test_undefined_names(text: str, name: str) -> None:
    message = f"An expression attribute name used in the document path is not defined; attribute name: {name}"
    assert condition_error(text) == message
    assert condition_error(text, names={"#x": "x"}) == message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("begins_with(:hello, #a, #b)", ":hello"),
        (":a < :b", ":a"),
        (":_ > a", ":_"),
        ("attribute_exists(a) OR b = :late", ":late"),
    ],
)
def test_undefined_values(text: str, value: str) -> None:
    message = f"An expression attribute value used in expression is not defined; attribute value: {value}"
    assert condition_error(text) == message
    assert condition_error(text, values={":x": {"S": "x"}}) == message


@pytest.mark.parametrize(
    ("text", "function", "operands"),
    [
        ("attribute_exists(things, a) and a=a", "attribute_exists", 2),
        ("attribute_not_exists(things, b)", "attribute_not_exists", 2),
        ("attribute_type(things)", "attribute_type", 1),
        ("begins_with(things)", "begins_with", 1),
        ("begins_with(things, size(a), b)", "begins_with", 3),
        ("contains(things)", "contains", 1),
        ("size(things, a) > b", "size", 2),
    ],
)
def test_number_of_operands(text: str, function: str, operands: int) -> None:
    assert condition_error(text) == count(function, operands)


def test_number_of_operands_in_updates() -> None:
    assert update_error("set a = if_not_exists(c)") == count("if_not_exists", 1)
    assert update_error("set a = list_append(c)") == count("list_append", 1)
    assert update_error("set a = list_append(c, d, e)") == count("list_append", 3)


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">="])
@pytest.mark.parametrize("tag", ["BOOL", "NULL", "L", "M", "SS", "NS", "BS"])
def test_order_operators_take_only_scalars(operator: str, tag: str) -> None:
    values = {":v": dict(TYPES[tag])}
    assert condition_error(f"a {operator} :v", values=values) == typed(operator, tag)
    assert condition_error(f":v {operator} a", values=values) == typed(operator, tag)
    assert condition_error(f"attribute_not_exists(z) OR NOT (a {operator} :v)", values=values) == typed(
        operator, tag
    )
    assert condition_error("a BETWEEN :v AND b", values=values) == typed("BETWEEN", tag)


@pytest.mark.parametrize("tag", ["N", "BOOL", "NULL", "L", "M", "SS", "NS", "BS"])
def test_begins_with_takes_strings_and_binaries(tag: str) -> None:
    values = {":v": dict(TYPES[tag])}
    assert condition_error("begins_with(a, :v)", values=values) == typed("begins_with", tag)
    assert condition_error("begins_with(:v, a)", values=values) == typed("begins_with", tag)
    assert condition_error("begins_with(a, size(a)) and a = :v", values=values) == typed("begins_with", "N")


def test_size_takes_what_has_a_size() -> None:
    for tag in ("N", "BOOL", "NULL"):
        assert condition_error("size(:v) > a", values={":v": dict(TYPES[tag])}) == typed("size", tag)
    assert condition_error("size(size(a)) > :v", values={":v": {"N": "1"}}) == typed("size", "N")


def test_attribute_type_takes_the_name_of_a_type() -> None:
    for tag in TYPES.keys() - {"S"}:
        values = {":v": dict(TYPES[tag])}
        assert condition_error("attribute_type(a, :v)", values=values) == typed("attribute_type", tag)
    assert condition_error("attribute_type(a, size(b)) and a=c") == typed("attribute_type", "N")
    assert condition_error("attribute_type(a, b)").startswith(typed("attribute_type", "{S,SS,N,"))
    assert condition_error("attribute_type(a, :v)", values={":v": {"S": "STRING"}}) == (
        "Invalid attribute type name found; type: STRING, valid types: {S,SS,N,NS,B,BS,BOOL,NULL,L,M}"
    )


def test_attribute_type_in_the_classic_wording() -> None:
    prefix = "Invalid ConditionExpression: "
    message = failure("condition", "attribute_type(a, b)", wording="classic")
    assert message == prefix + typed("attribute_type", "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}")
    message = failure("condition", "attribute_type(a, :v)", values={":v": {"S": "x"}}, wording="classic")
    assert message.endswith("type: x, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}")


def test_functions_that_need_a_path() -> None:
    message = "Operator or function requires a document path; operator or function: "
    for text, function in [
        ("attribute_exists(:a) and a=a", "attribute_exists"),
        ("attribute_not_exists(size(:a))", "attribute_not_exists"),
        ("attribute_type(:a, :a)", "attribute_type"),
    ]:
        assert condition_error(text, values={":a": {"S": "1"}}) == message + function
    assert condition_error("attribute_not_exists(size(:a))", values={":a": {"N": "1"}}) == typed("size", "N")
    values = {":a": {"S": "1"}}
    assert update_error("set a = if_not_exists(:a, c)", values=values) == message + "if_not_exists"
    assert update_error("set a = if_not_exists(if_not_exists(a, b), c)") == message + "if_not_exists"


@pytest.mark.parametrize(
    ("text", "operator", "operand"),
    [
        ("a = a AND #a = b AND :views > a", "=", "[a]"),
        ("#a <> a", "<>", "[a]"),
        ("a > #a", ">", "[a]"),
        ("((a=a) OR (a=a))", "=", "[a]"),
        ("contains(ab.bc[1].a, ab.bc[1].#a)", "contains", "[ab, bc, [1], a]"),
        ("attribute_type(ab.bc[1].#a, ab.bc[1].a)", "attribute_type", "[ab, bc, [1], a]"),
        ("begins_with(ab.bc[1].a, ab.bc[1].#a)", "begins_with", "[ab, bc, [1], a]"),
        ("a BETWEEN b AND a", "BETWEEN", "[a]"),
        ("a BETWEEN a AND b", "BETWEEN", "[a]"),
        ("a IN (b, a)", "IN", "[a]"),
    ],
)
def test_operands_must_be_distinct(text: str, operator: str, operand: str) -> None:
    assert condition_error(text, names={"#a": "a"}) == (
        "The first operand must be distinct from the remaining operands for this operator or function; "
        f"operator: {operator}, first operand: {operand}"
    )


def test_distinct_applies_to_paths_only() -> None:
    ExpressionContext(None, {":a": {"N": "1"}}).filter(":a >= :a")
    assert update_error("SET a = if_not_exists(b.c, b.c)").endswith(
        "operator: if_not_exists, first operand: [b, c]"
    )


def test_between_bounds() -> None:
    both = (
        "The BETWEEN operator requires {}; lower bound operand: AttributeValue: {}, "
        "upper bound operand: AttributeValue: {}"
    )
    order = "upper bound to be greater than or equal to lower bound"
    kind = "same data type for lower and upper bounds"

    def error(low: dict[str, Any], high: dict[str, Any]) -> str:
        return condition_error("a BETWEEN :l AND :h", values={":l": low, ":h": high})

    assert error({"N": "9"}, {"N": "1"}) == both.format(order, "{N:9}", "{N:1}")
    assert error({"N": "10"}, {"N": "9"}) == both.format(order, "{N:10}", "{N:9}")
    assert error({"S": "z"}, {"S": "a"}) == both.format(order, "{S:z}", "{S:a}")
    assert error({"B": "eg=="}, {"B": "YQ=="}) == both.format(order, "{B:eg==}", "{B:YQ==}")
    assert error({"N": "1"}, {"S": "a"}) == both.format(kind, "{N:1}", "{S:a}")
    context = ExpressionContext(None, {":l": {"N": "5"}, ":h": {"N": "5.0"}})
    context.condition("a BETWEEN :l AND :h")


def test_bounds_are_compared_only_if_both_are_values() -> None:
    for text in ("a BETWEEN :v AND b", "a BETWEEN b AND :v"):
        ExpressionContext(None, {":v": {"N": "5"}}).condition(text)


def test_in_takes_100_operands() -> None:
    values = {f":v{number}": {"N": str(number)} for number in range(101)}
    names = list(values)
    ExpressionContext(None, dict(values)).filter(f"a IN ({', '.join(names[:100])})")
    assert condition_error(f"a IN ({', '.join(names)})", values=values) == (
        "The IN operator is provided with too many operands; number of operands: 101"
    )


def test_document_paths_have_at_most_32_steps_and_32_bit_positions() -> None:
    ExpressionContext().projection("a" + ".b" * 31)
    assert failure("projection", "a" + ".b" * 32) == (
        "Invalid ProjectionExpression: The document path has too many nesting levels; nesting levels: 33"
    )
    ExpressionContext().projection("l[2147483647]")
    assert failure("projection", "l[2147483648]") == (
        "Invalid ProjectionExpression: List index is not within the allowable range; index: [2147483648]"
    )


@pytest.mark.parametrize(
    ("text", "section"),
    [
        ("set a = #c set c = :d", "SET"),
        ("remove #d set a = b remove e", "REMOVE"),
        ("add #d :e set a = b add e :f", "ADD"),
        ("delete #d :e set a = b delete #e :f", "DELETE"),
    ],
)
def test_each_section_once(text: str, section: str) -> None:
    assert update_error(text) == f'The "{section}" section can only be used once in an update expression;'


@pytest.mark.parametrize(
    ("text", "verb", "one", "two"),
    [
        ("set a = b, a = c", "overlap", "[a]", "[a]"),
        ("set a = b remove a", "overlap", "[a]", "[a]"),
        ("set a = b, a.b = c", "overlap", "[a]", "[a, b]"),
        ("set a.b = c, a = b", "overlap", "[a, b]", "[a]"),
        ("set #c[3].#d = a, #c[3] = a", "overlap", "[c, [3], [3]]", "[c, [3]]"),
        ("set d[1] = a, d.b = a, c[1].a = a, #c = if_not_exists(a)", "overlap", "[c, [1], a]", "[c]"),
        ("set #c[3].#d = a, #c.#d[3] = if_not_exists(a)", "conflict", "[c, [3], [3]]", "[c, [3], [3]]"),
        ("remove a.#c set a[1] = #d", "conflict", "[a, c]", "[a, [1]]"),
    ],
)
def test_overlapping_and_conflicting_targets(text: str, verb: str, one: str, two: str) -> None:
    assert update_error(text, names={"#c": "c", "#d": "[3]"}) == (
        f"Two document paths {verb} with each other; must remove or rewrite one of these paths; "
        f"path one: {one}, path two: {two}"
    )


def test_targets_side_by_side_are_fine_and_reads_may_overlap() -> None:
    ExpressionContext(None, {":v": {"N": "1"}}).update("SET a.b = a.c, a.d = :v REMOVE l[0], l[1] ADD n :v")


@pytest.mark.parametrize(
    ("tag", "word"),
    [
        ("S", "STRING"),
        ("B", "BINARY"),
        ("NULL", "NULL"),
        ("BOOL", "BOOL"),
        ("M", "MAP"),
        ("L", "LIST"),
        ("N", "NUMBER"),
    ],
)
def test_operands_of_add_and_delete(tag: str, word: str) -> None:
    message = (
        "Incorrect operand type for operator or function; operator: {}, "
        f"operand type: {word}, typeSet: ALLOWED_FOR_ADD_OPERAND"
    )
    values = {":a": dict(TYPES[tag])}
    assert update_error("delete a.b :a", values=values) == message.format("DELETE")
    if tag != "N":
        assert update_error("add a.b :a", values=values) == message.format("ADD")
    if tag == "BOOL":
        classic = failure("update", "add a :a", values=values, wording="classic")
        assert "operand type: BOOLEAN, " in classic


@pytest.mark.parametrize("function", ["+", "-"])
@pytest.mark.parametrize("tag", sorted(TYPES.keys() - {"N"}))
def test_operands_of_arithmetic(function: str, tag: str) -> None:
    values = {":a": dict(TYPES[tag])}
    assert update_error(f"set a = b {function} :a", values=values) == typed(function, tag)
    assert update_error(f"set a = :a {function} b", values=values) == typed(function, tag)


@pytest.mark.parametrize("tag", sorted(TYPES.keys() - {"L"}))
def test_operands_of_list_append(tag: str) -> None:
    values = {":a": dict(TYPES[tag])}
    assert update_error("set a = list_append(:a, b)", values=values) == typed("list_append", tag)
    assert update_error("set a = list_append(b, :a)", values=values) == typed("list_append", tag)


def test_order_of_errors_in_conditions() -> None:
    # Words come before placeholders, wherever they stand.
    assert "reserved keyword" in condition_error("#undefined = :undefined AND status = a")
    # Within a condition: placeholders, number of operands, distinct operands, types.
    assert "not defined" in condition_error("contains(a, a, #undefined)")
    assert "number of operands" in condition_error("contains(a, a, b)")
    assert "must be distinct" in condition_error("attribute_type(a, a)")
    # Conditions from left to right.
    assert "operand type" in condition_error("a < :l AND b = :undefined", values={":l": {"L": []}})
    assert "not defined" in condition_error("b = :undefined AND a < :l", values={":l": {"L": []}})


def test_order_of_errors_in_updates() -> None:
    assert "reserved keyword" in update_error("SET #undefined = status, #undefined = :v")
    assert "Invalid function name" in update_error("set #c = if_not_exist(:c) set c = d")
    assert "attribute name: #c" in update_error("SET #c = if_not_exists(:c)")
    assert "attribute value: :c" in update_error("SET a = if_not_exists(:c)")
    # All names of an action come before its values.
    assert "attribute name: #c" in update_error("SET a = :c + #c")
    assert "attribute name: #c" in update_error("SET a = if_not_exists(b, :c) + if_not_exists(d, #c)")
    # The last action is looked at first.
    assert "operator: ADD" in update_error(
        "set b = list_append(:a, a), c = if_not_exists(a) add a.b :a", values={":a": {"S": "a"}}
    )


def test_projection_paths_must_not_overlap() -> None:
    prefix = (
        "Invalid ProjectionExpression: Two document paths overlap with each other; "
        "must remove or rewrite one of these paths; "
    )
    names = {"#p": "a", "#q": "b"}
    assert failure("projection", "a, a") == prefix + "path one: [a], path two: [a]"
    assert failure("projection", "alist[0], alist") == prefix + "path one: [alist, [0]], path two: [alist]"
    assert failure("projection", "x, a.b, a") == prefix + "path one: [a, b], path two: [a]"
    assert failure("projection", "#p, #p.#q", names) == prefix + "path one: [a], path two: [a, b]"
    assert failure("projection", "a, a.b", {"#unused": "z"}) == prefix + "path one: [a], path two: [a, b]"
