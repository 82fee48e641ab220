"""Holds back what the control plane answers until this program's own view shows it.

The control plane answers a change once it is committed; the view follows a moment later. Whoever has created a
table and writes to it next must find it, so the answer waits for the view. A lost race (`ConflictError`) waits too:
planned again on the same view, the change would lose again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hashrange.errors import ApiError
from hashrange.model.table_document import CREATING, DELETING
from hashrange.routing.view import ClusterView
from hashrange.wire.documents import ChangeDocument
from hashrange.wire.messages import ChangeTable, ConflictError, Done, Transport, WhenSettled

ANSWER_WAIT_S = 2.0
CONFLICT_WAIT_S = 0.25


class SettlingTransport:
    """A `Transport` around another one, for programs that follow the catalogue through a `ClusterView`."""

    def __init__(
        self, inner: Transport, view: ClusterView, call_later: Callable[[float, Callable[[], None]], Any]
    ) -> None:
        self._inner = inner
        self._view = view
        self._call_later = call_later
        self._held: dict[_Held, None] = {}
        view.on_change.append(self._look)

    def send(self, message: Any, done: Done) -> None:
        """Send; answers to changes are given when the view has them, or a little later."""
        kind = message.__class__
        if kind is ChangeTable or kind is ChangeDocument or kind is WhenSettled:
            held = _Held(self, message, done, self._view.index)
            self._inner.send(message, held.answered)
        else:
            self._inner.send(message, done)

    def _hold(self, held: _Held, wait_s: float) -> None:
        self._held[held] = None
        self._call_later(wait_s, lambda: self._release(held))

    def _release(self, held: _Held) -> None:
        if held in self._held:
            del self._held[held]
            held.done(held.answer)

    def _look(self) -> None:
        for held in [each for each in self._held if each.shown(self._view)]:
            self._release(held)


class _Held:
    """One answer that may have to wait."""

    __slots__ = ("_index", "_message", "_owner", "answer", "done")

    def __init__(self, owner: SettlingTransport, message: Any, done: Done, index: int) -> None:
        self._owner = owner
        self._message = message
        self._index = index
        self.done = done
        self.answer: Any = None

    def answered(self, answer: Any) -> None:
        self.answer = answer
        if self.shown(self._owner._view):
            self.done(answer)
        else:
            self._owner._hold(self, CONFLICT_WAIT_S if isinstance(answer, ConflictError) else ANSWER_WAIT_S)

    def shown(self, view: ClusterView) -> bool:
        """Whether the view shows what the answer says."""
        message = self._message
        if isinstance(self.answer, ConflictError):
            return view.index > self._index
        if isinstance(self.answer, ApiError):
            return True
        if message.__class__ is ChangeDocument:
            known = view.controls.get(message.kind, message.name)
            if self.answer is None:
                return known is None or known["generation"] != message.expected
            return known is not None and bool(known["generation"] >= self.answer["generation"])
        document = view.documents.get(message.name)
        if message.__class__ is WhenSettled:
            return document is None or document["Status"] not in (CREATING, DELETING)
        planned = message.document
        if planned is None:
            return document is None
        return (
            document is not None
            and document["TableId"] == planned["TableId"]
            and document["Generation"] >= planned["Generation"]
        )
