"""The codec of the DAX protocol against the official client's own: each reads what the other has written.

    python -m tests.dax.codec_against_client [--values 100000] [--seed 1]

draws values, numbers, keys of all shapes and items, and holds for each that both write the same bytes, that the
client reads what was written here as the same value, and that this codec reads what the client wrote, however the
number was spelled. Prints how many of each agreed, or the first that did not, and how to draw it again.
"""

from __future__ import annotations

import argparse
import random
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from amazondax import AttributeValueDecoder, AttributeValueEncoder, LexDecimal
from amazondax.CborEncoder import DYNAMODB_CONTEXT
from amazondax.DaxCborDecoder import DaxCborDecoder
from hashrange_dax.codec import items, keys, lexdecimal, values

from hashrange.model import number
from hashrange.model.key import KeyCodec, KeyPart
from hashrange.model.value import normalise_item, normalise_value

Value = dict[str, Any]
Item = dict[str, Value]

SHAPES: Final = [
    (hash_type, range_type) for hash_type in ("S", "N", "B") for range_type in (None, "S", "N", "B")
]
LIST_ID: Final = 70_000

_CHARACTERS: Final = "ab\x00\x7f\x80é€\ud7ff\ue000\uffff\U0001f600"
_LENGTHS: Final = (0, 1, 2, 3, 5, 8, 22, 23, 24, 25, 40, 255, 256, 257)


class Draw:
    """Random data, canonical as the codec writes it."""

    def __init__(self, seed: object) -> None:
        self._random = random.Random(repr(seed))
        self.choice = self._random.choice
        self.chance = self._random.random

    def number(self) -> str:
        """A canonical number: small and whole ones, many digits, every magnitude."""
        kind = self._random.randrange(6)
        if kind == 0:
            return str(self._random.randint(-300, 300))
        if kind == 1:
            return str(
                self.choice((-1, 1)) * (2 ** self.choice((8, 16, 32, 63, 64)) + self.choice((-1, 0, 1)))
            )
        count = self._random.randint(1, 38)
        digits = str(self._random.randint(1, 9)) + "".join(self._random.choices("0123456789", k=count - 1))
        least, most = (-12, 12) if kind < 4 else (-130, 126 - count)
        return number.canonical(f"{self.choice(('', '-'))}{digits}E{self._random.randint(least, most)}")

    def spelled(self, canonical: str) -> str:
        """A number as a client might write it: zeros at the end, an exponent."""
        digits = canonical.lstrip("-")
        zeros = len(digits) - len(digits.rstrip("0"))
        if "." not in canonical and 0 < zeros < len(digits) and (len(digits) > 38 or self.chance() < 0.3):
            return f"{canonical[: len(canonical) - zeros]}E{zeros}"
        if self.chance() < 0.5 or len(digits) > 36:
            return canonical
        return canonical + ("0" * self._random.randint(0, 36 - len(digits)) if "." in canonical else ".0")

    def text(self, least: int = 0) -> str:
        """Characters of one to four bytes, more of one."""
        length = max(least, self.choice(_LENGTHS))
        alphabet = _CHARACTERS if self.chance() < 0.3 else "abcdefgh"
        return "".join(self._random.choices(alphabet, k=length))

    def binary(self, least: int = 0) -> str:
        """Bytes, as base64."""
        return b64encode(self._random.randbytes(max(least, self.choice(_LENGTHS)))).decode()

    def scalar(self, kind: str, least: int = 0) -> str:
        """The content of a value of type S, N or B."""
        return self.number() if kind == "N" else self.text(least) if kind == "S" else self.binary(least)

    def value(self, depth: int = 0) -> Value:
        """An attribute value of any type."""
        kinds = ["S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M"]
        kind = self.choice(kinds[: 8 if depth > 3 else 10])
        if kind in ("S", "N", "B"):
            return {kind: self.scalar(kind)}
        if kind == "BOOL":
            return {kind: self.chance() < 0.5}
        if kind == "NULL":
            return {kind: True}
        if kind == "M":
            return {"M": {self.text(1): self.value(depth + 1) for _ in range(self._random.randint(0, 4))}}
        if kind == "L":
            return {
                "L": [self.value(depth + 1) for _ in range(self.choice((0, 1, 2, 3, 25)) if depth < 2 else 1)]
            }
        return {kind: list({self.scalar(kind[0]) for _ in range(self._random.randint(1, 4))})}

    def item(self) -> Item:
        """Attributes without a key; sometimes none."""
        return {self.text(1): self.value() for _ in range(self._random.randint(0, 6))}


