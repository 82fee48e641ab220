"""Errors of expressions, and the texts that several modules share.

`ExpressionError` is everything that is wrong with the expressions of a request by themselves: syntax, names,
values, operand types, unused placeholders. Some operations report these inside the envelope
`1 validation error detected: ` and others bare, so its message is bare and the API layer adds the envelope.

Errors that show only when an expression meets an item (a missing attribute, a wrong data type, an invalid
document path) are plain validation errors: no operation wraps them.

All texts are the real service's. Where its newer validation layer words something differently, the text is
a `Worded` pair and the request's wording chooses.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from hashrange.errors import VALIDATE, ApiError

Wording: TypeAlias = Literal["2026", "classic"]

CURRENT_WORDING: Final[Wording] = "2026"


class ExpressionError(ApiError):
    """ValidationException about the expressions of a request; `.message` carries no envelope."""

    __slots__ = ()

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message, namespace=VALIDATE)


class Worded(NamedTuple):
    """One message in the service's two wordings."""

    current: str
    classic: str

    def text(self, wording: Wording) -> str:
        """The message in the wording asked for."""
        return self.classic if wording == "classic" else self.current


Message: TypeAlias = str | Worded


def message_text(message: Message, wording: Wording) -> str:
    """The text of a message that may be worded in two ways."""
    return message if isinstance(message, str) else message.text(wording)


def operand_type(function: str, actual: str) -> str:
    """A literal operand, or one whose type is known beforehand, that the function does not take."""
    return (
        "Incorrect operand type for operator or function; "
        f"operator or function: {function}, operand type: {actual}"
    )


def operand_count(function: str, count: int) -> str:
    """A function called with too few or too many operands."""
    return (
        "Incorrect number of operands for operator or function; "
        f"operator or function: {function}, number of operands: {count}"
    )


def needs_path(function: str) -> str:
    """A function whose first operand must be a document path was given something else."""
    return f"Operator or function requires a document path; operator or function: {function}"


def misused_function(function: str) -> str:
    """A function in a place where its result cannot be used."""
    return f"The function is not allowed to be used this way in an expression; function: {function}"


def not_distinct(operator: str, operand: str) -> str:
    """The same path stands on both sides of an operator."""
    return (
        "The first operand must be distinct from the remaining operands for this operator or function; "
        f"operator: {operator}, first operand: {operand}"
    )


def undefined_name(placeholder: str) -> str:
    """A #name that ExpressionAttributeNames does not define."""
    return (
        "An expression attribute name used in the document path is not defined; "
        f"attribute name: {placeholder}"
    )


def undefined_value(placeholder: str) -> str:
    """A :value that ExpressionAttributeValues does not define."""
    return f"An expression attribute value used in expression is not defined; attribute value: {placeholder}"
