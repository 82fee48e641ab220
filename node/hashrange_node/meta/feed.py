"""Lets other programs follow the catalogue: the node's side of `WatchCatalogue`.

Any node serves it, members of group 0 and holders of a copy alike. Recent changes are kept, so that a watcher that
missed little gets little; one that missed more gets everything. Changes of one tick go out together. Updates may be
lost on the way: each says what it follows on, and a watcher that sees a gap asks again (`hashrange.routing.feed`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from hashrange.errors import unavailable
from hashrange.wire.cluster import CatalogueUpdate, WatchCatalogue
from hashrange.wire.messages import Done
from hashrange_node.meta.records import Entries

RECENT_MAX = 1_000
RECENT_BYTES_MAX = 4 << 20


class Watcher(Protocol):
    """A connection that updates are cast on."""

    @property
    def closed(self) -> bool: ...

    def cast(self, message: Any) -> None: ...


class Source(Protocol):
    """What is served: a `Catalogue`, or what looks like one."""

    @property
    def clustered(self) -> bool:
        """Whether it is that of a cluster."""
        ...

    @property
    def index(self) -> int:
        """How far it is."""
        ...

    def as_update(self) -> CatalogueUpdate:
        """Everything there is."""
        ...

    def subscribe_entries(self, subscriber: Callable[[int, int, Entries], None]) -> None:
        """Be given every change: (index before, index after, entries)."""
        ...


class CatalogueFeed:
    """Serves one node's catalogue to watchers, and to listeners in the same process.

    `call_soon` schedules for the end of the tick. Listeners get the same updates as watchers.
    """

    def __init__(self, catalogue: Source, call_soon: Callable[[Callable[[], None]], Any]) -> None:
        self._catalogue = catalogue
        self._call_soon = call_soon
        self._watchers: dict[Watcher, int] = {}
        self._recent: deque[tuple[int, int, Entries, int]] = deque()
        self._recent_bytes = 0
        self._scheduled = False
        self._told = catalogue.index
        self.listeners: list[Callable[[CatalogueUpdate], None]] = []
        catalogue.subscribe_entries(self._changed)

    @property
    def watchers(self) -> int:
        """Connections that are told of changes."""
        return len(self._watchers)

    def watch(self, watcher: Watcher, message: WatchCatalogue, done: Done) -> None:
        """Tell a connection of everything after an index, now and from now on."""
        if not self._catalogue.clustered:
            done(unavailable("this node belongs to no cluster yet"))
            return
        done(None)
        watcher.cast(self._after(message.after_index))
        self._watchers[watcher] = self._catalogue.index

    def listen(self, listener: Callable[[CatalogueUpdate], None]) -> None:
        """Give a listener in this process everything there is, and every change from now on."""
        listener(self._catalogue.as_update())
        self.listeners.append(listener)

    def _changed(self, before: int, index: int, entries: Entries) -> None:
        size = sum(len(key) + len(value or b"") for key, value in entries)
        self._recent.append((before, index, entries, size))
        self._recent_bytes += size
        while len(self._recent) > RECENT_MAX or self._recent_bytes > RECENT_BYTES_MAX:
            self._recent_bytes -= self._recent.popleft()[3]
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._flush)

    def _after(self, index: int) -> CatalogueUpdate:
        """What to send to someone who has everything up to `index`: the changes since, or all there is."""
        newest = self._catalogue.index
        if index == newest and index:
            return CatalogueUpdate(newest, False, [], newest)
        recent = self._recent
        if not index or index > newest or not recent or recent[0][0] > index:
            return self._catalogue.as_update()
        changes: dict[bytes, bytes | None] = {}
        for _, at, entries, _ in recent:
            if at > index:
                for key, value in entries:
                    changes.pop(key, None)
                    changes[key] = value
        return CatalogueUpdate(newest, False, list(changes.items()), index)

    def _flush(self) -> None:
        self._scheduled = False
        newest = self._catalogue.index
        made: dict[int, CatalogueUpdate] = {}
        for watcher, sent in list(self._watchers.items()):
            if watcher.closed:
                del self._watchers[watcher]
                continue
            if sent != newest:
                update = made.get(sent) or made.setdefault(sent, self._after(sent))
                self._watchers[watcher] = newest
                watcher.cast(update)
        if self.listeners and self._told != newest:
            update = made.get(self._told) or self._after(self._told)
            for listener in self.listeners:
                listener(update)
        self._told = newest