def native(value: Value, spell: Callable[[str], str] = str) -> Value:
    """A value as the client takes it: binaries as bytes, members of maps in the order it will give them."""
    [(tag, content)] = value.items()
    if tag == "N":
        return {tag: spell(content)}
    if tag == "B":
        return {tag: b64decode(content)}
    if tag == "NS":
        return {tag: [spell(member) for member in content]}
    if tag == "BS":
        return {tag: [b64decode(member) for member in content]}
    if tag == "L":
        return {tag: [native(element, spell) for element in content]}
    if tag == "M":
        return {tag: {name: native(member, spell) for name, member in content.items()}}
    return value


def from_native(value: Value) -> Value:
    """A value that the client gives, as DynamoDB JSON in canonical form."""
    result = _json_of(value)
    normalise_value(result)
    return result


def _json_of(value: Value) -> Value:
    [(tag, content)] = value.items()
    if tag == "B":
        return {tag: b64encode(content).decode()}
    if tag == "BS":
        return {tag: [b64encode(member).decode() for member in content]}
    if tag == "L":
        return {tag: [_json_of(element) for element in content]}
    if tag == "M":
        return {tag: {name: _json_of(member) for name, member in content.items()}}
    return value


def reader(data: bytes) -> DaxCborDecoder:
    """The client's decoder at the beginning of some bytes."""
    position = 0

    def more(buffer: bytearray, count: int) -> int:
        nonlocal position
        if position >= len(data):
            return -1
        buffer += data[position : position + count]
        position += count
        return count

    return DaxCborDecoder(more)


def in_order(value: Value) -> Value:
    """A value with the members of maps in the client's order."""
    [(tag, content)] = value.items()
    if tag == "L":
        return {tag: [in_order(element) for element in content]}
    if tag == "M":
        return {tag: {name: in_order(content[name]) for name in sorted(content)}}
    return value


def check_number(text: str, spelled: str) -> None:
    """A number as the client sends it in a numeric range key."""
    theirs = LexDecimal.encode(DYNAMODB_CONTEXT.create_decimal(spelled))
    assert number.canonical(lexdecimal.decode(theirs)) == text, spelled
    ours = lexdecimal.encode(text)
    assert number.canonical(str(LexDecimal.decode_all(ours))) == text, text
    assert lexdecimal.decode(ours) == text
    # The client keeps zeros at the end and before the point; without them the bytes are the same.
    digits = Decimal(text).as_tuple()
    significant = "".join(map(str, digits.digits)).rstrip("0") or "0"
    exponent = digits.exponent + len(digits.digits) - len(significant)  # type: ignore[operator]
    shortest = Decimal((digits.sign, tuple(map(int, significant)), exponent))
    assert ours == LexDecimal.encode(shortest), text


def check_value(value: Value, spell: Callable[[str], str] = str) -> None:
    """An attribute value, both ways and byte for byte."""
    normalise_value(value)
    ours = values.encode_value(in_order(value))
    assert ours == AttributeValueEncoder.encode_attribute_value(native(value)), value
    assert from_native(AttributeValueDecoder._decode_attribute_value(reader(ours))) == value
    assert values.decode_value(ours) == (value, len(ours))
    theirs = AttributeValueEncoder.encode_attribute_value(native(value, spell))
    read, end = values.decode_value(theirs)
    normalise_value(read)
    assert (read, end) == (value, len(theirs))


