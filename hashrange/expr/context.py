"""The expressions of one request: compiled together, because names and values are shared among them.

    context = ExpressionContext(names, values)  # ExpressionAttributeNames, ExpressionAttributeValues
    update = context.update(request["UpdateExpression"])
    condition = context.condition(request["ConditionExpression"])
    context.finish()

The constructor validates the values and makes them canonical in place. Each expression is checked when it is
compiled, in the order of the calls; `finish` refuses names and values that none of them used, and then key
conditions of a shape that no schema could take.

An expression may also be a `Compiled`: a tree instead of a text, with values of its own.

A request that uses expressions seen before costs a cache look-up each. The keys of the maps are not looked at
then: a key that an expression uses is well formed, and one that none uses is an error anyway. They are
checked as soon as anything is wrong, since the service reports a malformed key before all else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from hashrange.errors import ApiError, validation
from hashrange.expr.compiled import Compiled, program_of, value_names
from hashrange.expr.errors import CURRENT_WORDING, ExpressionError, Wording, message_text
from hashrange.expr.java_order import listed
from hashrange.expr.keycondition import Condition, KeyAttribute, KeyCondition, resolve_key_condition
from hashrange.expr.paths import Values
from hashrange.expr.program import MAX_PLACEHOLDER_SIZE, Bound, BoundUpdate, Program, program_for
from hashrange.expr.projection import Projection
from hashrange.expr.tree import CONDITION, FILTER, KEY_CONDITION, PROJECTION, UPDATE
from hashrange.model.value import CLASSIC, CURRENT, AttributeValue

_MAX_NAME_SIZE: Final = 65_535
_is_reference = re.compile(r"#[A-Za-z0-9_]+").fullmatch
_is_value = re.compile(r":[A-Za-z0-9_]+").fullmatch


class BoundKeyCondition:
    """A KeyConditionExpression with the values of a request, before its key schema is known."""

    __slots__ = ("program", "values")

    def __init__(self, program: Program, values: Values) -> None:
        self.program = program
        self.values = values

    def resolve(
        self, hash_parts: Sequence[KeyAttribute], range_parts: Sequence[KeyAttribute]
    ) -> KeyCondition:
        """The key condition for a key schema; validation errors if it does not fit (see `keycondition`)."""
        structure = self.program.key
        assert structure is not None
        if structure.error is not None:
            raise validation(message_text(structure.error, CURRENT_WORDING))
        values = self.values
        return resolve_key_condition(
            [
                Condition(attribute, operator, [values[number] for number in numbers])
                for attribute, (operator, numbers) in structure.conditions.items()
            ],
            hash_parts,
            range_parts,
        )


class ExpressionContext:
    """Compiles the expressions of one request. All errors are `ExpressionError`s unless said otherwise."""

    __slots__ = ("_programs", "_values_size", "names", "values", "wording")

    def __init__(
        self,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, AttributeValue] | None = None,
        wording: Wording = CURRENT_WORDING,
    ) -> None:
        """`names` and `values` are the maps of the request, None where absent.

        Raises for empty maps and invalid values. JSON of the wrong type inside a value stays a
        SerializationException.
        """
        self.names = names
        self.values = values
        self.wording: Wording = wording
        self._programs: list[Program] = []
        self._values_size = 0
        if names is not None and not names:
            raise ExpressionError("ExpressionAttributeNames must not be empty")
        if values is None:
            return
        if not values:
            self._check_names()
            raise ExpressionError("ExpressionAttributeValues must not be empty")
        self._normalise(values)

    def condition(self, text: str) -> Bound:
        """A ConditionExpression."""
        return Bound(*self._bind(CONDITION, text))

    def filter(self, text: str) -> Bound:
        """A FilterExpression."""
        return Bound(*self._bind(FILTER, text))

    def update(self, text: str) -> BoundUpdate:
        """An UpdateExpression."""
        return BoundUpdate(*self._bind(UPDATE, text), self._values_size)

    def projection(self, text: str) -> Projection:
        """A ProjectionExpression."""
        program, _ = self._bind(PROJECTION, text)
        assert program.projection is not None
        return program.projection

    def key_condition(self, text: str) -> BoundKeyCondition:
        """A KeyConditionExpression, checked as a condition; `finish` checks its shape."""
        return BoundKeyCondition(*self._bind(KEY_CONDITION, text))

    def finish(self) -> None:
        """Refuse names and values that no expression used, and key conditions of an unusable shape.

        The latter is a plain validation error. Does nothing if there were no expressions.
        """
        programs = self._programs
        if not programs:
            return
        if self.names:
            used = programs[0].used_names
            for program in programs[1:]:
                used = used | program.used_names
            # Whatever is used is defined.
            if len(used) != len(self.names):
                raise self._unused("ExpressionAttributeNames", self.names, used)
        if self.values:
            used = programs[0].used_values
            for program in programs[1:]:
                used = used | program.used_values
            if len(used) != len(self.values):
                raise self._unused("ExpressionAttributeValues", self.values, used)
        for program in programs:
            if program.key is not None and program.key.error is not None:
                raise validation(message_text(program.key.error, self.wording))

    def _bind(self, kind: str, text: str) -> tuple[Program, Values]:
        try:
            if text.__class__ is Compiled:
                program, values = self._bind_compiled(kind, text)
            else:
                program = program_for(kind, text, self.names)
                values = program.check_values(self.values, self.wording)
        except ExpressionError:
            self._check_maps()
            raise
        if program.long_placeholders:
            self._check_maps()
        self._programs.append(program)
        return program, values

    def _bind_compiled(self, kind: str, compiled: Compiled) -> tuple[Program, Values]:
        """An expression that is parsed already and has its values with it, checked as all values are."""
        values = dict(zip(value_names(len(compiled.values)), compiled.values, strict=True))
        self._normalise(values)
        program = program_of(kind, compiled)
        return program, program.check_values(values, self.wording)

    def _normalise(self, values: Mapping[str, AttributeValue]) -> None:
        """Make values canonical and count their sizes; raises for invalid ones."""
        normalise = CURRENT.normalise_value if self.wording == "2026" else CLASSIC.normalise_value
        size = 0
        for name, value in values.items():
            try:
                size += normalise(value)
            except ApiError as error:
                raise self._value_error(name, error) from None
        self._values_size += size

    def _unused(self, parameter: str, keys: Mapping[str, object], used: frozenset[str]) -> ExpressionError:
        self._check_maps()
        unused = [key for key in keys if key not in used]
        return ExpressionError(
            f"Value provided in {parameter} unused in expressions: keys: {listed(unused, len(keys))}"
        )

    def _value_error(self, name: str, error: ApiError) -> ApiError:
        """What to raise for an invalid value; malformed keys of either map come first.

        Only the older layer of the service says which value it is.
        """
        if error.type_name != "ValidationException":
            return error
        self._check_maps()
        if self.wording == "2026":
            return error
        return ExpressionError(
            f"ExpressionAttributeValues contains invalid value: {error.message} for key {name}"
        )

    def _check_maps(self) -> None:
        self._check_names()
        for key in self.values or ():
            if len(key.encode()) > MAX_PLACEHOLDER_SIZE:
                raise ExpressionError(
                    "ExpressionAttributeValues contains invalid key: "
                    "The expression attribute map contains a key that is too long;"
                )
            if not _is_value(key):
                raise ExpressionError(
                    f'ExpressionAttributeValues contains invalid key: Syntax error; key: "{key}"'
                )

    def _check_names(self) -> None:
        for key, name in (self.names or {}).items():
            size = len(key.encode())
            if size > MAX_PLACEHOLDER_SIZE:
                raise ExpressionError(
                    "ExpressionAttributeNames contains invalid key: "
                    f"The expression attribute map contains a key that is too long; size of key: {size}"
                )
            if not _is_reference(key):
                raise ExpressionError(
                    f'ExpressionAttributeNames contains invalid key: Syntax error; key: "{key}"'
                )
            problem = None
            if not name:
                problem = "Empty attribute name"
            elif len(name.encode()) > _MAX_NAME_SIZE:
                problem = "Attribute name is too large, must be less than 65536 bytes"
            if problem is not None:
                raise ExpressionError(
                    f"ExpressionAttributeNames contains invalid value: {problem} for key {key}"
                )


def compile_condition(
    text: str,
    names: Mapping[str, str] | None = None,
    values: Mapping[str, AttributeValue] | None = None,
    kind: str = CONDITION,
) -> Bound:
    """One condition or filter (`kind`) by itself, with names and values that it must use up."""
    context = ExpressionContext(names, values)
    bound = context.filter(text) if kind == FILTER else context.condition(text)
    context.finish()
    return bound


def compile_update(
    text: str,
    names: Mapping[str, str] | None = None,
    values: Mapping[str, AttributeValue] | None = None,
) -> BoundUpdate:
    """One update by itself, with names and values that it must use up."""
    context = ExpressionContext(names, values)
    update = context.update(text)
    context.finish()
    return update


def compile_projection(text: str, names: Mapping[str, str] | None = None) -> Projection:
    """One projection by itself, with names that it must use up."""
    context = ExpressionContext(names)
    projection = context.projection(text)
    context.finish()
    return projection


def compile_key_condition(
    text: str,
    names: Mapping[str, str] | None,
    values: Mapping[str, AttributeValue] | None,
    hash_parts: Sequence[KeyAttribute],
    range_parts: Sequence[KeyAttribute],
) -> KeyCondition:
    """One key condition by itself, held against a key schema."""
    context = ExpressionContext(names, values)
    condition = context.key_condition(text)
    context.finish()
    return condition.resolve(hash_parts, range_parts)
