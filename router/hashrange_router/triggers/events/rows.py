"""Rows of the queue: an event as it is stored, and the requests that put, claim, move and remove it. Pure.

Sixteen queues, each the rows of one partition key, in the order in which they are due:

    pk = event#<queue, 2 digits>    sk = <due, epoch ms, 13 digits>#<request id>
         arn, id, put (epoch ms), tries, invokes, waits, payload | parts, context
         owner, claim      while somebody is at it: whose, and a counter that moves on as long as they live
         outcome, outcome_parts, sent   once it has been run for the last time: what is to be delivered (JSON)
    pk = part#<request id>          sk = <what>#<number, 5 digits>: pieces of what is too large for its row
    pk = event#bell                 sk = bell: a counter for each queue, moved on by those who cannot run events

A row that is due is never moved but within one transaction, and is removed last, so that there is one row of an
event at any time from `put` on. Pieces are written before the row that needs them and removed after it; those left
over by a crash expire.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any, Final
from zlib import crc32

from hashrange_router.triggers.contracts import TRIGGER_TABLE

QUEUES: Final = 16
INLINE_BYTES: Final = 32 * 1024
"""What is larger lies in pieces, so that a page of a scan holds some dozens of rows at least."""
PART_BYTES: Final = 380_000
"""An item has 400 KB at most (DynamoDB Developer Guide, Constraints)."""
PARTS_KEEP_S: Final = 30 * 86_400
"""Pieces expire after so long; an event that finds none of its pieces is dropped."""
BELL: Final[dict[str, Any]] = {"pk": {"S": "event#bell"}, "sk": {"S": "bell"}}

_NUMBERS: Final = ("put_ms", "tries", "invokes", "waits", "parts", "outcome_parts", "sent")

Request = dict[str, Any]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """One asynchronous invocation, between two steps.

    `arn` is the function as the caller named it, qualified or not. `tries` counts errors of the function, `invokes`
    every run, `waits` the throttles and service errors in a row. Times are epoch milliseconds.
    """

    queue: int
    due_ms: int
    id: str
    arn: str
    put_ms: int
    tries: int = 0
    invokes: int = 0
    waits: int = 0
    payload: bytes | None = None
    parts: int = 0
    """Pieces of the payload, when it is not in the row."""
    context: bytes | None = None
    outcome: bytes | None = None
    """What is to be delivered; when it is in pieces, the name that they go by."""
    outcome_parts: int = 0
    sent: int = 0
    """Which of its deliveries are done with: a bit for each, from the lowest."""

    @property
    def key(self) -> Row:
        """The key of its row."""
        return key_of(self.queue, f"{self.due_ms:013d}#{self.id}")

    def item(self) -> Row:
        """The row, claimed by nobody."""
        row = self.key
        row["id"] = {"S": self.id}
        row["arn"] = {"S": self.arn}
        for name in _NUMBERS:
            row[name] = {"N": str(getattr(self, name))}
        for name in ("payload", "context", "outcome"):
            data = getattr(self, name)
            if data is not None:
                row[name] = {"B": b64encode(data).decode()}
        return row

    @staticmethod
    def of(row: Row) -> Event:
        """The inverse of `item`. KeyError or ValueError for what is no event."""
        numbers = {name: int(row[name]["N"]) if name in row else 0 for name in _NUMBERS}
        data = {
            name: b64decode(row[name]["B"]) if name in row else None
            for name in ("payload", "context", "outcome")
        }
        due, _, _ = row["sk"]["S"].partition("#")
        queue = int(row["pk"]["S"].removeprefix("event#"))
        return Event(queue, int(due), row["id"]["S"], row["arn"]["S"], **numbers, **data)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Seen:
    """A row as a scan shows it: where it is, whose, and how often that has been renewed."""

    key: Row
    arn: str
    owner: str | None
    claim: int

    @property
    def name(self) -> tuple[str, str]:
        """The key as plain values."""
        return self.key["pk"]["S"], self.key["sk"]["S"]

    @property
    def due_ms(self) -> int:
        """When it is due."""
        return int(self.key["sk"]["S"].partition("#")[0])

    @staticmethod
    def of(row: Row) -> Seen:
        """From the attributes that `scan` asks for."""
        owner = row["owner"]["S"] if "owner" in row else None
        claim = int(row["claim"]["N"]) if "claim" in row else 0
        return Seen({"pk": row["pk"], "sk": row["sk"]}, row["arn"]["S"], owner, claim)


def queue_of(request_id: str) -> int:
    """The queue that an event belongs to."""
    return crc32(request_id.encode()) % QUEUES


def key_of(queue: int, sort: str) -> Row:
    """The key of a row in a queue."""
    return {"pk": {"S": f"event#{queue:02d}"}, "sk": {"S": sort}}


# Requests to the system table.


def put(event: Event, owner: str | None) -> Request:
    """Write a new row, claimed by `owner` if one is given."""
    row = event.item()
    if owner is not None:
        row |= {"owner": {"S": owner}, "claim": {"N": "1"}}
    return {"TableName": TRIGGER_TABLE, "Item": row}


def scan(queue: int, until_ms: int, limit: int, after: Row | None) -> Request:
    """The rows of a queue that are due up to `until_ms`, without what is large in them."""
    request: Request = {
        "TableName": TRIGGER_TABLE,
        "KeyConditionExpression": "pk = :q AND sk < :until",
        "ProjectionExpression": "pk, sk, arn, #o, claim",
        "ExpressionAttributeNames": {"#o": "owner"},
        "ExpressionAttributeValues": {
            ":q": {"S": f"event#{queue:02d}"},
            ":until": {"S": f"{until_ms + 1:013d}"},
        },
        "ConsistentRead": True,
        "Limit": limit,
    }
    if after is not None:
        request["ExclusiveStartKey"] = after
    return request


def claim(seen: Seen, owner: str) -> Request:
    """Take over a row, if it is still as it was seen."""
    names = {"#o": "owner"}
    values: Row = {":me": {"S": owner}, ":next": {"N": str(seen.claim + 1)}}
    condition = "attribute_exists(pk) AND attribute_not_exists(#o)"
    if seen.owner is not None:
        condition = "#o = :old AND claim = :seen"
        values |= {":old": {"S": seen.owner}, ":seen": {"N": str(seen.claim)}}
    return {
        "TableName": TRIGGER_TABLE,
        "Key": seen.key,
        "UpdateExpression": "SET #o = :me, claim = :next",
        "ConditionExpression": condition,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
        "ReturnValues": "ALL_NEW",
    }


def renew(event: Event, owner: str) -> Request:
    """Show that the owner is alive."""
    return _as_owner(event, owner, "ADD claim :one", {":one": {"N": "1"}})


def release(event: Event, owner: str) -> Request:
    """Leave the row to whoever comes next."""
    return _as_owner(event, owner, "REMOVE #o", {})


def settle(event: Event, owner: str) -> Request:
    """Keep what is still to be delivered: the function is not run again."""
    assert event.outcome is not None
    values: Row = {
        ":outcome": {"B": b64encode(event.outcome).decode()},
        ":parts": {"N": str(event.outcome_parts)},
        ":invokes": {"N": str(event.invokes)},
        ":zero": {"N": "0"},
    }
    update = "SET outcome = :outcome, outcome_parts = :parts, invokes = :invokes, waits = :zero"
    return _as_owner(event, owner, update, values)


def finish(event: Event, owner: str) -> Request:
    """Remove the row."""
    return {"TableName": TRIGGER_TABLE, "Key": event.key, **_owned(owner)}


def move(event: Event, later: Event, owner: str) -> Request:
    """Put the event, as it is to go on, in the place of its row: in one transaction."""
    return {
        "TransactItems": [
            {"Delete": {"TableName": TRIGGER_TABLE, "Key": event.key, **_owned(owner)}},
            {"Put": {"TableName": TRIGGER_TABLE, "Item": later.item()}},
        ]
    }


def ring(queue: int) -> Request:
    """Tell the pools that a queue has a new row."""
    return {
        "TableName": TRIGGER_TABLE,
        "Key": BELL,
        "UpdateExpression": "ADD #q :one",
        "ExpressionAttributeNames": {"#q": f"q{queue:02d}"},
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }


def listen() -> Request:
    """Look at the bell."""
    return {"TableName": TRIGGER_TABLE, "Key": BELL, "ConsistentRead": True}


def rung(before: Row, now: Row) -> list[int]:
    """The queues whose counters differ."""
    return [queue for queue in range(QUEUES) if now.get(f"q{queue:02d}") != before.get(f"q{queue:02d}")]


def part_key(request_id: str, what: str, number: int) -> Row:
    """The key of a piece."""
    return {"pk": {"S": f"part#{request_id}"}, "sk": {"S": f"{what}#{number:05d}"}}


def part(request_id: str, what: str, number: int, data: bytes, now_ms: int) -> Request:
    """Write a piece of what is too large for its row."""
    row = part_key(request_id, what, number)
    row["data"] = {"B": b64encode(data).decode()}
    row["expires"] = {"N": str(now_ms // 1000 + PARTS_KEEP_S)}
    return {"TableName": TRIGGER_TABLE, "Item": row}


def pieces(data: bytes) -> list[bytes]:
    """Data in pieces that fit into items."""
    return [data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES)]


def _owned(owner: str) -> Request:
    return {
        "ConditionExpression": "#o = :me",
        "ExpressionAttributeNames": {"#o": "owner"},
        "ExpressionAttributeValues": {":me": {"S": owner}},
    }


def _as_owner(event: Event, owner: str, update: str, values: Row) -> Request:
    request = {"TableName": TRIGGER_TABLE, "Key": event.key, "UpdateExpression": update, **_owned(owner)}
    request["ExpressionAttributeValues"].update(values)
    return request
