"""Options of operations: the map that is their last argument, into members of a document of the API.

What is sent twice counts once: the later value. One client sends a condition as text first, then parsed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from hashrange.errors import ApiError, validation
from hashrange.expr import Compiled, ExpressionContext
from hashrange.expr.tree import PROJECTION
from hashrange_dax.codec import expressions
from hashrange_dax.codec.expressions import Projection

from . import methods as m

_INDEX_NAME_MAX: Final = 2**10

Options = dict[int, Any]


def malformed(what: str) -> ApiError:
    """A request whose values are complete, but not of the types that they have to be."""
    return validation(f"The request is not in the form of the protocol: {what}")


def options_of(value: Any) -> Options:
    """The options of a request: a map, or null for none."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise malformed("options are a map")
    return value


def name_of(value: Any, what: str) -> str:
    """A name, which is sent as a byte string or as a text."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise malformed(f"{what} is not UTF-8") from None
    if not isinstance(value, str):
        raise malformed(f"{what} is missing")
    return value


def blob_of(value: Any, what: str) -> bytes:
    """A byte string that holds something encoded."""
    if not isinstance(value, bytes):
        raise malformed(f"{what} is a byte string")
    return value


def list_of(value: Any, what: str) -> list[Any]:
    """An array."""
    if not isinstance(value, list):
        raise malformed(f"{what} is an array")
    return value


def _choice(
    options: Options, key: int, member: str, names: Sequence[str | None], into: dict[str, Any]
) -> None:
    """A value that is sent as a number. Those that mean nothing are left out."""
    value = options.get(key)
    if value is None:
        return
    if value.__class__ is not int or not 0 <= value < len(names):
        raise malformed(f"{member} has no value {value!r}")
    name = names[value]
    if name is not None:
        into[member] = name


def common(options: Options, into: dict[str, Any]) -> None:
    """ReturnConsumedCapacity and ReturnItemCollectionMetrics, which most operations have."""
    _choice(options, m.CAPACITY, "ReturnConsumedCapacity", m.CAPACITY_VALUES, into)
    _choice(options, m.COLLECTION_METRICS, "ReturnItemCollectionMetrics", m.COLLECTION_METRICS_VALUES, into)


def return_values(options: Options, into: dict[str, Any]) -> str | None:
    """ReturnValues; gives it back too."""
    _choice(options, m.RETURN_VALUES, "ReturnValues", m.RETURN_VALUES_VALUES, into)
    value: str | None = into.get("ReturnValues")
    return value


def flag(options: Options, key: int, member: str, into: dict[str, Any]) -> None:
    """A boolean, which some operations have as 0 or 1."""
    value = options.get(key)
    if value is None:
        return
    if value not in (0, 1):
        raise malformed(f"{member} is a boolean")
    into[member] = bool(value)


def number(options: Options, key: int, member: str, into: dict[str, Any]) -> None:
    """A whole number."""
    value = options.get(key)
    if value is None:
        return
    if value.__class__ is not int or not -(2**31) <= value < 2**31:
        raise malformed(f"{member} is a whole number of 32 bits")
    into[member] = value


def select(options: Options, into: dict[str, Any], all_unsaid: bool = False) -> None:
    """Select. `all_unsaid`: a client that says ALL_ATTRIBUTES where nothing was asked for; then it means nothing."""
    if not all_unsaid or options.get(m.SELECT) != m.ALL_ATTRIBUTES:
        _choice(options, m.SELECT, "Select", m.SELECT_VALUES, into)


def index_name(options: Options, into: dict[str, Any]) -> None:
    """IndexName."""
    value = options.get(m.INDEX)
    if value is not None:
        into["IndexName"] = name_of(value, "IndexName")[:_INDEX_NAME_MAX]


def token(options: Options, into: dict[str, Any]) -> None:
    """ClientRequestToken."""
    value = options.get(m.TOKEN)
    if value is not None:
        into["ClientRequestToken"] = name_of(value, "ClientRequestToken")


def expression(value: Any, member: str, read: Callable[[bytes], Any], into: dict[str, Any]) -> None:
    """An expression that the client has parsed."""
    if value is not None:
        into[member] = read(blob_of(value, member))


def projection(value: Any, into: dict[str, Any]) -> Projection | None:
    """A projection: its expression goes into the document, its paths into the reply."""
    if value is None:
        return None
    projected = expressions.projection(blob_of(value, "ProjectionExpression"))
    into["ProjectionExpression"] = projected.compiled
    return projected


def whole(projected: Projection | None, into: dict[str, Any]) -> Projection | None:
    """Have a projection fetch the attributes that it looks into as a whole: its paths are followed in the reply.

    Raises what is wrong with the projection.
    """
    if projected is None:
        return None
    found = ExpressionContext().projection(projected.compiled)
    if found.nested_heads:
        into["ProjectionExpression"] = Compiled.of(
            PROJECTION, ("projection", tuple([("path", (head,)) for head in found.heads]))
        )
    return projected
