"""What a region answers to the others about its tables: the control messages of global tables.

    control = RegionControl(scope, transport)
    reply = await control.answer(body)                  # of POST /regions/v1/control, authenticated by the caller

Messages and replies are JSON. Every message has `Type`, `Source` (a region) and `Table`; every reply has `State`,
what this region has under that name:

    none      no such table          other     a table that is no replica of this global table
    member    its replica            busy      being created, deleted or changed: ask again
    protected, refused               with `Why`: it cannot be removed, or made

    view      {"View", "Base", "Create"}: what the source knows. It is merged, and answered with what is known here.
              With `Create` a table that is not there is made. One that was taken away is deleted, or let go of.
    probe     nothing is changed; answered with what a client of the source may be told at once
    capacity  answered with how this replica is scaled (`replica_scaling`)
    scale     {"Updates"}: read capacity of this replica is to be scaled otherwise

The answer to a view may be lost, or told twice, or come late: whoever sends goes on until both know the same.
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from hashrange.errors import ApiError, validation
from hashrange.model.table_document import ACTIVE, CREATING, DELETING, TableDocument, is_updating, revised
from hashrange.wire.messages import TableStatistics as AskStatistics
from hashrange.wire.messages import Transport, WhenSettled
from hashrange_router.api.tables_update_state import check_delete_admitted
from hashrange_router.regions import group, merge, replica_scaling
from hashrange_router.regions.creation import adopted, replica_document
from hashrange_router.regions.group import LEFT, PRESENT
from hashrange_router.regions.steps import Scope, Steps, apply_scaling, change_table, run

Reply = dict[str, Any]


class RegionControl:
    """Answers the other regions, for one router."""

    def __init__(self, scope: Scope, transport: Transport) -> None:
        self._scope = scope
        self._transport = transport

    async def answer(self, body: bytes) -> bytes:
        """The body of the answer to a message; ValidationException for what is none, or another ApiError."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def done(outcome: Any) -> None:
            if not future.done():
                future.set_result(outcome)

        run(self._transport, answer(self._scope, parsed(body)), done)
        outcome = await future
        if isinstance(outcome, Exception):
            raise outcome
        return orjson.dumps(outcome)


def parsed(body: bytes) -> dict[str, Any]:
    """A message; ValidationException for what is none."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise validation(f"no message of a region: {error}") from error
    if not isinstance(message, dict) or not all(
        isinstance(message.get(member), str) for member in ("Type", "Source", "Table")
    ):
        raise validation("no message of a region: Type, Source and Table are texts")
    return message


def answer(scope: Scope, message: dict[str, Any]) -> Steps[Reply]:
    """Steps that answer a message."""
    handlers = {"view": _view, "probe": _probe, "capacity": _capacity, "scale": _scale}
    handler = handlers.get(message["Type"])
    if handler is None:
        raise validation(f"no message of a region: the type {message['Type']} is unknown")
    try:
        return (yield from handler(scope, message))
    except (KeyError, TypeError, AttributeError) as error:
        raise validation(f"no message of a region: {message['Type']} with {error!r}") from error


def _state(document: TableDocument | None, group_id: str) -> str:
    if document is None:
        return "none"
    if document["Status"] in (CREATING, DELETING):
        return "busy"
    if document.get("Replication", {}).get("Id") != group_id:
        return "other"
    return "member"


# ---- views


def _view(scope: Scope, message: dict[str, Any]) -> Steps[Reply]:
    name, view = message["Table"], message["View"]
    document = scope.context.get(name)
    state = _state(document, view["Id"])
    if state == "other" and message.get("Create") and "Legacy" in view:
        yield from _adopt(scope, message)
        state = _state(scope.context.get(name), view["Id"])
    if state == "none" and message.get("Create") and "Legacy" not in view:
        try:
            yield from _create(scope, message)
        except ApiError as error:
            if error.status >= 500:
                raise
            return {"State": "refused", "Why": str(error.message)}
        state = _state(scope.context.get(name), view["Id"])
    if state != "member" or document is None:
        if state != "member":
            return {"State": state}
        document = scope.context.get(name)
    assert document is not None, "it is a member"
    leaves = merge.taken_away(document, view, scope.region)
    if leaves is not None:
        return (yield from _leave(scope, name, leaves))

    def plan(known: TableDocument | None, site: Any) -> TableDocument | None:
        if known is None or _state(known, view["Id"]) != "member":
            return known
        # The source has its replica: it says so itself.
        return group.joined(merge.merged(known, view, site), message["Source"])

    yield from change_table(scope, name, plan)
    yield from apply_scaling(scope, name)
    document = scope.context.get(name)
    state = _state(document, view["Id"])
    if state != "member" or document is None:
        return {"State": state}
    return {"State": state, "View": group.view(document)}


def _create(scope: Scope, message: dict[str, Any]) -> Steps[None]:
    """Make this region's replica, and wait until it can be used."""
    name, view, context = message["Table"], message["View"], scope.context
    own = view["Members"].get(scope.region)
    if own is None or own["State"] != PRESENT:
        raise validation(f"{scope.region} has no replica in what {message['Source']} knows of {name}")

    def plan(known: TableDocument | None, site: Any) -> TableDocument | None:
        if known is not None:
            return known
        return replica_document(
            name,
            view,
            message["Base"],
            context.site,
            now=context.now(),
            table_id=context.new_id(),
            next_partition_ids=site.next_partition_ids,
        )

    yield from change_table(scope, name, plan)
    try:
        yield WhenSettled(name)
    except ApiError as error:
        if error.status < 500:
            raise


