"""What the leader of the control plane does about documents: it carries each from a transient state to the next.

A table CREATING becomes ACTIVE when each of its partitions has a leader; an index CREATING when every partition of
the table reports it filled; one DELETING goes when every partition reports that no change for it is queued. A
replica in another region is filled when every partition reports that it has everything. A stream is switched when
every partition reports that its shard is open, or closed. A table DELETING goes; while records of its streams may
be read its document only gives its name up (`hashrange.model.deleted_table`). Reports
are kept in memory only: whoever did the work repeats them until the document has moved on, so a new leader hears
them again. Elsewhere than at the leader this does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from hashrange.model import deleted_table, regions, table_state
from hashrange.model.regions import ReplicaTarget
from hashrange.model.table_document import ACTIVE, CREATING, DELETING, TableDocument
from hashrange.wire.cluster import WorkDone
from hashrange.wire.messages import ChangeTable, ConflictError, Done, WhenSettled
from hashrange_node.meta.catalogue import Catalogue
from hashrange_node.meta.documents import partitions_of

RETRY_DELAY_S = 0.2
FORGET_PAUSE_S = 1.0
"""Streams that have passed their time are looked for no more often than this."""

Transition = Callable[[TableDocument], TableDocument | None]


class Timers(Protocol):
    """What is needed of an event loop."""

    def call_soon(self, callback: Callable[[], None]) -> Any: ...

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Any: ...


def filled(index: dict[str, Any]) -> str:
    """What a partition reports (`WorkDone.what`) once an index is filled from it. Names one life of the index."""
    return f"filled:{index['IndexName']}:{index['Partitions'][0]['id']}"


def drained(index: dict[str, Any]) -> str:
    """What a partition reports once none of its changes are queued for an index that is being deleted."""
    return f"drained:{index['IndexName']}:{index['Partitions'][0]['id']}"


def switched(document: TableDocument) -> str:
    """What a partition reports once its shard agrees with a document whose stream is being switched."""
    return f"stream:{document['LatestStreamLabel']}:{document['StreamChanging']}"


def replicated(target: ReplicaTarget) -> str:
    """What a partition reports once a replica that was added has everything the partition had. Slots are used once."""
    return f"replicated:{target.region}:{target.slot}"


class Transitions:
    """`ready(partition)` tells whether a partition has a leader; call `poke` when that may have changed.

    `now` is the wall clock in seconds. `delay_s` holds tables and indexes in their transient states for a while, for
    programs that want to see them. `retention_s`: for how long a stream that is off stays on record.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        timers: Timers,
        now: Callable[[], float],
        ready: Callable[[int], bool],
        delay_s: float = 0.0,
        retention_s: float = 86_400.0,
    ) -> None:
        self.stopped = False
        self.ready = ready
        self._catalogue = catalogue
        self._timers = timers
        self._now = now
        self._delay_s = delay_s
        self._retention_s = retention_s
        self._forgetting: set[str] = set()
        self._creating: set[str] = set()
        self._work: dict[tuple[str, str, str], set[int]] = {}
        self._pending: set[tuple[str, str]] = set()
        self._waiting: dict[str, list[Done]] = {}

    @property
    def leading(self) -> bool:
        """Whether the control plane is led here."""
        return self._catalogue.group.serving

    def lead(self, leading: bool) -> None:
        """The control plane is led here from now on, or not any more."""
        self._work.clear()
        self._creating.clear()
        if leading:
            for name, document in list(self._catalogue.documents.items()):
                self.act(name, document)
            return
        waiting, self._waiting = self._waiting, {}
        for dones in waiting.values():
            for done in dones:
                done(self._catalogue.group.not_leader())

    def changed(self, name: str, before: TableDocument | None, after: TableDocument | None) -> None:
        """A document was changed."""
        if after is None or after["Status"] not in (CREATING, DELETING):
            self._creating.discard(name)
            for done in self._waiting.pop(name, ()):
                # Not before the other subscribers know: the answer may bring on the next request at once.
                self._timers.call_soon(lambda done=done: done(None))  # type: ignore[misc]
        self._forget(name, after)
        if after is not None:
            self.act(name, after)

    def _forget(self, name: str, after: TableDocument | None) -> None:
        indexes = after["GlobalSecondaryIndexes"] if after is not None else ()
        wanted = {filled(i) for i in indexes if i["Status"] == CREATING}
        wanted |= {drained(i) for i in indexes if i["Status"] == DELETING}
        if after is not None and "StreamChanging" in after:
            wanted.add(switched(after))
        wanted |= {replicated(target) for target in regions.targets(after or {}) if not target.filled}
        for key in [key for key in self._work if key[0] == name]:
            if after is None or key[1] != after["TableId"] or key[2] not in wanted:
                del self._work[key]

    def act(self, name: str, document: TableDocument) -> None:
        """Begin what a document is waiting for."""
        if not self.leading or self.stopped:
            return
        status = document["Status"]
        if status == CREATING:
            self._creating.add(name)
            self._try_activate(name)
        elif status == DELETING:
            self._later(name, "delete", self._deleted)
        elif status == ACTIVE:
            self._try_indexes(name, document)
            self._try_stream(name, document)
            self._try_replicas(name, document)
            self._watch_streams(name, document)

    # ---- tables

    def poke(self) -> None:
        """Partitions may have got leaders."""
        for name in list(self._creating):
            self._try_activate(name)

    def _try_activate(self, name: str) -> None:
        document = self._catalogue.documents.get(name)
        if document is not None and all(self.ready(partition) for partition in partitions_of(document)):
            self._later(name, "activate", lambda d: table_state.table_activated(d, self._now()))

    def _deleted(self, document: TableDocument) -> TableDocument | None:
        """What becomes of a table that is to go."""
        if document["Status"] != DELETING:
            return document
        now = self._now()
        if deleted_table.retires(document, now, self._retention_s):
            return deleted_table.retired(document, now, self._retention_s)
        return None

    def when_settled(self, message: WhenSettled, done: Done) -> None:
        """Answer when a table can be used, or is gone."""
        document = self._catalogue.documents.get(message.name)
        if self._delay_s > 0 or document is None or document["Status"] not in (CREATING, DELETING):
            done(None)
        else:
            self._waiting.setdefault(message.name, []).append(done)

    # ---- indexes

    def work_done(self, message: WorkDone, done: Done) -> None:
        """A partition's leader has finished some work."""
        if not self.leading:
            done(self._catalogue.group.not_leader())
            return
        document = self._catalogue.documents.get(message.table)
        if document is not None and document["TableId"] == message.table_id:
            key = (message.table, message.table_id, message.what)
            self._work.setdefault(key, set()).add(message.partition)
            self._forget(message.table, document)
            self.act(message.table, document)
        done(None)

    def _try_indexes(self, name: str, document: TableDocument) -> None:
        partitions = {part["id"] for part in document["Partitions"]}
        for index in document["GlobalSecondaryIndexes"]:
            index_name = index["IndexName"]
            if index["Status"] == CREATING and partitions <= self._reported(document, filled(index)):
                self._later(name, "activate:" + index_name, self._activated(index_name, filled(index)))
            elif index["Status"] == DELETING and partitions <= self._reported(document, drained(index)):
                self._later(name, "remove:" + index_name, self._removed(index_name, drained(index)))

    def _reported(self, document: TableDocument, what: str) -> set[int]:
        return self._work.get((document["TableName"], document["TableId"], what), set())

    def _activated(self, index_name: str, what: str) -> Transition:
        def transition(document: TableDocument) -> TableDocument:
            for index in document["GlobalSecondaryIndexes"]:
                if index["IndexName"] == index_name and filled(index) == what:
                    return table_state.index_activated(document, index_name, self._now())
            return document

        return transition

    @staticmethod
    def _removed(index_name: str, what: str) -> Transition:
        def transition(document: TableDocument) -> TableDocument:
            for index in document["GlobalSecondaryIndexes"]:
                if index["IndexName"] == index_name and drained(index) == what:
                    return table_state.index_removed(document, index_name)
            return document

        return transition

    # ---- replicas in other regions

    def _try_replicas(self, name: str, document: TableDocument) -> None:
        partitions = {part["id"] for part in document["Partitions"]}
        for target in regions.targets(document):
            if not target.filled and partitions <= self._reported(document, replicated(target)):
                self._later(name, "replicate:" + target.region, self._replicated(replicated(target)))

    @staticmethod
    def _replicated(what: str) -> Transition:
        def transition(document: TableDocument) -> TableDocument:
            for target in regions.targets(document):
                if replicated(target) == what:
                    return table_state.replica_filled(document, target.region)
            return document

        return transition

    # ---- streams

    def _try_stream(self, name: str, document: TableDocument) -> None:
        if "StreamChanging" not in document:
            return
        what = switched(document)
        if {part["id"] for part in document["Partitions"]} <= self._reported(document, what):
            self._later(name, "stream", self._switched(what))

    @staticmethod
    def _switched(what: str) -> Transition:
        def transition(document: TableDocument) -> TableDocument:
            if "StreamChanging" in document and switched(document) == what:
                return table_state.stream_settled(document)
            return document

        return transition

    def _watch_streams(self, name: str, document: TableDocument) -> None:
        """See to it that a stream which has passed its time is forgotten, a deleted table with the last of its own."""
        due = deleted_table.forgets_at(document, self._retention_s)
        if due is None or name in self._forgetting:
            return
        self._forgetting.add(name)
        delay_s = max(due - self._now(), FORGET_PAUSE_S)
        self._timers.call_later(delay_s, lambda: self._forget_streams(name))

    def _forget_streams(self, name: str) -> None:
        self._forgetting.discard(name)
        document = self._catalogue.documents.get(name)
        if document is None or document["Status"] != ACTIVE or not self.leading or self.stopped:
            return

        def forgotten(document: TableDocument) -> TableDocument | None:
            return deleted_table.streams_forgotten(document, self._now(), self._retention_s)

        self._later(name, "forget", forgotten)
        self._watch_streams(name, document)

    # ---- proposing

    def _later(self, name: str, what: str, transition: Transition) -> None:
        """Apply a transition to the newest document soon; a second request for the same is one."""
        key = (name, what)
        if key in self._pending:
            return
        self._pending.add(key)
        if self._delay_s > 0:
            self._timers.call_later(self._delay_s, lambda: self._transit(name, key, transition))
        else:
            self._transit(name, key, transition)

    def _transit(self, name: str, key: tuple[str, str], transition: Transition) -> None:
        document = self._catalogue.documents.get(name)
        after = transition(document) if document is not None else document
        if self.stopped or not self.leading or document is None or after is document:
            self._pending.discard(key)
            return

        def done(answer: Any) -> None:
            if isinstance(answer, ConflictError):
                self._timers.call_soon(lambda: self._transit(name, key, transition))
            elif isinstance(answer, Exception):
                self._timers.call_later(RETRY_DELAY_S, lambda: self._transit(name, key, transition))
            else:
                self._pending.discard(key)

        expected = (document["TableId"], document["Generation"])
        try:
            if after is not None and after["TableName"] != name:
                self._catalogue.changes.rename(name, expected, after, done)
            else:
                self._catalogue.change(ChangeTable(name, expected, after, []), done)
        except Exception as error:
            done(error)
