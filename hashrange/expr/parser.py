"""Parser of all expression kinds: text to syntax tree (see `tree`), or the exact syntax error.

Recursive descent, one method a grammar rule. A rule that contains others is a generator: it yields the rule
it needs next and is sent that rule's tree. `_run` keeps the waiting rules on a list of its own, so nesting is
bounded by the size of the text and never by Python's stack: 4,096 opening parentheses give the same syntax
error as one.

The parser looks at one token only, and so its error is always at the first token that cannot continue the
expression, which is where the real service reports it.

An opening parenthesis may begin a condition or an operand. The rule for what is inside accepts both and tells
them apart by what follows; `(a)` alone is an operand and `(a = :v)` a condition.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NoReturn, TypeAlias

from hashrange.expr.tokens import COMPARATORS, END, INDEX, NAME, REFERENCE, VALUE, Token, tokenize
from hashrange.expr.tree import (
    MAX_EXPRESSION_SIZE,
    MAX_OPERATORS,
    PROJECTION,
    UPDATE,
    Tree,
)

Rule: TypeAlias = Generator["Rule", Any, Any]

_OPERANDS = frozenset({"path", "value", "call"})
_CLAUSES = frozenset({"SET", "REMOVE", "ADD", "DELETE"})
# These two tell the size of a text that is too long, the others do not (observed).
_TELLS_SIZE = frozenset({"ConditionExpression", "FilterExpression"})


class ParseError(Exception):
    """The text is no expression; carries the service's message without `Invalid ...Expression: `."""


def parse(kind: str, text: str) -> Tree:
    """The syntax tree of an expression.

    Raises `ParseError`: empty or too long, a syntax error, redundant parentheses, too many operators.
    """
    if not text.strip(" \t\r\n"):
        raise ParseError("The expression can not be empty;")
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_EXPRESSION_SIZE:
        detail = f" expression size: {size}" if kind in _TELLS_SIZE else ""
        raise ParseError("Expression size has exceeded the maximum allowed size;" + detail)
    parser = _Parser(text)
    if kind == UPDATE:
        tree = _run(parser.update())
    elif kind == PROJECTION:
        tree = parser.projection()
    else:
        tree = _run(parser.condition(False))
        if parser.kind != END:
            parser.fail()
    if parser.operators > MAX_OPERATORS:
        # The service stops counting at the first one too many.
        raise ParseError(f"The expression contains too many operators; operator count: {MAX_OPERATORS + 1}")
    return tree


def _run(rule: Rule) -> Tree:
    """Run a rule and the rules it asks for, without recursion."""
    waiting: list[Rule] = []
    result: Tree | None = None
    while True:
        try:
            wanted = rule.send(result)
        except StopIteration as done:
            result = done.value
            if not waiting:
                assert result is not None
                return result
            rule = waiting.pop()
        else:
            waiting.append(rule)
            rule = wanted
            result = None


