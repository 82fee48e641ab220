"""First pass of validation: JSON types, reported as SerializationException in the order of the document.

`compile_types(shapes, name)` gives a closure that walks one JSON value. It raises the error of the first
value of a wrong type, and brings the rest into the form that later passes rely on: members that are null are
removed (the service treats them as absent), strings that stand for booleans become booleans, and fractions
given for whole numbers lose their fraction. Unknown members are ignored and stay.

An attribute value needs only be a JSON object here: its content is checked where it is normalised. With
`deep` its types are checked too, which serves one case: a request that breaks other rules as well, where the
wrong type comes first. Source of the texts: observed behaviour of the real service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from hashrange.errors import ApiError, serialization
from hashrange.expr import Compiled
from hashrange_router.api.model import Shape
from hashrange_router.api.validate_values import (
    JAVA_CLASSES,
    OUT_OF_PLACE,
    PACKAGE,
    check_attribute_value,
    wrong_scalar,
)

Converter = Callable[[Any], Any]

ATTRIBUTE_VALUE: Final = "AttributeValue"
_NESTED_COLLECTION: Final = (
    "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class "
    "java.lang.Class (sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are "
    "in module java.base of loader 'bootstrap')"
)
_BITS: Final = {"integer": 31, "long": 63}
_TRUE: Final = frozenset({"TRUE", "1", "YES"})
_FALSE: Final = frozenset({"FALSE", "0", "NO"})


def compile_types(shapes: Mapping[str, Shape], name: str, *, deep: bool = False) -> Converter:
    """The converter for values of the shape `name` at the top of a request."""
    return _Compiler(shapes, deep).converter(name, inside="field")


class _Compiler:
    """Builds the closures of one service; `inside` tells a member of a structure from an entry of a
    collection, because the service words some errors differently there."""

    def __init__(self, shapes: Mapping[str, Shape], deep: bool) -> None:
        self.shapes = shapes
        self.deep = deep

    def converter(self, name: str, inside: str) -> Converter:
        shape = self.shapes[name]
        if name == ATTRIBUTE_VALUE:
            return _attribute_value(inside, self.deep)
        if shape.kind == "structure":
            return self._structure(shape, inside)
        if shape.kind == "list":
            return self._list(shape, inside)
        if shape.kind == "map":
            return self._map(shape, inside)
        if shape.kind == "boolean":
            return _boolean
        if shape.kind in ("integer", "long"):
            return _whole_number(shape.kind)
        return _scalar(shape.kind)

    def _structure(self, shape: Shape, inside: str) -> Converter:
        members = {name: self.converter(child, "field") for name, child in shape.members.items()}
        wrong = _not_a_structure(shape.name, inside)

        def convert(value: Any) -> Any:
            if type(value) is not dict:
                raise wrong(value)
            for name in list(value):
                inner = members.get(name)
                if inner is None:
                    continue
                item = value[name]
                if item is None:
                    del value[name]
                else:
                    value[name] = inner(item)
            return value

        return convert

    def _list(self, shape: Shape, inside: str) -> Converter:
        element = self.converter(shape.element, "collection")
        text = "Unexpected field type" if inside == "field" else _NESTED_COLLECTION

        def convert(value: Any) -> Any:
            if type(value) is not list:
                raise serialization(OUT_OF_PLACE if type(value) is dict else text)
            for position, item in enumerate(value):
                if item is not None:
                    value[position] = element(item)
            return value

        return convert

    def _map(self, shape: Shape, inside: str) -> Converter:
        opaque = shape.value == ATTRIBUTE_VALUE and not self.deep
        entry = self.converter(shape.value, "collection")
        text = "Unexpected field type" if inside == "field" else _NESTED_COLLECTION
        as_list = (
            f"Unrecognized collection type java.util.Map<java.lang.String, {self._class_name(shape.value)}>"
        )

        def convert(value: Any) -> Any:
            if type(value) is not dict:
                raise serialization(as_list if type(value) is list else text)
            if opaque:
                return value
            for name, item in value.items():
                if item is not None:
                    value[name] = entry(item)
            return value

        return convert

    def _class_name(self, name: str) -> str:
        shape = self.shapes[name]
        if shape.kind == "list":
            return f"java.util.List<{self._class_name(shape.element)}>"
        return JAVA_CLASSES.get(shape.kind, PACKAGE + name)


def _not_a_structure(name: str, inside: str) -> Callable[[Any], ApiError]:
    text = "Unexpected field type" if inside == "field" else "Unexpected value type in payload"

    def wrong(value: Any) -> ApiError:
        if type(value) is list:
            return serialization(f"Unrecognized collection type class {PACKAGE}{name}")
        return serialization(text)

    return wrong


def _attribute_value(inside: str, deep: bool) -> Converter:
    wrong = _not_a_structure(ATTRIBUTE_VALUE, inside)

    def convert(value: Any) -> Any:
        if type(value) is not dict:
            raise wrong(value)
        if deep:
            check_attribute_value(value, 0)
        return value

    return convert


def _boolean(value: Any) -> Any:
    if type(value) is bool:
        return value
    if type(value) is not str:
        raise wrong_scalar(value, "boolean")
    text = value.upper()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise serialization("Unexpected token received from parser")


def _whole_number(kind: str) -> Converter:
    bound = 1 << _BITS[kind]

    def convert(value: Any) -> Any:
        if type(value) is float and abs(value) <= bound:
            value = int(value)
        if type(value) is int and -bound <= value < bound:
            return value
        raise wrong_scalar(value, kind)

    return convert


def _scalar(kind: str) -> Converter:
    accepted: tuple[type, ...] = (str, Compiled) if kind in ("string", "blob") else (int, float)

    def convert(value: Any) -> Any:
        if type(value) in accepted:
            return value
        raise wrong_scalar(value, kind)

    return convert
