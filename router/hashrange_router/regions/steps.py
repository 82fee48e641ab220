"""What is done about global tables in steps: generators that an API call runs, or the loop of the router.

document = yield from change_table(scope, name, plan)
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from hashrange.errors import internal
from hashrange.model.scaling import TARGETS
from hashrange.model.table_document import TableDocument
from hashrange.wire.documents import ChangeDocument
from hashrange.wire.messages import ChangeTable, ConflictError, Transport
from hashrange_router.api.call import Call
from hashrange_router.api.context import RegionLinks, RouterContext
from hashrange_router.regions import merge, scaling_settings
from hashrange_router.regions.settings import Site
from hashrange_router.scaling.requests import Setting

RACES_MAX: Final = 50
"""Changes planned for one step before it is given up: each time another change was faster."""

T = TypeVar("T")
Steps = Generator[Any, Any, T]
Plan = Callable[[TableDocument | None, Site], TableDocument | None]
"""What a table's document is to become: a new one, or the same object when there is nothing to do; raises what ends
the step."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What steps need: the router's view, and the links to other regions (None: no peers are configured)."""

    context: RouterContext
    links: RegionLinks | None

    @property
    def region(self) -> str:
        """The region that this router serves."""
        return self.context.site.region

    def site(self, name: str, next_id: Callable[[], int] = lambda: 0) -> Site:
        """What settings of a table are read and applied with."""
        context = self.context
        document = context.get(name)
        scaling = scaling_settings.of_table(context.controls, document) if document is not None else {}
        reads = scaling_settings.scaled_reads(context.controls, name)
        site = context.site
        return Site(site.region, site.account, context.now(), next_id, scaling, reads)


def run(transport: Transport, steps: Steps[T], done: Callable[[T | Exception], None]) -> None:
    """Run steps; `done` is called exactly once, now or later, with their result or the error that ended them."""

    def finish(call: Call, outcome: Any) -> None:
        done(outcome)

    Call("regions", None, transport, finish).run(cast("Any", steps))


def change_table(scope: Scope, name: str, plan: Plan) -> Steps[TableDocument | None]:
    """Plan and propose until no other change comes between the two; returns what the document has become.

    A change whose first attempt went through unnoticed loses against itself: it is in the view then, just as planned.
    """
    context = scope.context
    for _ in range(RACES_MAX):
        ids: list[int] = []
        first = context.next_partition_id()

        def next_id(ids: list[int] = ids, first: int = first) -> int:
            ids.append(first + len(ids))
            return ids[-1]

        before = context.get(name)
        after = plan(before, scope.site(name, next_id))
        if after is before:
            return before
        expected = (before["TableId"], before["Generation"]) if before is not None else None
        if before is not None and after is not None:
            after["Generation"] = before["Generation"] + 1  # a plan may have been made in several steps
        try:
            yield ChangeTable(name, expected, after, ids)
        except ConflictError:
            if context.get(name) != after:
                continue
        return after
    raise internal("The table is being changed by too many at once")


def apply_scaling(scope: Scope, name: str) -> Steps[None]:
    """Have auto scaling set up here as was agreed on; a change that is lost to another is left to the next time."""
    context = scope.context
    document = context.get(name)
    if document is None or "scaling" not in document.get("Replication", {}).get("Applying", ()):
        return
    entry = document["Replication"]["Shared"].get("scaling")
    wanted = entry["Value"] if entry is not None else {}
    setting = Setting(context.site.region, context.site.account, context.now(), context.new_id())
    changes = scaling_settings.changes(context.controls, document, wanted, setting)
    for target, after in changes.items():
        stored = context.controls.get(TARGETS, target)
        try:
            yield ChangeDocument(TARGETS, target, stored["generation"] if stored is not None else None, after)
        except ConflictError:
            return
    yield from change_table(
        scope, name, lambda d, site: merge.scaling_applied(d) if d is not None and "Replication" in d else d
    )
