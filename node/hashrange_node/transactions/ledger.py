"""The node's way to the ledger: giving up a transaction, and looking after those that were committed.

A transaction has been decided once its row is in the ledger (`hashrange.model.ledger`). Whoever finds one stalled puts
"cancelled" there if there is nothing yet; what is there afterwards is the decision, whoever wrote it. A committed row
must stay as long as any participant may still hold locks, or the next one that looks would find nothing and give the
transaction up. So it is the leader of the row's partition that removes it, when every participant has finished.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from hashrange.errors import CONDITION_FAILED, ApiError
from hashrange.expr import compile_condition
from hashrange.model import ledger
from hashrange.model import record as records
from hashrange.model.table import TableSchema
from hashrange.model.value import Item, dump, normalise_item
from hashrange.wire.messages import DELETE, PUT, WriteItem
from hashrange.wire.transactions import TransactFinish

if TYPE_CHECKING:
    from hashrange_node.node import Node
    from hashrange_node.replica.replica import Replica

LOST_TABLE_S = 3_600
"""How long a committed row waits for a table that is not known here: it may be known later."""
KEEPING_MAX = 64
"""Committed rows that are looked after at a time."""

_ABSENT = compile_condition(f"attribute_not_exists({ledger.KEY})")
_PRESENT = compile_condition(f"attribute_exists({ledger.KEY})")


def _put_of(schema: TableSchema, row: Item) -> WriteItem:
    key = schema.codec.encode(row)
    write = WriteItem(schema.partition_for(key).id, 0, PUT, key)
    write.item_size = normalise_item(row)
    write.item_json = dump(row)
    return write


class Ledger:
    """Reads and writes of the ledger by the node's transport."""

    def __init__(self, node: Node) -> None:
        self._node = node

    @property
    def known(self) -> bool:
        """Whether there is a ledger, as far as this node knows."""
        return ledger.LEDGER_TABLE in self._node.catalogue.schemas

    def give_up(self, txid: bytes, now_s: int, decided: Callable[[bool | None], None]) -> None:
        """Cancel a transaction unless it was decided before. `decided(committed)`; None: that is not known."""
        schema = self._node.catalogue.schemas[ledger.LEDGER_TABLE]
        write = _put_of(schema, ledger.decision_row(txid, False, [], now_s))
        write.condition = _ABSENT
        write.want_old_on_failure = True

        def done(answer: Any) -> None:
            if not isinstance(answer, ApiError):
                decided(False)
            elif answer.type_name == CONDITION_FAILED and answer.fields and "Item" in answer.fields:
                # A fragment of JSON here, its value when it came from elsewhere.
                decided(ledger.committed_in(orjson.loads(orjson.dumps(answer.fields["Item"]))))
            else:
                decided(None)

        self._node.transport.send(write, done)


class LedgerKeeper:
    """Looks after the committed rows of the ledger's partitions that are led here, when they are due.

    `keeps` is asked by the sweep of expired items (`ExpirySweeper`) for every row before it is deleted.
    """

    def __init__(
        self, node: Node, wall_ms: Callable[[], int], report: Callable[[str, BaseException], None]
    ) -> None:
        self._node = node
        self._wall_ms = wall_ms
        self._report = report
        self._under_way: set[bytes] = set()
        self.finished = 0

    def keeps(self, replica: Replica, key: bytes) -> bool:
        """Whether an expired item must not be deleted: it is a committed row, and its participants come first."""
        if replica.schema.name != ledger.LEDGER_TABLE:
            return False
        record = replica.read(key)
        if record is None:
            return False
        row: Item = orjson.loads(records.item_json(record))
        if row.get("state") != {"S": ledger.COMMITTED} or "participants" not in row:
            return False
        if key not in self._under_way and len(self._under_way) < KEEPING_MAX:
            self._under_way.add(key)
            try:
                self._finish(replica, key, row)
            except Exception as error:
                self._under_way.discard(key)
                self._report("a committed transaction could not be looked after", error)
        return True

    def _finish(self, replica: Replica, key: bytes, row: Item) -> None:
        """Tell all participants; `_finished` when the last has answered."""
        txid = bytes.fromhex(row[ledger.KEY]["S"][2:])
        messages: list[TransactFinish] = []
        for table, hashes in ledger.participants_in(row):
            schema = self._node.catalogue.schemas.get(table)
            if schema is None:
                due_s = int(row[ledger.TTL_ATTRIBUTE]["N"])
                if self._wall_ms() // 1000 < due_s + LOST_TABLE_S:
                    self._under_way.discard(key)
                    return
                continue
            parts: dict[int, list[int]] = {}
            for each in hashes:
                parts.setdefault(schema.partition_for(each.to_bytes(8, "big")).id, []).append(each)
            messages += [TransactFinish(partition, 0, txid, True, part) for partition, part in parts.items()]
        waiting = len(messages)
        failed = False

        def answered(answer: Any) -> None:
            nonlocal waiting, failed
            waiting -= 1
            failed = failed or isinstance(answer, ApiError)
            if waiting == 0:
                if failed:
                    self._under_way.discard(key)
                else:
                    self._finished(replica, key, row)

        if not messages:
            self._finished(replica, key, row)
        for message in messages:
            self._node.transport.send(message, answered)

    def _finished(self, replica: Replica, key: bytes, row: Item) -> None:
        """Every participant has finished: put what stays in the row's place, or delete it."""
        rest = ledger.after_finish(row, self._wall_ms() // 1000)
        if rest is None:
            write = WriteItem(replica.id, 0, DELETE, key)
            write.key_item = {ledger.KEY: row[ledger.KEY]}
        else:
            write = _put_of(replica.schema, rest)
            write.condition = _PRESENT  # the coordinator may have removed it

        def done(answer: Any) -> None:
            self._under_way.discard(key)
            if not isinstance(answer, ApiError):
                self.finished += 1

        self._node.transport.send(write, done)