def check_key(shape: tuple[str, str | None], key: Item, spell: Callable[[str], str] = str) -> None:
    """A primary key: `h`, and `r` if the shape has a range key."""
    codec, schema = key_of_shape(shape)
    normalise_item(key)
    wire = keys.wire_keys(codec)
    ours = wire.encode(key)
    client_key = {name: native(value) for name, value in key.items()}
    spelled = {name: native(value, spell) for name, value in key.items()}
    theirs = AttributeValueEncoder.encode_key(spelled, schema)
    again = wire.decode(theirs)
    normalise_item(again)
    assert again == key, (shape, key)
    assert wire.key_of(theirs) == wire.key_of(ours) == codec.encode(key)
    as_item = AttributeValueDecoder._decode_key_bytes(
        reader(values.encode_value({"B": b64encode(ours).decode()})), schema
    )
    assert {name: from_native(value) for name, value in as_item.items()} == key
    assert wire.decode(ours) == key
    if shape[1] != "N":
        assert ours == AttributeValueEncoder.encode_key(client_key, schema)
    compound = AttributeValueEncoder.encode_compound_key(client_key)
    assert keys.decode_compound(compound) == key
    assert keys.encode_compound(key) == compound


def check_item(item: Item) -> None:
    """The attributes of an item, in its list's order."""
    normalise_item(item)
    schema = [{"AttributeName": "\U0010fffe", "AttributeType": "S"}]
    names = items.list_names(item, ("\U0010fffe",))
    ours = items.encode_values(
        {name: in_order(item[name]) for name in item}, ("\U0010fffe",), lambda _: LIST_ID
    )
    list_id = LIST_ID if names else items.EMPTY_LIST
    theirs = AttributeValueEncoder.encode_values(
        {name: native(value) for name, value in item.items()}, schema, names, list_id
    )
    assert ours == theirs
    assert items.split_list_id(theirs)[0] == list_id
    assert items.decode_values(theirs, names) == item
    if not item:
        return
    updated = items.encode_updated(item, lambda _: LIST_ID)
    assert items.decode_updated(updated, names) == item
    read = AttributeValueDecoder._decode_stream_item_projection(reader(updated))
    named = AttributeValueDecoder.deanonymize_attribute_values(read, names)
    assert {name: from_native(value) for name, value in named.items()} == item


def key_of_shape(shape: tuple[str, str | None]) -> tuple[KeyCodec, list[dict[str, str]]]:
    """A key schema of given types, as the codec and as the client have it."""
    hash_type, range_type = shape
    schema = [{"AttributeName": "h", "AttributeType": hash_type}]
    ranges: tuple[KeyPart, ...] = ()
    if range_type is not None:
        schema.append({"AttributeName": "r", "AttributeType": range_type})
        ranges = (KeyPart("r", range_type),)  # type: ignore[arg-type]
    return KeyCodec((KeyPart("h", hash_type),), ranges), schema  # type: ignore[arg-type]


def check_all(seed: object, shape: tuple[str, str | None]) -> None:
    """Draw one of each, and check it."""
    draw = Draw(seed)
    drawn = draw.number()
    check_number(drawn, draw.spelled(drawn))
    check_value(draw.value(), draw.spelled)
    hash_type, range_type = shape
    key: Item = {"h": {hash_type: draw.scalar(hash_type, 1)}}
    if range_type is not None:
        key["r"] = {range_type: draw.scalar(range_type, 1)}
    check_key(shape, key, draw.spelled)
    check_item(draw.item())


def run(count: int, seed: int) -> None:
    """Check so many draws."""
    for index in range(count):
        try:
            check_all((seed, index), SHAPES[index % len(SHAPES)])
        except Exception:
            print(f"draw {index} of seed {seed} failed", file=sys.stderr)
            raise


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--values", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    run(arguments.values, arguments.seed)
    print(f"{arguments.values} each of numbers, values, keys of {len(SHAPES)} shapes, and items agree")


if __name__ == "__main__":
    main()
