"""The texts of expressions: what is a syntax error, where it is reported, and the limits of a text."""

from __future__ import annotations

import pytest

from hashrange.expr.parser import ParseError, parse
from hashrange.expr.tokens import tokenize
from hashrange.expr.tree import CONDITION, FILTER, KEY_CONDITION, PROJECTION, UPDATE


def error_of(kind: str, text: str) -> str:
    with pytest.raises(ParseError) as caught:
        parse(kind, text)
    return str(caught.value)


def syntax(token: str, near: str) -> str:
    return f'Syntax error; token: "{token}", near: "{near}"'


def test_tokens_carry_kind_text_and_place() -> None:
    tokens = tokenize(" #n BeTween :v[10]<>x_1")
    assert [(token.kind, token.text) for token in tokens] == [
        ("reference", "#n"),
        ("BETWEEN", "BeTween"),
        ("value", ":v"),
        ("[", "["),
        ("index", "10"),
        ("]", "]"),
        ("<>", "<>"),
        ("name", "x_1"),
        ("end", "<EOF>"),
    ]
    assert (tokens[0].start, tokens[0].end) == (1, 3)


@pytest.mark.parametrize(
    ("text", "token", "near"),
    [
        ("a-b", "-", "a-b"),
        ("things are not gonna be ok", "are", "things are not"),
        ("a > 4", "4", "> 4"),
        ("NOT (a)", "<EOF>", ")"),
        ("contains (themes, :theme", "<EOF>", ":theme"),
        ("#id attribute_not_exists :x", "attribute_not_exists", "#id attribute_not_exists :x"),
        ("attribute_type()", ")", "()"),
        ("#list[-1].#c = :v", "-", "[-1"),
        ("#list[abc].#c = :v", "abc", "[abc]"),
        ("a.:a < b.:b", ":a", ".:a <"),
        ("a[01] = :v", "1", "01]"),
        ("attribute_exists(_c)", "_", "(_c"),
        ("ü > a", "ü", "ü >"),
        ("a in b", "b", "in b"),
        ("a in (b,c,)", ")", ",)"),
        ("size(a).b > a", ".", ").b"),
        ("(size(a))[0] > a", "[", ")[0"),
        ("(a)between(b.(c.d))and(c)", "(", ".(c"),
        ("(a)between(b.c.d)and((c)", "<EOF>", ")"),
        ("(a = b) = c", "=", ") = c"),
        ("a = :v extra", "extra", ":v extra"),
        ("#$.b > a", "#", "#$"),
        ("set = :v", "set", "set ="),
        ("a =", "<EOF>", "="),
        ("a AND b = c", "AND", "a AND b"),
    ],
)
def test_condition_syntax_errors(text: str, token: str, near: str) -> None:
    assert error_of(CONDITION, text) == syntax(token, near)


@pytest.mark.parametrize(
    ("text", "token", "near"),
    [
        ("INVALID SYNTAX HERE", "INVALID", "INVALID SYNTAX"),
        ("  RESET NonExistent value", "RESET", "  RESET NonExistent"),
        ("RESET", "RESET", "RESET"),
        ("SET", "<EOF>", "SET"),
        ("ADD hits : incr", ":", "hits : incr"),
        ("ADD  SET #createdAt", "SET", "ADD  SET #createdAt"),
        ("ADD attr val foobar", "val", "attr val foobar"),
        ("ADD attr :val foobar", "foobar", ":val foobar"),
        ("DELETE attr val", "val", "attr val"),
        ("SET _123 = :v", "_", "SET _123"),
        ("SET MyStr[ 3 ", "<EOF>", "3 "),
        ("SET MyStr[3 )", ")", "3 )"),
        ("SET MyStr = (:_val + (:val2", "<EOF>", ":val2"),
        ("SET MyStr = [:_val  ", "[", "= [:_val"),
        ("SET a [  [2] ]. b = 5", "[", "[  [2"),
        ("SET a [2 1]. b = 5", "1", "2 1]"),
        ("SET path = VALUE 1", "1", "VALUE 1"),
        ("SET a = b + c + d", "+", "c + d"),
        ("SET a = NoExist + - :_val ", "-", "+ - :_val"),
        ("SET numx = numx * :v", "*", "numx * :v"),
        ("SET a = if_not_exists(c, :v+:w)", "+", ":v+:w"),
        ("SET (a = (b + c))", "(", "SET (a"),
        ("SET a = (b.c).d + e", ".", ").d"),
        ("SET :a = b", ":a", "SET :a ="),
        ("REMOVE NoExist + ", "+", "NoExist + "),
        ("REMOVE if_not_exists(a,b)", "(", "if_not_exists(a"),
        ("REMOVE a b", "b", "a b"),
        ("SET a = :v,", "<EOF>", ","),
        ("SET #list[0.#comment = :value", ".", "0.#comment"),
    ],
)
def test_update_syntax_errors(text: str, token: str, near: str) -> None:
    assert error_of(UPDATE, text) == syntax(token, near)


@pytest.mark.parametrize(
    ("text", "token", "near"),
    [("!!!", "!", "!!"), ("a,", "<EOF>", ","), ("a b", "b", "a b"), ("#list[].#comment", "]", "[].")],
)
def test_projection_syntax_errors(text: str, token: str, near: str) -> None:
    assert error_of(PROJECTION, text) == syntax(token, near)


