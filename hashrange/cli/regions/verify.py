"""`hashrange regions verify`: whether a table holds the same items in all regions, and what differs.

Every region's table is read whole (strongly consistent, parallel segments); of each item a digest of its JSON is kept.
Keys that differ are read again one by one until they agree or the time is over: what has just been written in one
region is on its way to the others.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from hashrange_client.load.client import CallError, Client
from hashrange_client.load.settings import LoadError, LoadSettings

from hashrange.cli.cluster.layout import LayoutError
from hashrange.cli.regions.place import Place, RegionPlace

SEGMENTS = 4
AGAIN_S = 0.5
SHOWN = 20
GONE = b""
SETS = ("SS", "NS", "BS")

Digests = dict[str, bytes]
"""Key of an item as JSON to the digest of the item; GONE where there is none."""


@dataclass
class Verdict:
    """What was found. `items`: per region; `different`: key to what each region has; `seconds`: until then."""

    table: str
    items: dict[str, int]
    different: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def equal(self) -> bool:
        """Whether all regions have the same items."""
        return not self.different

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "table": self.table,
            "equal": self.equal,
            "items": self.items,
            "seconds": round(self.seconds, 1),
            "different": [{"key": json.loads(key), "regions": has} for key, has in self.different.items()],
        }

    def text(self) -> str:
        """Lines for people."""
        counts = ", ".join(f"{count:,} in {region}" for region, count in self.items.items())
        if self.equal:
            return f"{self.table} is equal in all regions ({counts}), after {self.seconds:.1f} s"
        lines = [f"{self.table} DIFFERS in {len(self.different)} items ({counts}):"]
        for key, has in list(self.different.items())[:SHOWN]:
            lines.append(f"  {key}")
            lines += [
                f"    {region}: {_compact(item) if item else 'no item'}" for region, item in has.items()
            ]
        if len(self.different) > SHOWN:
            lines.append(f"  and {len(self.different) - SHOWN} more")
        return "\n".join(lines)


def _compact(document: Any) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(item: dict[str, Any]) -> bytes:
    """Names an item: equal for equal items, in whatever order attributes and members of sets come."""
    return blake2b(
        _compact({name: _ordered(value) for name, value in item.items()}).encode(), digest_size=16
    ).digest()


def _ordered(value: dict[str, Any]) -> Any:
    ((kind, held),) = value.items()
    if kind in SETS:
        return {kind: sorted(held)}
    if kind == "M":
        return {kind: {name: _ordered(each) for name, each in held.items()}}
    if kind == "L":
        return {kind: [_ordered(each) for each in held]}
    return value


def differences(found: Iterable[Digests]) -> list[str]:
    """The keys that not all regions have the same item of, in order."""
    digests = list(found)
    first = digests[0]
    keys = {key for other in digests[1:] for key in other.keys() - first.keys()}
    keys |= {
        key for key, named in first.items() if any(other.get(key, GONE) != named for other in digests[1:])
    }
    return sorted(keys)


class Region:
    """One region's endpoint, as a client reads it."""

    def __init__(self, region: RegionPlace, credentials: tuple[str, str] | None) -> None:
        self.name = region.name
        key, secret = credentials or (None, None)
        self._settings = LoadSettings(
            endpoint=region.endpoint, region=region.name, access_key=key, secret=secret
        )

    async def keys_of(self, table: str) -> list[str]:
        """The names of the table's key attributes; raises CallError."""
        described = await self._once("DescribeTable", {"TableName": table})
        return [part["AttributeName"] for part in described["Table"]["KeySchema"]]

    async def digests(self, table: str, names: list[str]) -> Digests:
        """Of all items."""
        found: Digests = {}
        await asyncio.gather(*(self._segment(table, names, number, found) for number in range(SEGMENTS)))
        return found

    async def _segment(self, table: str, names: list[str], number: int, found: Digests) -> None:
        request: dict[str, Any] = {
            "TableName": table,
            "Segment": number,
            "TotalSegments": SEGMENTS,
            "ConsistentRead": True,
        }
        client = await Client.connect(self._settings)
        try:
            while True:
                page = await client.call("Scan", request)
                for item in page["Items"]:
                    found[_compact({name: item[name] for name in names})] = digest(item)
                if "LastEvaluatedKey" not in page:
                    return
                request["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        finally:
            client.close()

    async def items(self, table: str, keys: list[str]) -> dict[str, Any]:
        """Key to item, None where there is none."""
        found: dict[str, Any] = {}
        client = await Client.connect(self._settings)
        try:
            for key in keys:
                request = {"TableName": table, "Key": json.loads(key), "ConsistentRead": True}
                found[key] = (await client.call("GetItem", request)).get("Item")
        finally:
            client.close()
        return found

    async def _once(self, operation: str, document: dict[str, Any]) -> dict[str, Any]:
        client = await Client.connect(self._settings)
        try:
            return await client.call(operation, document)
        finally:
            client.close()


async def verify(
    place: Place, table: str, wait_s: float, credentials: tuple[str, str] | None = None
) -> Verdict:
    """Compare the table in all regions that have it; raises LayoutError when it cannot be read."""
    begun = time.monotonic()
    try:
        names, regions = await _having(place, table, credentials)
        digests = await asyncio.gather(*(region.digests(table, names) for region in regions))
        different = differences(digests)
        while different:
            items = await asyncio.gather(*(region.items(table, different) for region in regions))
            for has, known in zip(items, digests, strict=True):
                _correct(known, has)
            different = [key for key in different if not _same(has[key] for has in items)]
            if not different or time.monotonic() - begun > wait_s:
                break
            await asyncio.sleep(AGAIN_S)
    except (CallError, LoadError, OSError) as error:
        raise LayoutError(f"{table} cannot be compared: {error}") from None
    verdict = Verdict(table, {region.name: len(each) for region, each in zip(regions, digests, strict=True)})
    verdict.different = {
        key: {region.name: has[key] for region, has in zip(regions, items, strict=True)} for key in different
    }
    verdict.seconds = time.monotonic() - begun
    return verdict


def _correct(known: Digests, items: dict[str, dict[str, Any] | None]) -> None:
    """Take over what was read again."""
    for key, item in items.items():
        if item is None:
            known.pop(key, None)
        else:
            known[key] = digest(item)


def _same(items: Iterable[dict[str, Any] | None]) -> bool:
    return len({GONE if item is None else digest(item) for item in items}) == 1


async def _having(
    place: Place, table: str, credentials: tuple[str, str] | None
) -> tuple[list[str], list[Region]]:
    """Names of the key attributes, and the regions that have the table."""
    names: list[str] = []
    regions = []
    for region in (Region(each, credentials) for each in place.regions):
        try:
            names = await region.keys_of(table)
        except CallError as error:
            if error.type_name != "ResourceNotFoundException":
                raise
            continue
        regions.append(region)
    if not regions:
        raise LayoutError(f"no region has a table {table}")
    if len(regions) == 1:
        raise LayoutError(
            f"only {regions[0].name} has a table {table}: give it a replica with UpdateTable "
            "(ReplicaUpdates, Create), then compare"
        )
    return names, regions


async def show(
    place: Place, table: str, wait_s: float, as_json: bool, credentials: tuple[str, str] | None
) -> int:
    """Print what was found; exit code 0 when all regions are equal, else 1."""
    verdict = await verify(place, table, wait_s, credentials)
    print(json.dumps(verdict.to_json(), indent=2) if as_json else verdict.text())
    return 0 if verdict.equal else 1
