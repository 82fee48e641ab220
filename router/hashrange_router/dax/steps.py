"""Changes of documents in steps: generators that yield `ChangeDocument`s, as operations do, and return what came of it.

    def handle(call, request):                                  # an operation of the API
        yield from change(controls, CLUSTER, name, plan)

    perform(transport, forget_if_gone(context, name), done)     # anybody else

`perform` calls `done` with what the steps returned, or with the error that ended them. The transport must be one that
answers a change when the view that the steps read has it too (`Routing.settled`, the embedded node).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final, TypeVar, cast

from hashrange.errors import ApiError
from hashrange.model import dax
from hashrange.model.dax import EventsDocument, NodeDocument, SlotsDocument
from hashrange.wire.documents import ChangeDocument, ControlDocuments
from hashrange.wire.messages import ConflictError, Transport
from hashrange_router.api.call import Call
from hashrange_router.api.context import RouterContext
from hashrange_router.dax import slots
from hashrange_router.dax.errors import concurrent_update
from hashrange_router.dax.events import with_event
from hashrange_router.dax.setting import clusters

RACES_MAX: Final = 50
"""Changes planned for one step before it is given up: each time another change was faster."""
ALL: Final = "all"
"""The name of a document that is the only one of its kind."""

T = TypeVar("T")
Steps = Generator[ChangeDocument, Any, T]
Document = dict[str, Any]
Plan = Callable[["Any | None"], "Any | None"]
"""What a document is to become (None: removed); raises what the step is to end with."""


def perform(transport: Transport, steps: Steps[T], done: Callable[[T | Exception], None]) -> None:
    """Run steps; `done` is called exactly once, now or later, with their result or the error that ended them."""

    def finish(call: Call, outcome: Any) -> None:
        done(outcome)

    Call("dax", None, transport, finish).run(cast("Any", steps))


def change(controls: ControlDocuments, kind: str, name: str, plan: Plan) -> Steps[Document | None]:
    """Plan and propose until no other change comes between the two; returns what the document has become.

    A change whose first attempt went through unnoticed loses against itself: it is in the view then. So what must
    not be taken for somebody else's change (a number that is counted up) needs something in it that is nobody else's.
    """
    for _ in range(RACES_MAX):
        before = controls.get(kind, name)
        known = before["document"] if before is not None else None
        after = cast("Document | None", plan(known))
        if after == known:
            return after
        try:
            yield ChangeDocument(kind, name, before["generation"] if before is not None else None, after)
        except ConflictError:
            seen = controls.get(kind, name)
            if (seen["document"] if seen is not None else None) != after:
                continue
        return after
    raise concurrent_update()


def record_event(context: RouterContext, source_name: str, source_type: str, message: str) -> Steps[None]:
    """Note what has happened. Nothing fails because it could not be noted."""
    event: dax.Event = {
        "SourceName": source_name,
        "SourceType": source_type,
        "Message": message,
        "Date": round(context.now(), 3),
    }

    tried = [False]

    def plan(known: EventsDocument | None) -> EventsDocument:
        if tried[0] and known is not None and event in known["Events"]:
            return known
        tried[0] = True
        return with_event(known, event)

    try:
        yield from change(context.controls, dax.EVENTS, ALL, plan)
    except ApiError:
        return


def reserve_slots(context: RouterContext, base_port: int, count: int, fault: str) -> Steps[list[int]]:
    """Slots that nobody else is given meanwhile. To be given back (`releasing`)."""
    chosen: list[int] = []
    by = context.new_id()

    def plan(known: SlotsDocument | None) -> SlotsDocument:
        running = [cast(NodeDocument, each["document"]) for each in context.controls.of(dax.NODE).values()]
        used = slots.taken(clusters(context.controls), running, base_port)
        chosen[:], after = slots.give(count, used, known, context.now(), by, fault)
        return after

    yield from change(context.controls, dax.TAKEN, ALL, plan)
    return chosen


def releasing(context: RouterContext, given: list[int], steps: Steps[T]) -> Steps[T]:
    """Run steps that put reserved slots into a document, then give the slots back, whether that worked or not."""
    try:
        result = yield from steps
    except ApiError:
        yield from _release(context, given)
        raise
    yield from _release(context, given)
    return result


def _release(context: RouterContext, given: list[int]) -> Steps[None]:
    """If this fails the slots are free a little later."""

    def plan(known: SlotsDocument | None) -> SlotsDocument | None:
        if known is None:
            return None
        return {**known, "Given": {slot: at for slot, at in known["Given"].items() if int(slot) not in given}}

    try:
        yield from change(context.controls, dax.TAKEN, ALL, plan)
    except ApiError:
        return