def _adopt(scope: Scope, message: dict[str, Any]) -> Steps[None]:
    """Let a table that was made here join a global table of the older version, if it has not got any items."""
    name, view = message["Table"], message["View"]
    if (yield from _items(name)):
        return

    def plan(known: TableDocument | None, site: Any) -> TableDocument | None:
        fits = known is not None and known["Status"] == ACTIVE and "Replication" not in known
        if known is None or not fits or known["KeySchema"] != message["Base"]["KeySchema"]:
            return known
        return adopted(known, view, site)

    yield from change_table(scope, name, plan)


def _leave(scope: Scope, name: str, how: str) -> Steps[Reply]:
    """This region's replica was taken away: its table goes, or is a table of this region alone from now on."""
    refused: list[Reply] = []

    def plan(known: TableDocument | None, site: Any) -> TableDocument | None:
        refused.clear()
        if known is None or known["Status"] != ACTIVE or "Replication" not in known:
            return known
        if how != LEFT:
            why = _kept_from_deletion(known)
            if why is not None:
                refused.append(why)
                return known
        new = revised(known)
        if how == LEFT:
            del new["Replication"]
        else:
            new["Status"] = DELETING
        return new

    yield from change_table(scope, name, plan)
    if refused:
        return refused[0]
    return {"State": "other" if how == LEFT else "busy"}


def _kept_from_deletion(document: TableDocument) -> Reply | None:
    if document["DeletionProtectionEnabled"]:
        return {"State": "protected", "Why": "it has deletion protection enabled"}
    try:
        check_delete_admitted(document)
    except ApiError:
        return {"State": "busy"}
    return None


# ---- questions


def _probe(scope: Scope, message: dict[str, Any]) -> Steps[Reply]:
    """What there is under a name, for the operations of the source that are to answer at once."""
    document = scope.context.get(message["Table"])
    links = scope.links
    reply: Reply = {
        "State": _state(document, message.get("Id", "")),
        "Knows": links is not None and links.knows(message["Source"]),
    }
    if document is not None:
        reply["Settled"] = document["Status"] == ACTIVE and not is_updating(document)
        reply["Protected"] = document["DeletionProtectionEnabled"]
        reply["KeySchema"] = document["KeySchema"]
        reply["Stream"] = document.get("StreamSpecification", {}).get("StreamViewType")
        reply["Global"] = "Replication" in document
        reply["Items"] = yield from _items(message["Table"])
    return reply


def _items(name: str) -> Steps[int]:
    totals = yield AskStatistics(name)
    return int(totals[None][0])


def _capacity(scope: Scope, message: dict[str, Any]) -> Steps[Reply]:
    document = scope.context.get(message["Table"])
    state = _state(document, message.get("Id", ""))
    if document is None or state != "member":
        return {"State": state}
    context = scope.context
    return {
        "State": state,
        "Replica": replica_scaling.replica(document, context.controls, context.site.account),
    }
    yield  # makes this a generator, like every other


def _scale(scope: Scope, message: dict[str, Any]) -> Steps[Reply]:
    document = scope.context.get(message["Table"])
    state = _state(document, message.get("Id", ""))
    if state == "member":
        try:
            yield from replica_scaling.change(scope, message["Table"], message["Updates"])
        except ApiError as error:
            return {"State": "refused", "Why": str(error.message), "Error": error.type_name}
    return {"State": state}
