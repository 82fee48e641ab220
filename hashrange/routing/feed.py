"""Keeps a `ClusterView` up to date: follows the catalogue at any node of the cluster, and at another when it fails.

A node asked with `WatchCatalogue` casts `CatalogueUpdate`s on the connection for as long as that lasts. Whoever
composes a program hands every such cast to `update`, and connections that come and go to `node_up` and `node_down`.
An update that does not follow on the last one was preceded by one that got lost: the feed asks again. The view is
never thrown away, so that a program goes on with what it knows while nobody answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from hashrange.errors import ApiError
from hashrange.routing.transport import Peers
from hashrange.routing.view import ClusterView
from hashrange.runtime.logging import get_logger
from hashrange.wire.cluster import CatalogueUpdate, WatchCatalogue

ASK_TIMEOUT_S = 3.0
PAUSE_MIN_S = 0.1
PAUSE_MAX_S = 2.0
DOUBT_INTERVAL_S = 1.0
RENEW_S = 30.0


class CatalogueFeed:
    """The client of one program. `candidates()` are the nodes that may be asked, those to prefer first."""

    def __init__(
        self,
        peers: Peers,
        view: ClusterView,
        candidates: Callable[[], Sequence[int]],
        *,
        now: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], Any],
        rng: Random,
    ) -> None:
        self.view = view
        self.source: int | None = None
        """The node that is followed; None while one is looked for."""
        self.updates = 0
        """Updates received since the start."""
        self.switches = 0
        """How often a node was asked to be followed."""
        self._peers = peers
        self._candidates = candidates
        self._now = now
        self._call_later = call_later
        self._rng = rng
        self._log = get_logger("catalogue")
        self._asking: int | None = None
        self._asked = 0
        self._failures = 0
        self._failed: set[int] = set()
        self._doubted_at = float("-inf")
        self._stopped = False

    def start(self) -> None:
        """Look for a node to follow."""
        self._ask()
        self._renew_later()

    def stop(self) -> None:
        """Follow nobody any more."""
        self._stopped = True
        self.source = self._asking = None

    def update(self, node: int, message: CatalogueUpdate) -> None:
        """A node has cast an update."""
        if self._stopped or node not in (self.source, self._asking):
            return
        self.updates += 1
        if not self.view.apply(message):
            self._ask(node)

    def node_up(self, node: int) -> None:
        """There is a new connection to a node: what was watched on the old one is not watched any more."""
        if node == self.source:
            self._ask(node)

    def node_down(self, node: int) -> None:
        """The connection to a node is lost."""
        if node in (self.source, self._asking):
            self.source = self._asking = None
            self._asked += 1
            self._failed.add(node)
            self._ask()

    def doubt(self) -> None:
        """What is known turns out to be of no use: ask another node, at most once a second."""
        now = self._now()
        if now - self._doubted_at >= DOUBT_INTERVAL_S and self._asking is None and not self._stopped:
            self._doubted_at = now
            if self.source is not None:
                self._failed.add(self.source)
            self._ask()

    def _choose(self) -> int | None:
        candidates = list(self._candidates())
        fresh = [node for node in candidates if node not in self._failed]
        if not fresh:
            self._failed.clear()
            fresh = candidates
        if not fresh:
            return None
        return next((node for node in fresh if self._peers.is_up(node)), fresh[0])

    def _ask(self, node: int | None = None) -> None:
        """Ask `node`, or whoever is next, for everything after what is known."""
        if self._stopped:
            return
        if node is None:
            node = self._choose()
        if node is None:
            self._ask_later()
            return
        self._asked += 1
        self.switches += 1
        number = self._asked
        self._asking = node
        after = self.view.index if self.view.received else 0
        self._peers.request(
            node, WatchCatalogue(after), lambda answer: self._answered(number, node, answer), ASK_TIMEOUT_S
        )

    def _answered(self, number: int, node: int, answer: Any) -> None:
        if number != self._asked or self._stopped:
            return
        self._asking = None
        if isinstance(answer, ApiError):
            self._log.debug("a node cannot be followed", node=node, reason=str(answer))
            self.source = None
            self._failed.add(node)
            self._failures += 1
            self._ask_later()
            return
        if self.source != node:
            self._log.info("following the catalogue", node=node, index=self.view.index)
        self.source = node
        self._failures = 0

    def _ask_later(self) -> None:
        number = self._asked
        whole = min(PAUSE_MAX_S, PAUSE_MIN_S * 2.0 ** min(self._failures, 8))

        def again() -> None:
            if self._asked == number and self.source is None:
                self._ask()

        self._call_later(whole * (0.5 + self._rng.random() / 2), again)

    def _renew_later(self) -> None:
        """Ask the followed node again now and then: an update that was the last, and got lost, comes then."""

        def renew() -> None:
            if not self._stopped:
                if self.source is not None and self._asking is None:
                    self._ask(self.source)
                self._renew_later()

        self._call_later(RENEW_S, renew)
