"""Leases and checkpoints of shards: one row of the system table for each, changed only under conditions.

    leases = Leases(client, pool_id, clock)
    rows = await leases.rows(mapping)
    lease = await leases.take(mapping, shard_id, rows.get(shard_id), start)    # None: somebody else was faster
    await lease.save(checkpoint)                                               # LeaseLost: somebody else has it now
    await lease.release()

A row has an owner, an epoch that grows with every new owner, and a counter that the owner moves on while it lives. Who
wants to take a shard over compares the counter with what it saw LEASE_S ago on its own clock (`Watch`); no two clocks
are compared. The owner counts from the moment it began its last write that went through, and lets go of the shard
HOLD_S later unless another write has gone through by then: before anybody can take it over. Every write is conditional
on owner and epoch: one that comes too late, from a process that stood still, changes nothing.

The state of a tumbling window lies in the row while it is small. A larger one goes to rows of its own, named after the
epoch, so that nobody else writes them; the row says which ones are valid.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from hashrange.errors import CONDITION_FAILED, ApiError
from hashrange.model.stream_sequence import sequence_from, sequence_text
from hashrange.runtime.clock import Clock
from hashrange_router.triggers.contracts import STATUS_ROW, TRIGGER_TABLE, LocalClient
from hashrange_router.triggers.mapping.lineage import LeaseRow
from hashrange_router.triggers.mapping.queue import Checkpoint

LEASE_S: Final = 12.0
"""A lease whose counter has not moved for so long may be taken over."""
HOLD_S: Final = 7.0
"""The owner itself gives up earlier: what runs for it must be over by then. A pool that freezes just before it would
have given up is ended by its guard (`PoolSettings.silence_s` later): that, too, must come before LEASE_S."""
RENEW_S: Final = 3.0
"""How often the counter is moved on at least."""
STATE_INLINE_BYTES = 300_000
PART_BYTES = 380_000
"""Compressed state in the row itself, and in each row of its own: an item has 400 KB at most."""
PART_EXPIRES_S = 8 * 86_400
"""Rows of state outlive the records that they belong to; then they go away by themselves."""

NOTHING_YET = "No records processed"
"""The result of a mapping whose function has not been called."""

_STATE_MARK = "#state#"
_NAMES = {"#o": "owner", "#c": "counter"}
_WINDOW = ("window_start", "window_state", "window_parts")


class LeaseLost(Exception):  # noqa: N818  (it is an outcome, not a fault)
    """Somebody else has the shard, or may have it by now."""


def key_of(mapping: str, sort: str) -> dict[str, Any]:
    """The key of one row of a mapping."""
    return {"pk": {"S": f"mapping#{mapping}"}, "sk": {"S": sort}}


class Watch:
    """What one pool has seen of the counters of others. `only`: the pool beside which there can be no other."""

    def __init__(self, only: str | None = None) -> None:
        self._only = only
        self._seen: dict[str, tuple[LeaseRow, float]] = {}

    def look(self, rows: dict[str, LeaseRow], now_s: float) -> None:
        """Take over all rows of a mapping as they were read before `now_s` (monotonic seconds)."""
        seen = self._seen
        self._seen = {}
        for name, row in rows.items():
            before = seen.get(name)
            same = before is not None and _life(before[0]) == _life(row)
            self._seen[name] = (row, before[1] if same and before is not None else now_s)

    def still_s(self, shard: str, now_s: float) -> float:
        """For how long nothing has been seen to happen to a row."""
        found = self._seen.get(shard)
        return 0.0 if found is None else now_s - found[1]

    def free(self, row: LeaseRow, now_s: float) -> bool:
        """Whether a shard may be taken: given back, or its owner does not live any more."""
        if row.owner is None or (self._only is not None and row.owner != self._only):
            return True
        return self.still_s(row.shard, now_s) >= LEASE_S


def _life(row: LeaseRow) -> tuple[str | None, int, int]:
    return row.owner, row.epoch, row.counter


class Lease:
    """A shard that this pool has. `checkpoint`: as last saved."""

    def __init__(
        self, client: LocalClient, clock: Clock, mapping: str, shard: str, row: LeaseRow, began: float
    ) -> None:
        assert row.owner is not None and row.checkpoint is not None
        self.shard = shard
        self.checkpoint = row.checkpoint
        self._client = client
        self._clock = clock
        self._mapping = mapping
        self._owner = row.owner
        self._epoch = row.epoch
        self._counter = row.counter
        self._confirmed_at = began
        self._slot = 0

    @property
    def renew_at(self) -> float:
        """When (monotonic) it is to be saved again at the latest."""
        return self._confirmed_at + RENEW_S

    @property
    def holds_until(self) -> float:
        """When (monotonic) all work for the shard must have ended, unless it has been saved again."""
        return self._confirmed_at + HOLD_S

    def held(self) -> bool:
        """Whether nobody else can have the shard now."""
        return self._clock.monotonic() < self.holds_until

    async def save(self, checkpoint: Checkpoint, done: bool = False) -> None:
        """Move the counter on, and keep how far the shard is. LeaseLost, or ApiError when it is not known."""
        began = self._clock.monotonic()
        sets = ["#c = :c"]
        removes: list[str] = []
        # Never the same number twice: of a write whose reply was lost it is not known whether it was seen.
        self._counter += 1
        values: dict[str, Any] = {":c": {"N": str(self._counter)}}
        if done:
            sets.append("done = :d")
            values[":d"] = {"BOOL": True}
        if done or checkpoint != self.checkpoint:
            await self._describe(checkpoint, sets, removes, values)
        update = "SET " + ", ".join(sets) + (" REMOVE " + ", ".join(removes) if removes else "")
        await self._update(update, values)
        self.checkpoint = checkpoint
        self._confirmed_at = began

    async def release(self) -> None:
        """Let others have it at once. ApiError when it is not known whether they can."""
        await self._update("REMOVE #o", {})

    async def _describe(
        self, checkpoint: Checkpoint, sets: list[str], removes: list[str], values: dict[str, Any]
    ) -> None:
        """Add what keeps a checkpoint to an update."""
        sets.append("checkpoint = :p")
        values[":p"] = {"S": sequence_text(checkpoint.after)}
        if checkpoint.window_start_ms is None:
            removes.extend(_WINDOW)
            return
        sets.append("window_start = :w")
        values[":w"] = {"N": str(checkpoint.window_start_ms)}
        packed = zlib.compress(checkpoint.state, 1)
        if len(packed) <= STATE_INLINE_BYTES:
            sets.append("window_state = :s")
            values[":s"] = {"B": b64encode(packed).decode()}
            removes.append("window_parts")
            return
        sets.append("window_parts = :s")
        values[":s"] = {"S": await self._write_parts(packed)}
        removes.append("window_state")

    async def _write_parts(self, packed: bytes) -> str:
        """Write state into rows that are not in use; returns what names them."""
        self._slot = 1 - self._slot
        parts = [packed[at : at + PART_BYTES] for at in range(0, len(packed), PART_BYTES)]
        expires = self._clock.wall_ms() // 1000 + PART_EXPIRES_S
        for number, part in enumerate(parts):
            row = key_of(self._mapping, _part_name(self.shard, f"{self._epoch}.{self._slot}", number))
            row |= {"data": {"B": b64encode(part).decode()}, "expires": {"N": str(expires)}}
            await self._client.call("PutItem", {"TableName": TRIGGER_TABLE, "Item": row})
        return f"{self._epoch}.{self._slot}:{len(parts)}"

    async def _update(self, update: str, values: dict[str, Any]) -> None:
        try:
            await self._client.call(
                "UpdateItem",
                {
                    "TableName": TRIGGER_TABLE,
                    "Key": key_of(self._mapping, self.shard),
                    "UpdateExpression": update,
                    "ConditionExpression": "#o = :o AND epoch = :e",
                    "ExpressionAttributeNames": {
                        name: word for name, word in _NAMES.items() if name == "#o" or name in update
                    },
                    "ExpressionAttributeValues": values
                    | {":o": {"S": self._owner}, ":e": {"N": str(self._epoch)}},
                },
            )
        except ApiError as error:
            if error.type_name == CONDITION_FAILED:
                raise LeaseLost from None
            raise


@dataclass(frozen=True, slots=True)
class Leases:
    """The rows of all mappings, for the pool `owner`. Methods raise the ApiErrors of the table.

    `alone`: there can be no other pool, and nothing runs any more for those that there were.
    """

    client: LocalClient
    owner: str
    clock: Clock
    alone: bool = False

    def watch(self) -> Watch:
        """What is needed to see who has given up its shards."""
        return Watch(self.owner if self.alone else None)

    async def rows(self, mapping: str) -> dict[str, LeaseRow]:
        """The rows of the shards of a mapping, by shard."""
        found = {}
        async for item in self._items(mapping, "pk, sk, #o, #c, epoch, done"):
            name = item["sk"]["S"]
            if name != STATUS_ROW and _STATE_MARK not in name:
                found[name] = _row(item)
        return found

    async def take(self, mapping: str, shard: str, seen: LeaseRow | None, start: int) -> Lease | None:
        """Become the owner of a shard whose row is as it was seen: free, or without life. None: it is not any more.

        `start`: the checkpoint to begin with when there is no row yet.
        """
        began = self.clock.monotonic()
        values: dict[str, Any] = {
            ":me": {"S": self.owner},
            ":n": {"N": str(1 if seen is None else seen.epoch + 1)},
            ":k": {"N": "0" if seen is None else str(seen.counter + 1)},
            ":p": {"S": sequence_text(start)},
            ":f": {"BOOL": False},
        }
        if seen is None:
            condition = "attribute_not_exists(pk)"
        else:
            values |= {":e": {"N": str(seen.epoch)}, ":c": {"N": str(seen.counter)}}
            condition = "epoch = :e AND #c = :c AND "
            if seen.owner is None:
                condition += "attribute_not_exists(#o)"
            else:
                condition += "#o = :o"
                values[":o"] = {"S": seen.owner}
        try:
            reply = await self.client.call(
                "UpdateItem",
                {
                    "TableName": TRIGGER_TABLE,
                    "Key": key_of(mapping, shard),
                    "UpdateExpression": "SET #o = :me, epoch = :n, #c = :k, "
                    "checkpoint = if_not_exists(checkpoint, :p), done = if_not_exists(done, :f)",
                    "ConditionExpression": condition,
                    "ExpressionAttributeNames": dict(_NAMES),
                    "ExpressionAttributeValues": values,
                    "ReturnValues": "ALL_NEW",
                },
            )
        except ApiError as error:
            if error.type_name == CONDITION_FAILED:
                return None
            raise
        item = reply["Attributes"]
        checkpoint = await self._checkpoint(mapping, shard, item)
        return Lease(self.client, self.clock, mapping, shard, _row(item, checkpoint), began)

    async def remove(self, mapping: str, shard: str | None = None) -> None:
        """Remove the row of a shard with its state, or all rows of a mapping."""
        names = [item["sk"]["S"] async for item in self._items(mapping, "pk, sk")]
        for name in names:
            if shard is None or name == shard or name.startswith(shard + _STATE_MARK):
                await self.client.call(
                    "DeleteItem", {"TableName": TRIGGER_TABLE, "Key": key_of(mapping, name)}
                )

    async def report(self, mapping: str, revision: int, result: str | None) -> None:
        """Write the status row (`hashrange_router.triggers.contracts.STATUS_ROW`); None leaves the result as it is."""
        value = "if_not_exists(#r, :r)" if result is None else ":r"
        await self.client.call(
            "UpdateItem",
            {
                "TableName": TRIGGER_TABLE,
                "Key": key_of(mapping, STATUS_ROW),
                "UpdateExpression": f"SET revision = :v, #r = {value}",
                "ExpressionAttributeNames": {"#r": "result"},
                "ExpressionAttributeValues": {
                    ":v": {"N": str(revision)},
                    ":r": {"S": NOTHING_YET if result is None else result},
                },
            },
        )

    async def _checkpoint(self, mapping: str, shard: str, item: dict[str, Any]) -> Checkpoint:
        after = sequence_from(item["checkpoint"]["S"])
        if "window_start" not in item:
            return Checkpoint(after)
        packed = b64decode(item["window_state"]["B"]) if "window_state" in item else b""
        if "window_parts" in item:
            slot, _, count = item["window_parts"]["S"].rpartition(":")
            for number in range(int(count)):
                key = key_of(mapping, _part_name(shard, slot, number))
                reply = await self.client.call(
                    "GetItem", {"TableName": TRIGGER_TABLE, "Key": key, "ConsistentRead": True}
                )
                packed += b64decode(reply["Item"]["data"]["B"])
        return Checkpoint(after, int(item["window_start"]["N"]), zlib.decompress(packed))

    async def _items(self, mapping: str, projection: str) -> AsyncIterator[dict[str, Any]]:
        """All rows of a mapping, page by page."""
        request: dict[str, Any] = {
            "KeyConditionExpression": "pk = :p",
            "ProjectionExpression": projection,
            "ConsistentRead": True,
        }
        names = {name: word for name, word in _NAMES.items() if name in projection}
        start: dict[str, Any] | None = None
        while True:
            page = {
                **request,
                "TableName": TRIGGER_TABLE,
                "ExpressionAttributeValues": {":p": {"S": f"mapping#{mapping}"}},
                **({"ExpressionAttributeNames": dict(names)} if names else {}),
                **({"ExclusiveStartKey": start} if start else {}),
            }
            reply = await self.client.call("Query", page)
            for item in reply["Items"]:
                yield item
            start = reply.get("LastEvaluatedKey")
            if not start:
                return


def _row(item: dict[str, Any], checkpoint: Checkpoint | None = None) -> LeaseRow:
    owner = item.get("owner")
    return LeaseRow(
        item["sk"]["S"],
        None if owner is None else owner["S"],
        int(item["counter"]["N"]),
        int(item["epoch"]["N"]),
        bool(item["done"]["BOOL"]),
        checkpoint,
    )


def _part_name(shard: str, slot: str, number: int) -> str:
    return f"{shard}{_STATE_MARK}{slot}#{number}"
