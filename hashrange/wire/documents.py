"""Control documents: small JSON documents that the control plane keeps for the parts that serve more than tables.

A document has a kind ("scaling", ...), a name that is unique within its kind, and a generation that grows with every
change of any document: it is never given out twice, so that a document removed and made again is not taken for the
one before it. Documents are replicated in the catalogue like tables, and every router and node follows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypedDict


class ControlDocument(TypedDict):
    """One document as the catalogue keeps it. It is replaced, never changed in place."""

    generation: int
    document: dict[str, Any]


@dataclass(slots=True)
class ChangeDocument:
    """Compare-and-set of one document in the control plane. Answer: the new `ControlDocument`; None when removed.

    `expected` is the generation that the change was planned on, None when there must be no such document. `document`
    None removes it. A lost race is answered with `ConflictError`. `kind` has no NUL in it.
    """

    kind: str
    name: str
    expected: int | None
    document: dict[str, Any] | None


OnControlDocument = Callable[[str, str, ControlDocument | None, ControlDocument | None], None]
"""Told of a change of a document: (kind, name, before, after)."""


class ControlDocuments:
    """The documents that a program knows, by kind and name."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, ControlDocument]] = {}
        self._watchers: dict[str, list[Callable[[str], None]]] = {}

    def watch(self, kind: str, changed: Callable[[str], None]) -> None:
        """Have `changed` told the name of every document of a kind that is made, replaced or removed from now on."""
        self._watchers.setdefault(kind, []).append(changed)

    def get(self, kind: str, name: str) -> ControlDocument | None:
        """One document, or None."""
        return self.of(kind).get(name)

    def of(self, kind: str) -> dict[str, ControlDocument]:
        """All documents of a kind by name, to be read only."""
        return self._kinds.get(kind, {})

    def all(self) -> Iterator[tuple[str, str, ControlDocument]]:
        """Every document, as (kind, name, document)."""
        for kind, known in self._kinds.items():
            for name, found in known.items():
                yield kind, name, found

    def put(self, kind: str, name: str, after: ControlDocument | None) -> ControlDocument | None:
        """Take over a document, or its removal; returns what was there."""
        known = self._kinds.setdefault(kind, {})
        before = known.get(name)
        if after is None:
            known.pop(name, None)
        else:
            known[name] = after
        for changed in self._watchers.get(kind, ()):
            changed(name)
        return before

    def follow(
        self, kind: str, name: str, before: ControlDocument | None, after: ControlDocument | None
    ) -> None:
        """Take over a change of the catalogue (`OnControlDocument`)."""
        self.put(kind, name, after)
