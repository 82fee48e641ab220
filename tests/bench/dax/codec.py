"""What the codec of the DAX protocol costs: microseconds of CPU a call, the least of many short runs.

python -m tests.bench.dax.codec
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson
from hashrange_dax.codec import cbor, expressions, items, keys, lexdecimal, projections

from hashrange.model.key import KeyCodec, KeyPart
from tests.bench.codecs import microseconds

MIXED: Final[dict[str, Any]] = {
    "pk": {"S": "user#0001"},
    **{f"text{number}": {"S": f"some text {number}"} for number in range(4)},
    "whole": {"N": "12345"},
    "decimal": {"N": "3.75"},
    "time": {"N": "1700000000123"},
    "flag": {"BOOL": True},
    "nothing": {"NULL": True},
    "tags": {"SS": ["a", "b", "c"]},
    "list": {"L": [{"N": "1"}, {"N": "2"}]},
    "map": {"M": {"x": {"S": "y"}, "z": {"N": "5"}}},
}
FLAT: Final[dict[str, Any]] = {
    "pk": {"S": "user#0001"},
    **{f"text{number}": {"S": f"some text {number}" * 3} for number in range(6)},
    **{f"number{number}": {"N": str(number * 1_234_567)} for number in range(6)},
}
GET_ITEM: Final = bytes.fromhex("011a0fb0cc6a434854534130bf0300ff")
KEY_CONDITION: Final = bytes.fromhex("83018300821262706b821100816171")
UPDATE: Final = bytes.fromhex("83018183138212616e8211008106")
PATHS: Final = (("map", "x"), ("whole",), ("list", 1))


def calls() -> dict[str, Callable[[], Any]]:
    """What is measured, by name."""
    found: dict[str, Callable[[], Any]] = {}
    for label, item in (("mixed", MIXED), ("flat", FLAT)):
        names = items.list_names(item, ("pk",))
        data = items.encode_values(item, ("pk",), lambda names: 7)
        found[f"item of {len(names)} attributes, {label}: encode"] = lambda item=item: items.encode_values(
            item, ("pk",), lambda names: 7
        )
        found[f"item of {len(names)} attributes, {label}: decode"] = lambda data=data, names=names: (
            items.decode_values(data, names)
        )
        found[f"the same, {label}: orjson.dumps"] = lambda item=item: orjson.dumps(item)
    scanner = cbor.Scanner(1 << 20)
    lone = keys.wire_keys(KeyCodec((KeyPart("pk", "S"),), ()))
    pair = keys.wire_keys(KeyCodec((KeyPart("pk", "S"),), (KeyPart("sk", "N"),)))
    pair_key = pair.encode({"pk": {"S": "user#1"}, "sk": {"N": "-1.5"}})
    number = lexdecimal.encode("-123456.789")

    def scan() -> None:
        scanner.scan(GET_ITEM)
        scanner.discard(len(GET_ITEM))

    return found | {
        "GetItem request: scan": scan,
        "GetItem request: decode all values": lambda: cbor.decode_all(GET_ITEM),
        "hash key S: key of the table": lambda: lone.key_of(b"user#0001"),
        "hash key S, range key N: key of the table": lambda: pair.key_of(pair_key),
        "lexicographic decimal: encode": lambda: lexdecimal.encode("-123456.789"),
        "lexicographic decimal: decode": lambda: lexdecimal.decode(number),
        "key condition pk = :p": lambda: expressions.key_condition(KEY_CONDITION),
        "update SET n = :v": lambda: expressions.update(UPDATE),
        "projection of three paths": lambda: projections.encode_projected(projections.project(MIXED, PATHS)),
    }


def main() -> None:
    """Print the costs."""
    for name, call in calls().items():
        print(f"{microseconds(call):6.2f} us  {name}")


if __name__ == "__main__":
    main()
