"""The words of an expression: names, placeholders, list indexes, keywords and punctuation.

One lexer serves every kind of expression, so that SET, AND and the other keywords are keywords everywhere:
as a name they are a syntax error, not a reserved word. A character that fits nowhere is a token of its own
(`BAD`), which no rule of the grammar accepts; the error then names it (observed behaviour of the real
service).

    tokenize("a = :v")
    [Token("name", "a", 0, 1), Token("=", "=", 2, 3), Token("value", ":v", 4, 6), Token("end", "<EOF>", 6, 6)]
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

NAME: Final = "name"
REFERENCE: Final = "reference"
VALUE: Final = "value"
INDEX: Final = "index"
BAD: Final = "bad"
END: Final = "end"

KEYWORDS: Final = frozenset({"AND", "OR", "NOT", "BETWEEN", "IN", "SET", "REMOVE", "ADD", "DELETE"})
COMPARATORS: Final = frozenset({"=", "<>", "<", "<=", ">", ">="})

# Alternatives in the order of the groups below. A list index has no leading zero: `01` is two tokens.
_next_token = re.compile(
    r"[ \t\r\n]*(?:"
    r"([A-Za-z][A-Za-z0-9_]*)"
    r"|(\#[A-Za-z0-9_]+)"
    r"|(:[A-Za-z0-9_]+)"
    r"|(0|[1-9][0-9]*)"
    r"|(<>|<=|>=|[=<>()\[\],.+\-])"
    r"|([^ \t\r\n]))"
).match
_KINDS: Final = (None, NAME, REFERENCE, VALUE, INDEX, None, BAD)
_PUNCTUATION_GROUP: Final = 5


class Token(NamedTuple):
    """One token and its place; the kind of a keyword is the upper-case word, of punctuation the text."""

    kind: str
    text: str
    start: int
    end: int


def tokenize(text: str) -> list[Token]:
    """All tokens of `text` in order, closed by one END token. Never fails."""
    tokens: list[Token] = []
    position = 0
    match = _next_token(text, position)
    while match is not None:
        group = match.lastindex or 0
        word = match.group(group)
        start, position = match.span(group)
        if group == _PUNCTUATION_GROUP:
            kind = word
        else:
            kind = _KINDS[group] or word
            if kind is NAME and word.upper() in KEYWORDS:
                kind = word.upper()
        tokens.append(Token(kind, word, start, position))
        match = _next_token(text, position)
    tokens.append(Token(END, "<EOF>", len(text), len(text)))
    return tokens


def references(text: str) -> tuple[str, ...]:
    """The #names of an expression in the order of their first use, each once."""
    return tuple(dict.fromkeys(_find_references(text)))


_find_references = re.compile(r"#[A-Za-z0-9_]+").findall
