"""Items that are written once each and never again: every acknowledged one must be there in the end.

The final look is a paginated strong Scan, which must show each key once, and then a GetItem for everything it
did not show.
"""

from __future__ import annotations

import zlib
from collections import Counter
from typing import Any

from tests.cluster.workloads.client import ApiClient, Unknown


class Ledger:
    """Entries by key; `wrong` collects what the final look finds."""

    def __init__(self, table: str, mark: str) -> None:
        self.acknowledged: set[str] = set()
        self.unknown: set[str] = set()
        self.wrong: list[str] = []
        self._table = table
        self._prefix = f"{mark}l"
        self._made = 0

    def entry(self) -> dict[str, Any]:
        """A new item, whole by its checksum."""
        self._made += 1
        text = f"entry {self._made} " * (1 + self._made % 17)
        return {
            "pk": {"S": f"{self._prefix}{self._made}"},
            "text": {"S": text},
            "crc": {"N": str(zlib.crc32(text.encode()))},
        }

    async def step(self, client: ApiClient, process: int) -> bool:
        """Put one item. Raises as `ApiClient.call` does."""
        await client.ready()
        item = self.entry()
        key = item["pk"]["S"]
        try:
            await client.call("PutItem", {"TableName": self._table, "Item": item})
        except Unknown:
            self.unknown.add(key)
            raise
        self.acknowledged.add(key)
        return True

    async def verify(self, client: ApiClient) -> None:
        """Look for every entry; fills `wrong`."""
        seen: Counter[str] = Counter()
        request: dict[str, Any] = {"TableName": self._table, "ConsistentRead": True, "Limit": 400}
        while True:
            page = await client.call("Scan", request)
            for item in page["Items"]:
                seen[item["pk"]["S"]] += 1
                if "crc" in item and zlib.crc32(item["text"]["S"].encode()) != int(item["crc"]["N"]):
                    self.wrong.append(f"the entry {item['pk']['S']} is torn")
            if "LastEvaluatedKey" not in page:
                break
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        self.wrong += [f"a Scan shows {key} {times} times" for key, times in seen.items() if times > 1]
        for key in sorted(self.acknowledged - set(seen)):
            document = {"TableName": self._table, "Key": {"pk": {"S": key}}, "ConsistentRead": True}
            there = "Item" in await client.call("GetItem", document)
            what = "is missing from a Scan" if there else "is lost, although it was acknowledged"
            self.wrong.append(f"the entry {key} {what}")
        invented = [
            key
            for key in seen
            if key.startswith(self._prefix) and key not in self.acknowledged | self.unknown
        ]
        self.wrong += [f"the entry {key} was never sent" for key in invented]