@pytest.mark.parametrize(
    "text",
    [
        "((a = :v))",
        "a=a and a > ((views))",
        "(a)between(((b.c)).d)and(c)",
        "a > whatever((:things), ((a)))",
        "a=a AND ((a=a AND a=a)) AND a=a",
        "a=a OR ((a=a OR (a=a OR a=a)))",
        "((a)) = :v",
        "((a = :v)) and then a syntax error",
    ],
)
def test_two_parentheses_round_the_same_are_redundant(text: str) -> None:
    assert error_of(FILTER, text) == "The expression has redundant parentheses;"


def test_redundant_parentheses_in_updates() -> None:
    assert error_of(UPDATE, "SET a = ((b + c))") == "The expression has redundant parentheses;"
    assert error_of(UPDATE, "SET a = ((b)) + c") == "The expression has redundant parentheses;"


@pytest.mark.parametrize(
    "text",
    [
        "(a) = :v",
        "(a = :v)",
        "(a = :v) AND (b = :w)",
        "(a = :v AND (b = :w))",
        "((a=b) OR (a=c))",
        "((a) = (b))",
        "(size(a)) > (:v)",
        "( ( ( size ( #ATTR5 )) < #ATTR3.Maximum ) AND ( #ATTR6 > :val1 ) )",
        "(attribute_not_exists(pk)) AND (attribute_not_exists(#s))",
        "a IN ((b), (c))",
        "(a) between (b) and (c)",
        "NOT NOT a = b",
        "not(a = b)and(c)in(d)",
    ],
)
def test_parentheses_that_are_fine(text: str) -> None:
    parse(CONDITION, text)


def test_parentheses_do_not_change_the_tree_of_an_operand() -> None:
    assert parse(CONDITION, "((a) = (:v))") == parse(CONDITION, "a = :v")
    assert parse(UPDATE, "SET a = ((b.c)+(e))") == parse(UPDATE, "SET a = b.c + e")


def test_and_binds_tighter_than_or_and_not_tightest() -> None:
    a, b, c = (("compare", "=", ("path", (name,)), ("value", ":v")) for name in "abc")
    assert parse(CONDITION, "a = :v OR b = :v AND NOT c = :v") == ("or", (a, ("and", (b, ("not", c)))))


def test_keywords_in_any_case() -> None:
    assert parse(UPDATE, "sEt a = :v rEmOvE b") == parse(UPDATE, "SET a = :v REMOVE b")
    assert parse(CONDITION, "a bEtWeEn b aNd c") == parse(CONDITION, "a BETWEEN b AND c")


@pytest.mark.parametrize("kind", [CONDITION, FILTER, UPDATE, PROJECTION, KEY_CONDITION])
@pytest.mark.parametrize("text", ["", " \t\r\n"])
def test_empty(kind: str, text: str) -> None:
    assert error_of(kind, text) == "The expression can not be empty;"


def test_size_limit_counts_bytes_and_only_conditions_and_filters_tell_the_size() -> None:
    name = "a" * 4092
    parse(CONDITION, f"{name}=:v"[:4096])
    assert error_of(CONDITION, f"{name} = :v") == (
        "Expression size has exceeded the maximum allowed size; expression size: 4097"
    )
    assert error_of(FILTER, "é" * 2049) == (
        "Expression size has exceeded the maximum allowed size; expression size: 4098"
    )
    for kind in (UPDATE, PROJECTION, KEY_CONDITION):
        assert error_of(kind, "a" * 4097) == "Expression size has exceeded the maximum allowed size;"


def test_300_operators_and_functions_at_most() -> None:
    comparisons = " OR ".join(["a=b"] * 150)
    parse(CONDITION, f"NOT {comparisons}")  # 150 comparisons, 149 OR, 1 NOT
    too_many = "The expression contains too many operators; operator count: 301"
    assert error_of(CONDITION, f"NOT NOT {comparisons}") == too_many
    assert error_of(CONDITION, "NOT " * 900 + "a=b") == too_many
    functions = " AND ".join(["attribute_exists(a)"] * 150)
    parse(CONDITION, f"NOT {functions}")
    assert error_of(CONDITION, f"NOT {functions} AND size(b) < c") == too_many
    between = " AND ".join(["a BETWEEN b AND c"] * 150)
    parse(CONDITION, f"NOT {between}")
    assert error_of(CONDITION, f"NOT NOT {between}") == too_many
    one_of = " AND ".join(["a IN (b)"] * 150)
    parse(CONDITION, f"NOT {one_of}")
    assert error_of(CONDITION, f"NOT NOT {one_of}") == too_many
    parse(UPDATE, "SET " + ",".join(f"a{i}=b+c" for i in range(300)))
    assert error_of(UPDATE, "SET " + ",".join(f"a{i}=b+c" for i in range(301))) == too_many


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (CONDITION, "(" * 4096),
        (CONDITION, "size(" * 819),
        (CONDITION, "a IN (" * 600),
        (UPDATE, "SET a=" + "(" * 4000),
        (UPDATE, "SET a=" + "f(" * 2000),
        (CONDITION, "NOT(" * 1024),
    ],
)
def test_deep_nesting_is_an_ordinary_syntax_error(kind: str, text: str) -> None:
    assert error_of(kind, text).startswith('Syntax error; token: "')


def test_deeply_nested_but_closed_is_counted_or_redundant() -> None:
    deep = "size(" * 400 + "a" + ")" * 400 + " > :v"
    assert "too many operators" in error_of(CONDITION, deep)
    assert "redundant parentheses" in error_of(CONDITION, "(" * 1000 + "a=b" + ")" * 1000)
