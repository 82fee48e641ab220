"""Checks of a request's values against an expression, prepared once for each expression.

Binding an expression leaves a list of steps in exactly the order in which the service looks for errors.
Steps that only ask whether a value is defined are needed to find the right error, not to find that there is
none: `Program.check_values` first takes all values by name, runs the other steps (most expressions have
none), and goes through the whole list only when something is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from hashrange.expr.errors import Message, Worded, Wording, message_text, operand_type, undefined_value
from hashrange.model import value as values_model
from hashrange.model.value import AttributeValue

Values = Mapping[str, AttributeValue]

TYPES: Final = ("S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS")
ORDERED: Final = frozenset({"S", "N", "B"})
SIZED: Final = frozenset({"S", "B", "L", "M", "SS", "NS", "BS"})
PREFIXED: Final = frozenset({"S", "B"})
NUMBERS: Final = frozenset({"N"})
LISTS: Final = frozenset({"L"})
ADDABLE: Final = frozenset({"N", "SS", "NS", "BS"})
DELETABLE: Final = frozenset({"SS", "NS", "BS"})

ANY_TYPE: Final = Worded(
    current="{S,SS,N,NS,B,BS,BOOL,NULL,L,M,HD,DOUBLE,FLOAT,HDS,FS,DOUBLESET,DICT,DECIMAL,INT,DECIMALSET,INTSET}",
    classic="{NS,SS,L,BS,N,M,B,BOOL,NULL,S}",
)
"""How an operand of no particular type is named, where attribute_type wants a string."""

_VALID_TYPES: Final = Worded(
    current="{S,SS,N,NS,B,BS,BOOL,NULL,L,M}", classic="{B,NULL,SS,BOOL,L,BS,N,NS,S,M}"
)

# Update actions name types in words, in both wordings alike but for BOOL.
_TYPE_WORDS: Final = {"S": "STRING", "N": "NUMBER", "B": "BINARY", "NULL": "NULL", "L": "LIST", "M": "MAP"}


class StepError(Exception):
    """What a step found, without `Invalid ...Expression: `."""


class Step(Protocol):
    """One check. `run` raises `StepError`."""

    def run(self, values: Values, wording: Wording) -> None: ...


class Defined:
    """A value must be defined."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, values: Values, wording: Wording) -> None:
        if self.name not in values:
            raise StepError(undefined_value(self.name))


class Fails:
    """Wrong whatever the values are; stands where the service would notice."""

    __slots__ = ("message",)

    def __init__(self, message: Message) -> None:
        self.message = message

    def run(self, values: Values, wording: Wording) -> None:
        raise StepError(message_text(self.message, wording))


class HasType:
    """A value must be of one of some types for an operator or function."""

    __slots__ = ("allowed", "function", "name")

    def __init__(self, name: str, allowed: frozenset[str], function: str) -> None:
        self.name = name
        self.allowed = allowed
        self.function = function

    def run(self, values: Values, wording: Wording) -> None:
        [tag] = values[self.name]
        if tag not in self.allowed:
            raise StepError(operand_type(self.function, tag))


class HasActionType:
    """A value must be of one of some types for ADD or DELETE."""

    __slots__ = ("allowed", "keyword", "name")

    def __init__(self, name: str, allowed: frozenset[str], keyword: str) -> None:
        self.name = name
        self.allowed = allowed
        self.keyword = keyword

    def run(self, values: Values, wording: Wording) -> None:
        [tag] = values[self.name]
        if tag in self.allowed:
            return
        word = _TYPE_WORDS.get(tag) or ("BOOLEAN" if wording == "classic" else "BOOL")
        # The type set is called that of ADD for both actions.
        raise StepError(
            "Incorrect operand type for operator or function; "
            f"operator: {self.keyword}, operand type: {word}, typeSet: ALLOWED_FOR_ADD_OPERAND"
        )


class IsTypeName:
    """The second operand of attribute_type: a string that names a type."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, values: Values, wording: Wording) -> None:
        [(tag, content)] = values[self.name].items()
        if tag != "S":
            raise StepError(operand_type("attribute_type", tag))
        if content not in TYPES:
            raise StepError(
                f"Invalid attribute type name found; type: {content}, "
                f"valid types: {_VALID_TYPES.text(wording)}"
            )


class AreBounds:
    """Literal bounds of BETWEEN: of one type, and in order."""

    __slots__ = ("high", "low")

    def __init__(self, low: str, high: str) -> None:
        self.low = low
        self.high = high

    def run(self, values: Values, wording: Wording) -> None:
        low, high = values[self.low], values[self.high]
        order = values_model.compare(low, high)
        if order is not None and order <= 0:
            return
        requires = (
            "same data type for lower and upper bounds"
            if order is None
            else "upper bound to be greater than or equal to lower bound"
        )
        raise StepError(
            f"The BETWEEN operator requires {requires}; lower bound operand: AttributeValue: "
            f"{_bound_text(low)}, upper bound operand: AttributeValue: {_bound_text(high)}"
        )


def _bound_text(value: AttributeValue) -> str:
    [(tag, content)] = value.items()
    return f"{{{tag}:{content}}}"
