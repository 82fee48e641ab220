"""What the black-box tests share: tables in one line, errors as values, and comparisons that tolerate.

A test reads as one sentence: `assert error(client.get_item, TableName=t, Key=k) == invalid("...")`.
Nothing here knows how the server works; everything goes through a boto3 client or a socket.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

PREFIX = "1 validation error detected: "
DEADLINE_S = 20.0

Item = dict[str, dict[str, Any]]


def unique(stem: str = "t") -> str:
    """A name that no other test uses: tests share one server and may run in any order."""
    return f"{stem}-{uuid.uuid4().hex[:12]}"


def error(call: Callable[..., Any], /, **parameters: Any) -> tuple[str, str]:
    """(code, message) of the refusal; fails the test if the call is accepted."""
    try:
        answer = call(**parameters)
    except ClientError as refused:
        return refused.response["Error"]["Code"], refused.response["Error"].get("Message", "")
    raise AssertionError(f"the call was accepted: {answer}")


class OneOf:
    """Equal to any of several texts: for a wording that the catalogue of behaviour leaves open."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts

    def __eq__(self, other: object) -> bool:
        return other in self.texts

    def __hash__(self) -> int:
        return hash(self.texts)

    def __repr__(self) -> str:
        return " or ".join(map(repr, self.texts))


class Containing:
    """Equal to every text that contains all the given parts."""

    def __init__(self, *parts: str) -> None:
        self.parts = parts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and all(part in other for part in self.parts)

    def __hash__(self) -> int:
        return hash(self.parts)

    def __repr__(self) -> str:
        return "a text with " + " and ".join(map(repr, self.parts))


ANY_TEXT = Containing()


def invalid(text: object) -> tuple[str, object]:
    """The refusal most tests expect: a ValidationException with this text."""
    return "ValidationException", text


def prefixed(text: str) -> tuple[str, object]:
    """A ValidationException with the prefix of one detected error (the writes, 2026 wording)."""
    return "ValidationException", PREFIX + text


def either(text: str) -> tuple[str, object]:
    """A ValidationException whose prefix the catalogue of behaviour leaves open."""
    return "ValidationException", OneOf(text, PREFIX + text)


def not_found(text: str = "Requested resource not found") -> tuple[str, object]:
    """A ResourceNotFoundException with this text."""
    return "ResourceNotFoundException", text


CONDITION_FAILED = ("ConditionalCheckFailedException", "The conditional request failed")


def _parts(text: str) -> list[tuple[str, str]]:
    """`"a,b:N"` as [("a", "S"), ("b", "N")]."""
    pairs = [part.partition(":") for part in text.split(",") if part]
    return [(name, kind or "S") for name, _, kind in pairs]


def key_schema(keys: str) -> list[dict[str, str]]:
    """`"p/r:N"` as a KeySchema: hash attributes before the slash, range attributes after it."""
    hashes, _, ranges = keys.partition("/")
    return [{"AttributeName": name, "KeyType": "HASH"} for name, _ in _parts(hashes)] + [
        {"AttributeName": name, "KeyType": "RANGE"} for name, _ in _parts(ranges)
    ]


def definitions(*all_keys: str) -> list[dict[str, str]]:
    """The AttributeDefinitions of several key texts, each attribute once, in order of appearance."""
    found: dict[str, str] = {}
    for keys in all_keys:
        for name, kind in _parts(keys.replace("/", ",")):
            found.setdefault(name, kind)
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in found.items()]


def index(
    name: str, keys: str, projection: str = "ALL", attributes: list[str] | None = None
) -> dict[str, Any]:
    """One secondary index as CreateTable takes it."""
    shape: dict[str, Any] = {"ProjectionType": projection}
    if attributes is not None:
        shape["NonKeyAttributes"] = attributes
    return {"IndexName": name, "KeySchema": key_schema(keys), "Projection": shape}


def table_parameters(
    keys: str = "p",
    *,
    gsi: tuple[tuple[Any, ...], ...] = (),
    lsi: tuple[tuple[Any, ...], ...] = (),
    **more: Any,
) -> dict[str, Any]:
    """CreateTable's parameters for a short description: keys as `"p/r:N"`, indexes as `index` takes them."""
    parameters: dict[str, Any] = {
        "TableName": unique(),
        "KeySchema": key_schema(keys),
        "AttributeDefinitions": definitions(keys, *(one[1] for one in (*gsi, *lsi))),
        "BillingMode": "PAY_PER_REQUEST",
    }
    if gsi:
        parameters["GlobalSecondaryIndexes"] = [index(*one) for one in gsi]
    if lsi:
        parameters["LocalSecondaryIndexes"] = [index(*one) for one in lsi]
    parameters.update(more)
    if more.get("ProvisionedThroughput"):
        parameters["BillingMode"] = "PROVISIONED"
    return parameters


def wait_until(check: Callable[[], Any], what: str) -> Any:
    """The first true answer of `check`, asked until the deadline; names `what` did not happen otherwise."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {DEADLINE_S} s: {what}")
        time.sleep(0.01)


def wait_active(client: Any, name: str) -> dict[str, Any]:
    """The description of the table once it and all its indexes are ACTIVE."""

    def settled() -> dict[str, Any] | None:
        table = client.describe_table(TableName=name)["Table"]
        states = [table["TableStatus"], *(g["IndexStatus"] for g in table.get("GlobalSecondaryIndexes", ()))]
        return table if set(states) == {"ACTIVE"} else None

    return wait_until(settled, f"table {name} ACTIVE")


@contextlib.contextmanager
def table(client: Any, keys: str = "p", **description: Any) -> Iterator[str]:
    """A new table by a short description (see `table_parameters`), deleted at the end."""
    parameters = table_parameters(keys, **description)
    name = parameters["TableName"]
    client.create_table(**parameters)
    try:
        wait_active(client, name)
        yield name
    finally:
        with contextlib.suppress(ClientError):
            client.delete_table(TableName=name)


def put_all(client: Any, name: str, items: list[Item]) -> None:
    """Write the items in batches of 25."""
    for start in range(0, len(items), 25):
        requests = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
        answer = client.batch_write_item(RequestItems={name: requests})
        assert answer["UnprocessedItems"] == {}


def pages(call: Callable[..., Any], **parameters: Any) -> list[dict[str, Any]]:
    """All pages of a Query or Scan, following LastEvaluatedKey; bounded, so that no loop hangs a test."""
    answers = [call(**parameters)]
    for _ in range(10_000):
        last = answers[-1].get("LastEvaluatedKey")
        if last is None:
            return answers
        answers.append(call(**parameters, ExclusiveStartKey=last))
    raise AssertionError("paging does not end")


def all_items(call: Callable[..., Any], **parameters: Any) -> list[Item]:
    """The items of all pages."""
    return [item for page in pages(call, **parameters) for item in page["Items"]]


def s(text: str) -> dict[str, str]:
    """A string value."""
    return {"S": text}


def n(number: int | str) -> dict[str, str]:
    """A number value."""
    return {"N": str(number)}


def column(items: list[Item], name: str) -> list[str]:
    """The bare scalar of one attribute of every item."""
    return [next(iter(item[name].values())) for item in items]


def same_items(left: list[Item], right: list[Item]) -> bool:
    """Whether two lists hold the same items in any order."""
    return sorted(map(repr_sorted, left)) == sorted(map(repr_sorted, right))


def repr_sorted(value: Any) -> str:
    """A text equal for equal attribute values whatever the order of maps."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{repr_sorted(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(repr_sorted, value)) + "]"
    return repr(value)
