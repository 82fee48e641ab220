"""The same program for two clients: what is done, and what came of it in a form that can be compared.

    program = Program(seed=1, shape="p:N/r:B")
    for step in program.steps(200):
        assert outcome(one, table_of_one, step) == outcome(other, table_of_other, step)

Clients differ in how they spell what is the same: numbers, the order in sets, what is left out because it is empty.
`outcome` brings that into one form. Of an error the code is compared; texts only where both come from the server.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Context, Decimal
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from tests.conformance.support import Item, definitions, key_schema, repr_sorted

EXACT = Context(prec=60)
NAMES = ("alpha", "beta", "gamma", "delta", "name with space", "ñ", "a.b", "size", "#hash")
LEFT_OUT = {"ResponseMetadata", "ConsumedCapacity"}
EMPTY_IS_ABSENT = {"UnprocessedItems", "UnprocessedKeys", "ItemCollectionMetrics"}
UNKNOWN_ATTEMPTS = 5


class Step(NamedTuple):
    """One call: the method of the client, and its parameters, in which `TABLE` stands for the table's name."""

    method: str
    parameters: dict[str, Any]


TABLE = "TABLE"


def in_table(parameters: Any, table: str) -> Any:
    """The parameters with the table's name in the place of `TABLE`."""
    if isinstance(parameters, dict):
        return {in_table(key, table): in_table(value, table) for key, value in parameters.items()}
    if isinstance(parameters, list):
        return [in_table(each, table) for each in parameters]
    return table if parameters == TABLE else parameters


def outcome(client: Any, table: str, step: Step) -> Any:
    """What came of a step: the answer in one form, or the code of its error."""
    try:
        answer = getattr(client, step.method)(**in_table(step.parameters, table))
    except ClientError as error:
        return error.response["Error"]["Code"]
    return plain(answer, table)


def plain(answer: dict[str, Any], table: str) -> dict[str, Any]:
    """An answer in the form in which two clients can be compared."""
    found: dict[str, Any] = {}
    for name, value in answer.items():
        if name in LEFT_OUT or (name in EMPTY_IS_ABSENT and not value):
            continue
        found[name] = _one_form(value, table)
    if isinstance(found.get("Responses"), dict):  # BatchGetItem promises no order
        found["Responses"] = {
            name: sorted(items, key=repr_sorted) for name, items in found["Responses"].items() if items
        }
    return found