class _Parser:
    """The tokens of one expression, a position in them, and the grammar."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.position = 0
        self.kind = self.tokens[0].kind
        self.operators = 0
        # The last closed pair of grouping parentheses, as token positions.
        self._group = (-1, -1)

    def advance(self) -> Token:
        token = self.tokens[self.position]
        self.position += 1
        self.kind = self.tokens[self.position].kind
        return token

    def expect(self, kind: str) -> Token:
        if self.kind != kind:
            self.fail()
        return self.advance()

    def fail(self) -> NoReturn:
        """Syntax error at the current token: it, and the text from the token before to the one after."""
        tokens, position = self.tokens, self.position
        start = tokens[position - 1].start if position else 0
        end = tokens[position + 1].end if position + 1 < len(tokens) else len(self.text)
        raise ParseError(f'Syntax error; token: "{tokens[position].text}", near: "{self.text[start:end]}"')

    def close_group(self, opened: int) -> None:
        """The closing parenthesis of the group opened at token `opened`; two around the same are an error."""
        closing = self.position
        self.expect(")")
        if self._group == (opened + 1, closing - 1):
            raise ParseError("The expression has redundant parentheses;")
        self._group = (opened, closing)

    # Conditions

    def condition(self, bare_allowed: bool) -> Rule:
        """Conditions joined by OR. With `bare_allowed` a single operand will do if `)` follows it."""
        first = yield self.conjunction(bare_allowed)
        if self.kind != "OR":
            return first
        members = [first]
        while self.kind == "OR":
            self.advance()
            self.operators += 1
            members.append((yield self.conjunction(False)))
        return ("or", tuple(members))

    def conjunction(self, bare_allowed: bool) -> Rule:
        first = yield self.negation(bare_allowed)
        if self.kind != "AND":
            return first
        members = [first]
        while self.kind == "AND":
            self.advance()
            self.operators += 1
            members.append((yield self.negation(False)))
        return ("and", tuple(members))

    def negation(self, bare_allowed: bool) -> Rule:
        negations = 0
        while self.kind == "NOT":
            self.advance()
            negations += 1
        tree = yield self.primary(bare_allowed and not negations)
        self.operators += negations
        for _ in range(min(negations, MAX_OPERATORS + 1)):
            tree = ("not", tree)
        return tree

    def primary(self, bare_allowed: bool) -> Rule:
        if self.kind == "(":
            opened = self.position
            self.advance()
            left = yield self.condition(True)
            self.close_group(opened)
            if left[0] not in _OPERANDS:
                return left
        else:
            left = yield self.operand()
        kind = self.kind
        if kind in COMPARATORS:
            self.advance()
            self.operators += 1
            return ("compare", kind, left, (yield self.operand()))
        if kind == "BETWEEN":
            self.advance()
            self.operators += 1
            low = yield self.operand()
            self.expect("AND")
            return ("between", left, low, (yield self.operand()))
        if kind == "IN":
            self.advance()
            self.operators += 1
            self.expect("(")
            candidates = yield self.operands()
            self.expect(")")
            return ("in", left, candidates)
        if left[0] != "call" and not (bare_allowed and kind == ")"):
            self.fail()
        return left

    # Operands

    def operand(self) -> Rule:
        kind = self.kind
        if kind == VALUE:
            return ("value", self.advance().text)
        if kind == "(":
            opened = self.position
            self.advance()
            inner = yield self.operand()
            self.close_group(opened)
            return inner
        if kind == NAME and self.tokens[self.position + 1].kind == "(":
            function = self.advance().text
            self.advance()
            self.operators += 1
            arguments = yield self.operands()
            self.expect(")")
            return ("call", function, arguments)
        return self.path()

    def operands(self) -> Rule:
        """One or more operands with commas between them, as a tuple of trees."""
        members = [(yield self.operand())]
        while self.kind == ",":
            self.advance()
            members.append((yield self.operand()))
        return tuple(members)

    def path(self) -> Tree:
        if self.kind not in (NAME, REFERENCE):
            self.fail()
        steps: list[str | int] = [self.advance().text]
        while True:
            if self.kind == ".":
                self.advance()
                if self.kind not in (NAME, REFERENCE):
                    self.fail()
                steps.append(self.advance().text)
            elif self.kind == "[":
                self.advance()
                steps.append(int(self.expect(INDEX).text))
                self.expect("]")
            else:
                return ("path", tuple(steps))

    # Updates

    def update(self) -> Rule:
        clauses = []
        while True:
            keyword = self.kind
            if keyword not in _CLAUSES:
                self.fail()
            self.advance()
            action = self.set_action if keyword == "SET" else self.other_action(keyword)
            actions = [(yield action())]
            while self.kind == ",":
                self.advance()
                actions.append((yield action()))
            clauses.append((keyword, tuple(actions)))
            if self.kind == END:
                return ("update", tuple(clauses))

    def set_action(self) -> Rule:
        target = self.path()
        self.expect("=")
        return (target, (yield self.set_value()))

    def other_action(self, keyword: str) -> Callable[[], Rule]:
        """The rule for an action of REMOVE (a path), or of ADD and DELETE (a path and a value)."""

        def action() -> Rule:
            target = self.path()
            value = None if keyword == "REMOVE" else ("value", self.expect(VALUE).text)
            return (target, value)
            yield  # makes the function a rule

        return action

    def set_value(self) -> Rule:
        """An operand, or two with one + or - between them; parentheses may stand round either."""
        if self.kind == "(":
            opened = self.position
            self.advance()
            left = yield self.set_value()
            self.close_group(opened)
            if left[0] == "arithmetic":
                return left
        else:
            left = yield self.operand()
        if self.kind not in ("+", "-"):
            return left
        operator = self.advance().kind
        self.operators += 1
        return ("arithmetic", operator, left, (yield self.operand()))

    # Projections

    def projection(self) -> Tree:
        paths = [self.path()]
        while self.kind == ",":
            self.advance()
            paths.append(self.path())
        if self.kind != END:
            self.fail()
        return ("projection", tuple(paths))
