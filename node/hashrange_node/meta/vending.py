"""The vendor of capacity at work: on every member of group 0, answering where the control plane is led.

    vending = Vending(node, VendorSettings(), now=clock.monotonic)
    vending.start()                       # after the node has recovered
    vending.vendor                        # what is known of consumption; None where the control plane is not led

Every leader begins with a vendor of its own (`Vendor`). All that outlives one is what a table on demand has grown to:
it is put into the table's document from time to time, where DescribeTable shows it as warm throughput.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hashrange.model.table_document import TableDocument
from hashrange.model.table_state import warmed
from hashrange.wire.capacity import CapacityReport
from hashrange.wire.messages import ChangeTable, Done
from hashrange_node.meta.vendor import Vendor, VendorSettings
from hashrange_node.node import Node

GROWTH_CHECKS = 60
"""How often in a window of peaks it is checked which tables have grown."""


class Vending:
    """See the module. `now` gives monotonic seconds, `note(event, **details)` writes to the log."""

    def __init__(
        self,
        node: Node,
        settings: VendorSettings,
        *,
        now: Callable[[], float],
        note: Callable[..., object] = lambda event, **details: None,
    ) -> None:
        self.vendor: Vendor | None = None
        self.stopped = False
        self._catalogue = node.catalogue
        self._scheduler = node.scheduler
        self._settings = settings
        self._now = now
        self._note = note
        self._pause_s = settings.peak_window_s / GROWTH_CHECKS
        node.handle(CapacityReport, self._reported)
        node.catalogue.subscribe(self._changed)
        node.catalogue.on_control.append(self._lead)

    def start(self) -> None:
        """Begin to answer, if the control plane is led here."""
        if self._catalogue.group.serving and self.vendor is None:
            self._lead(True)
        self._scheduler.call_later(self._pause_s, self._round)

    def stop(self) -> None:
        """Change no documents any more."""
        self.stopped = True

    def _lead(self, leading: bool) -> None:
        self.vendor = None
        if leading:
            now = self._now()
            self.vendor = Vendor(self._settings, now)
            for name, document in self._catalogue.documents.items():
                self.vendor.follow(name, document, now)

    def _changed(self, name: str, before: TableDocument | None, after: TableDocument | None) -> None:
        if self.vendor is not None:
            self.vendor.follow(name, after, self._now())

    def _reported(self, message: CapacityReport, done: Done) -> None:
        if self.vendor is None or not self._catalogue.group.serving:
            done(self._catalogue.group.not_leader())
        else:
            done(self.vendor.report(message, self._now()))

    def _round(self) -> None:
        """Put on record what tables on demand have grown to."""
        if self.stopped:
            return
        if self.vendor is not None and self._catalogue.group.serving:
            for table, index, read, write in self.vendor.grown(self._now()):
                self._record(table, index, read, write)
        self._scheduler.call_later(self._pause_s, self._round)

    def _record(self, table: str, index: str, read: int, write: int) -> None:
        document = self._catalogue.documents.get(table)
        after = warmed(document, index or None, read, write) if document is not None else None
        if document is None or after is None or after is document:
            return
        self._note("a table on demand has grown", table=table, index=index, read=read, write=write)
        expected = (document["TableId"], document["Generation"])
        try:
            self._catalogue.change(ChangeTable(table, expected, after, []), _ignore)
        except Exception as error:
            self._note("growth could not be put on record", table=table, reason=str(error))


def _ignore(answer: Any) -> None:
    """What could not be recorded is found to have grown again by the next round."""
