"""A catalogue of control documents for steps: several of them under way at once, in any order, with what goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from hashrange_router.api.context import RouterContext
from hashrange_router.dax.steps import Steps

from hashrange.errors import ApiError
from hashrange.wire.documents import ChangeDocument
from hashrange.wire.messages import ConflictError
from tests.unit.table_support import SITE as ROUTER_SITE

NOW = 1_800_000_000.0


class Catalogue:
    """What routers see (`context`), and what becomes of the changes that they propose.

    `unnoticed` says of a change whether it is made but answered as a lost race, as one that was sent twice is.
    """

    def __init__(self) -> None:
        self.now = NOW
        ids = count(1)
        self.context = RouterContext(ROUTER_SITE, "2026", lambda: self.now, lambda: str(next(ids)))
        self.unnoticed: Callable[[ChangeDocument], bool] = lambda change: False
        self.fails: Callable[[ChangeDocument], ApiError | None] = lambda change: None
        self.changes: list[ChangeDocument] = []
        self._generations = count(1)

    def apply(self, change: ChangeDocument) -> Any:
        """The answer to a change."""
        failed = self.fails(change)
        if failed is not None:
            return failed
        controls = self.context.controls
        known = controls.get(change.kind, change.name)
        if change.expected != (known["generation"] if known is not None else None):
            return ConflictError()
        self.changes.append(change)
        after = None
        if change.document is not None:
            after = {"generation": next(self._generations), "document": change.document}
        controls.put(change.kind, change.name, after)  # type: ignore[arg-type]
        return ConflictError() if self.unnoticed(change) else after

    def run(self, steps: Steps[Any]) -> Any:
        """Run steps to their end; what they return, or raise."""
        task = Task(self, steps)
        while not task.ended:
            task.advance()
        if isinstance(task.outcome, Exception):
            raise task.outcome
        return task.outcome

    def document(self, kind: str, name: str) -> Any:
        """A document, or None."""
        found = self.context.controls.get(kind, name)
        return found["document"] if found is not None else None


class Task:
    """Steps under way: each `advance` sends what was planned before the others' changes, and plans the next."""

    def __init__(self, catalogue: Catalogue, steps: Steps[Any]) -> None:
        self._catalogue = catalogue
        self._steps = steps
        self._waiting: ChangeDocument | None = None
        self.ended = False
        self.outcome: Any = None
        self._go(lambda: next(steps))

    def advance(self) -> None:
        """One change more."""
        assert self._waiting is not None
        answer = self._catalogue.apply(self._waiting)
        steps = self._steps
        self._go(lambda: steps.throw(answer) if isinstance(answer, ApiError) else steps.send(answer))

    def _go(self, resume: Callable[[], ChangeDocument]) -> None:
        try:
            self._waiting = resume()
        except StopIteration as end:
            self.ended, self.outcome = True, end.value
        except ApiError as error:
            self.ended, self.outcome = True, error
