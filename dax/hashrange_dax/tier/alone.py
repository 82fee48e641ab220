"""The coherence of a node that is alone in its cluster: it makes its writes itself and has nobody to tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hashrange_dax.contracts import BackendDone, Change, Request


class _Writer(Protocol):
    def write_here(self, operation: str, request: Request, done: BackendDone) -> None: ...


class Alone:
    """A `Coherence` without other nodes."""

    __slots__ = ("_tier",)

    def __init__(self, tier: _Writer) -> None:
        self._tier = tier

    def write(self, operation: str, request: Request, done: BackendDone) -> None:
        """Make the write here."""
        self._tier.write_here(operation, request, done)

    def tell(self, changes: Sequence[Change]) -> None:
        """Nobody is there."""

    def invalidated(self, keys: Sequence[tuple[str, bytes]]) -> None:
        """Nobody is there."""
