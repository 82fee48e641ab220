"""Compares what was read of a stream with what was written.

The records of an item form a chain: each has as its old image what the one before left. With views that have both
images that alone shows that none is missing, doubled or out of place; the acknowledged states have to be in it.
"""

from __future__ import annotations

from typing import Any

from tests.cluster.streams.changes import Known
from tests.cluster.streams.reader import StreamReader

Item = dict[str, Any]


def lineage_faults(reader: StreamReader) -> list[str]:
    """What is wrong with the shards and the numbers of the records."""
    faults: list[str] = []
    seen: set[str] = set()
    for shard_id, shard in reader.shards.items():
        numbers = [record["dynamodb"]["SequenceNumber"] for record in reader.read.get(shard_id, [])]
        faults += [f"{number} was read twice" for number in numbers if number in seen]
        seen.update(numbers)
        values = [int(number) for number in numbers]
        if values != sorted(set(values)):
            faults.append(f"the numbers of {shard_id} do not grow")
        bounds = shard["SequenceNumberRange"]
        low, high = int(bounds["StartingSequenceNumber"]), int(bounds.get("EndingSequenceNumber", 1 << 130))
        if values and not (low <= values[0] and values[-1] <= high):
            faults.append(f"records of {shard_id} lie outside of its range")
        parent = reader.shards.get(shard.get("ParentShardId", ""))
        if parent is not None:
            ended = parent["SequenceNumberRange"].get("EndingSequenceNumber")
            if ended is None:
                faults.append(f"{shard_id} is there while its parent is open")
            elif int(ended) >= low:
                faults.append(f"{shard_id} begins before the end of its parent")
    ids = [record["eventID"] for record in reader.order]
    if len(set(ids)) != len(ids):
        faults.append("an event id was given twice")
    return faults


def open_leaves(reader: StreamReader) -> int:
    """How many shards are open; every closed one must have children while the stream is on."""
    parents = {shard.get("ParentShardId") for shard in reader.shards.values()}
    leaves = [shard for shard_id, shard in reader.shards.items() if shard_id not in parents]
    return sum("EndingSequenceNumber" not in shard["SequenceNumberRange"] for shard in leaves)


def chain_faults(records: list[dict[str, Any]], known: dict[str, Known], items: dict[str, Item]) -> list[str]:
    """What is wrong with the records in the order they were read. `items` are those in the table at the end."""
    faults: list[str] = []
    chains: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        chains.setdefault(record["dynamodb"]["Keys"]["k"]["S"], []).append(record)
    for key in chains.keys() - known.keys():
        faults.append(f"{key}: there are records of an item that was never written")
    for key, item_known in known.items():
        chain = chains.get(key, [])
        faults += [f"{key}: {fault}" for fault in _chain_faults(chain, items.get(key))]
        faults += [f"{key}: {fault}" for fault in _state_faults(chain, item_known)]
    return faults


def between(
    known: dict[str, Known], first: dict[str, int], last: dict[str, int] | None
) -> dict[str, set[int]]:
    """The numbers that items took by acknowledged changes begun after the mark `first` and before the mark `last`."""
    found: dict[str, set[int]] = {}
    for key, taken in known.items():
        end = len(taken.states) if last is None else last.get(key, 0)
        # The first behind a mark may have been under way when it was made.
        states = taken.states[first.get(key, 0) + 1 : end]
        found[key] = {number for number, sure in states if sure and number}
    return found


def numbers_in(records: list[dict[str, Any]]) -> dict[str, list[int]]:
    """The numbers that items took by the records, in their order."""
    found: dict[str, list[int]] = {}
    for record in records:
        image = record["dynamodb"].get("NewImage")
        if image is not None:
            found.setdefault(image["k"]["S"], []).append(int(image["n"]["N"]))
    return found


def _chain_faults(chain: list[dict[str, Any]], last: Item | None) -> list[str]:
    faults: list[str] = []
    before: Item | None = None
    for record in chain:
        change = record["dynamodb"]
        old, new = change.get("OldImage"), change.get("NewImage")
        expected = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
        if record["eventName"] != expected:
            faults.append(f"{record['eventName']} at {change['SequenceNumber']} is {expected} by its images")
        if old != before:
            faults.append(
                f"the item before {change['SequenceNumber']} is {_short(old)}, not {_short(before)}"
            )
        before = new
    if before != last:
        faults.append(f"the last record leaves {_short(before)}, the table has {_short(last)}")
    return faults


def _state_faults(chain: list[dict[str, Any]], known: Known) -> list[str]:
    """Every acknowledged state is there in its order; of the others, each at most once and none unknown."""
    found = [
        int(new["n"]["N"]) if (new := record["dynamodb"].get("NewImage")) is not None else 0
        for record in chain
    ]
    written = [number for number in found if number]
    faults: list[str] = []
    if len(set(written)) != len(written):
        faults.append("a state is there twice")
    attempted = {number for number, _ in known.states}
    faults += [f"nobody wrote {number}" for number in written if number not in attempted]
    acknowledged = [number for number, sure in known.states if sure and number]
    missing = [number for number in acknowledged if number not in set(written)]
    if missing:
        faults.append(f"acknowledged and not there: {missing[:5]}")
    elif acknowledged != [number for number in written if number in set(acknowledged)]:
        faults.append("acknowledged changes are out of order")
    return faults


def _short(item: Item | None) -> str:
    return "none" if item is None else str(item.get("n"))