def _one_form(value: Any, table: str) -> Any:
    if isinstance(value, list):
        return [_one_form(each, table) for each in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((tag, inner),) = value.items()
        if tag == "N" and isinstance(inner, str):
            return {"N": number_text(inner)}
        if tag == "NS" and isinstance(inner, list):
            return {"NS": sorted(map(number_text, inner))}
        if tag in ("SS", "BS") and isinstance(inner, list):
            return {tag: sorted(inner)}
    return {(TABLE if name == table else name): _one_form(inner, table) for name, inner in value.items()}


def number_text(text: str) -> str:
    """One text for each number, however it was written."""
    return str(Decimal(text).normalize(EXACT))


class Shape(NamedTuple):
    """The key of a table, as `"p:N/r:B"`."""

    text: str

    def table(self, name: str, **more: Any) -> dict[str, Any]:
        """CreateTable's parameters."""
        return {
            "TableName": name,
            "KeySchema": key_schema(self.text),
            "AttributeDefinitions": definitions(self.text),
            "BillingMode": "PAY_PER_REQUEST",
            **more,
        }

    @property
    def parts(self) -> list[tuple[str, str]]:
        """Names and types, hash first."""
        return [(part.partition(":")[0], part.partition(":")[2] or "S") for part in self.text.split("/")]


SHAPES = tuple(Shape(f"p:{hash_}{range_}") for hash_ in "SNB" for range_ in ("", "/r:S", "/r:N", "/r:B"))


class Values:
    """Random attribute values of every type."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def number(self) -> str:
        """Any number that the store holds: zero, 38 digits, far from one, or an ordinary one."""
        rng = self.rng
        kind = rng.randrange(5)
        if kind == 0:
            return str(rng.choice((0, 1, -1, 255, 256, -256, 2**31, 2**63, 2**64, -(2**64) - 1)))
        if kind == 1:
            return str(rng.randrange(-1000, 1000))
        if kind == 2:
            return f"{rng.randrange(-(10**38) + 1, 10**38)}"
        if kind == 3:
            return f"{rng.choice(('', '-'))}{rng.randrange(1, 10**6)}E{rng.randrange(-128, 119)}"
        return f"{rng.uniform(-1e6, 1e6):.7f}"

    def text(self) -> str:
        """Texts of one to four bytes a character, and none."""
        return "".join(self.rng.choice("aZ09 _é水🜁\u0000\n\"'") for _ in range(self.rng.randrange(9)))

    def binary(self) -> bytes:
        """Bytes, and none."""
        return self.rng.randbytes(self.rng.randrange(12))

    def value(self, depth: int = 0) -> dict[str, Any]:
        """A value of any type."""
        rng = self.rng
        tags = ["S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS"] + (["L", "M"] * 2 if depth < 3 else [])
        tag = rng.choice(tags)
        if tag == "L":
            return {"L": [self.value(depth + 1) for _ in range(rng.randrange(4))]}
        if tag == "M":
            return {"M": {name: self.value(depth + 1) for name in rng.sample(NAMES, rng.randrange(4))}}
        if tag == "SS":
            return {"SS": sorted({self.text() for _ in range(rng.randrange(1, 4))})}
        if tag == "NS":
            found = {number_text(self.number()): None for _ in range(rng.randrange(1, 4))}
            return {"NS": list(found)}
        if tag == "BS":
            return {"BS": sorted({self.binary() for _ in range(rng.randrange(1, 4))})}
        if tag == "BOOL":
            return {"BOOL": rng.random() < 0.5}
        if tag == "NULL":
            return {"NULL": True}
        return {"S": {"S": self.text()}, "N": {"N": self.number()}, "B": {"B": self.binary()}}[tag]

    def attributes(self) -> Item:
        """Some attributes besides the key."""
        return {name: self.value() for name in self.rng.sample(NAMES, self.rng.randrange(6))}


class Program:
    """A random program on one table with few keys, so that calls meet."""

    def __init__(self, seed: int, shape: Shape, keys: int = 8) -> None:
        self.rng = random.Random(seed)
        self.shape = shape
        self.values = Values(self.rng)
        self.count = 0
        hashes = [self._key_value(shape.parts[0][1]) for _ in range(max(1, keys // 3))]
        self.keys: list[Item] = []
        while len(self.keys) < keys:
            hash_ = self.rng.choice(hashes) if len(shape.parts) > 1 else self._key_value(shape.parts[0][1])
            key = {shape.parts[0][0]: hash_}
            if len(shape.parts) > 1:
                key[shape.parts[1][0]] = self._key_value(shape.parts[1][1])
            self.keys.append(key)

    def _key_value(self, kind: str) -> dict[str, Any]:
        if kind == "N":
            return {"N": self.values.number()}
        if kind == "S":
            return {"S": self.values.text() or "k"}
        return {"B": self.values.binary() or b"k"}

    def steps(self, count: int) -> Iterator[Step]:
        """So many random steps."""
        makers = (
            self._put, self._put, self._update, self._update, self._delete, self._get, self._get, self._query,
            self._scan, self._batch_get, self._batch_write, self._transact_write, self._transact_get,
        )  # fmt: skip
        for _ in range(count):
            yield self.rng.choice(makers)()

    # Parts of requests

    def _key(self) -> Item:
        return self.rng.choice(self.keys)

    def _several(self) -> list[Item]:
        found = {repr_sorted(_one_form(key, "")): key for key in self.rng.sample(self.keys, 4)}
        return list(found.values())

    def _item(self) -> Item:
        return {**self._key(), **self.values.attributes()}

    def _condition(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Add a condition to some writes."""
        if self.rng.random() < 0.5:
            return parameters
        name, value = self.rng.choice(NAMES), self.values.value(2)
        texts = (
            "attribute_exists(#c)", "attribute_not_exists(#c)", "#c = :c", "#c <> :c", "NOT #c = :c",
            "attribute_type(#c, :t)", "size(#c) >= :n", "#c IN (:c, :t) OR attribute_not_exists(#c)",
            "#c BETWEEN :low AND :high", "contains(#c, :t) AND attribute_exists(#c)", "begins_with(#c, :t)",
        )  # fmt: skip
        text = self.rng.choice(texts)
        known = {
            ":c": value, ":t": {"S": self.rng.choice("SNBLM")}, ":n": {"N": str(self.rng.randrange(3))},
            ":low": {"N": "-5"}, ":high": {"N": "500"},
        }  # fmt: skip
        used = {place: each for place, each in known.items() if place in text}
        names = {**parameters.get("ExpressionAttributeNames", {}), "#c": name}
        values = {**parameters.get("ExpressionAttributeValues", {}), **used}
        found = {**parameters, "ConditionExpression": text, "ExpressionAttributeNames": names}
        if values:
            found["ExpressionAttributeValues"] = values
        return found

    def _projection(self, parameters: dict[str, Any]) -> dict[str, Any]:
        if self.rng.random() < 0.6:
            return parameters
        first, second = self.rng.sample(NAMES, 2)
        text = self.rng.choice(("#x", "#x, #y", "#x[1], #y", "#x.#y", "#x[0].#y[1], #x[2]"))
        names = {"#x": first} | ({"#y": second} if "#y" in text else {})
        return {**parameters, "ProjectionExpression": text, "ExpressionAttributeNames": names}

    # Steps

    def _put(self) -> Step:
        returned = self.rng.choice(({}, {"ReturnValues": "ALL_OLD"}))
        return Step("put_item", self._condition({"TableName": TABLE, "Item": self._item(), **returned}))

    def _delete(self) -> Step:
        returned = self.rng.choice(({}, {"ReturnValues": "ALL_OLD"}))
        return Step("delete_item", self._condition({"TableName": TABLE, "Key": self._key(), **returned}))

    def _change(self) -> dict[str, Any]:
        """An update expression with its names and values."""
        first, second = self.rng.sample(NAMES, 2)
        text = self.rng.choice(
            (
                "SET #a = :v",
                "SET #a = if_not_exists(#a, :v), #b = :w",
                "ADD #a :n",
                "REMOVE #a",
                "SET #a[1] = :v",
                "SET #a.#b = :v",
                "SET #a = #b",
                "SET #a = if_not_exists(#a, :n) + :n REMOVE #b",
                "DELETE #a :s",
                "SET #a = list_append(if_not_exists(#a, :l), :l)",
                "SET #a = :v ADD #b :n",
                "REMOVE #a[0], #b",
            )
        )
        known = {
            ":v": self.values.value(), ":w": self.values.value(), ":n": {"N": str(self.rng.randrange(-9, 9))},
            ":s": {"SS": ["a", "水"]}, ":l": {"L": [self.values.value(2)]},
        }  # fmt: skip
        found: dict[str, Any] = {
            "UpdateExpression": text,
            "ExpressionAttributeNames": {"#a": first} | ({"#b": second} if "#b" in text else {}),
        }
        used = {place: each for place, each in known.items() if place in text}
        return found | ({"ExpressionAttributeValues": used} if used else {})

    def _update(self) -> Step:
        returned = self.rng.choice(("NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"))
        wanted = {"TableName": TABLE, "Key": self._key(), "ReturnValues": returned, **self._change()}
        return Step("update_item", self._condition(wanted))

    def _get(self) -> Step:
        wanted: dict[str, Any] = {"TableName": TABLE, "Key": self._key()}
        if self.rng.random() < 0.2:
            wanted["ConsistentRead"] = True
        return Step("get_item", self._projection(wanted))

    def _read(self) -> dict[str, Any]:
        """What Query and Scan share. No two eventual reads are alike, as results may be of any age."""
        if self.rng.random() < 0.4:
            wanted: dict[str, Any] = {"TableName": TABLE, "ConsistentRead": True}
        else:
            self.count += 1
            names = {"#never": f"never {self.count}"}
            text = "attribute_not_exists(#never)"
            wanted = {"TableName": TABLE, "FilterExpression": text, "ExpressionAttributeNames": names}
        if self.rng.random() < 0.3:
            wanted["Limit"] = self.rng.randrange(1, 6)
        if self.rng.random() < 0.2:
            wanted["Select"] = "COUNT"
        elif self.rng.random() < 0.4:
            projected = self._projection({})
            names = projected.get("ExpressionAttributeNames", {}) | wanted.get("ExpressionAttributeNames", {})
            wanted |= projected | ({"ExpressionAttributeNames": names} if names else {})
        return wanted

    def _query(self) -> Step:
        key, wanted = self._key(), self._read()
        names = {**wanted.get("ExpressionAttributeNames", {}), "#p": self.shape.parts[0][0]}
        values, text = {":p": key[self.shape.parts[0][0]]}, "#p = :p"
        if len(self.shape.parts) > 1 and self.rng.random() < 0.6:
            name, kind = self.shape.parts[1]
            more = ["#r = :r", "#r < :r", "#r >= :r", "#r BETWEEN :r AND :r"]
            text += " AND " + self.rng.choice(more + (["begins_with(#r, :r)"] if kind != "N" else []))
            names["#r"], values[":r"] = name, key[name]
        wanted |= {"KeyConditionExpression": text, "ExpressionAttributeNames": names}
        wanted |= {"ExpressionAttributeValues": values, "ScanIndexForward": self.rng.random() < 0.7}
        return Step("query", wanted)

    def _scan(self) -> Step:
        wanted = self._read()
        if self.rng.random() < 0.2:
            wanted |= {"Segment": self.rng.randrange(2), "TotalSegments": 2}
        return Step("scan", wanted)

    def _batch_get(self) -> Step:
        wanted = self._projection({"Keys": self._several()})
        if "ProjectionExpression" not in wanted and self.rng.random() < 0.2:
            wanted["ConsistentRead"] = True
        return Step("batch_get_item", {"RequestItems": {TABLE: wanted}})

    def _batch_write(self) -> Step:
        requests: list[dict[str, Any]] = []
        for key in self._several():
            put = {"PutRequest": {"Item": {**key, **self.values.attributes()}}}
            requests.append(put if self.rng.random() < 0.7 else {"DeleteRequest": {"Key": key}})
        return Step("batch_write_item", {"RequestItems": {TABLE: requests}})

    def _transact_write(self) -> Step:
        actions: list[dict[str, Any]] = []
        for key in self._several()[:3]:
            kind = self.rng.choice(("Put", "Put", "Put", "Delete", "Update", "ConditionCheck"))
            if kind == "Put":
                wanted = {"TableName": TABLE, "Item": {**key, **self.values.attributes()}}
            elif kind == "Update":
                wanted = self._condition({"TableName": TABLE, "Key": key, **self._change()})
            elif kind == "Delete":
                wanted = self._condition({"TableName": TABLE, "Key": key})
            else:
                wanted = {"TableName": TABLE, "Key": key, "ConditionExpression": "attribute_exists(p)"}
            actions.append({kind: wanted})
        return Step("transact_write_items", {"TransactItems": actions})

    def _transact_get(self) -> Step:
        gets = [{"Get": self._projection({"TableName": TABLE, "Key": key})} for key in self._several()[:3]]
        return Step("transact_get_items", {"TransactItems": gets})
