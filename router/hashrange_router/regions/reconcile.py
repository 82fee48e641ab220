"""The loop of a router that brings the regions of global tables together.

    reconciler = Reconciler(scope, transport, call_later=loop.call_later, monotonic=..., note=log.warning)
    reconciler.start()
    reconciler.follow(name, before, after)          # of every change of the catalogue

A round looks at every global table that this region has: what was changed here is noted, what came from elsewhere is
made true, and every region that may not know what is known here is told (`hashrange_router.regions.control`). Nothing
is sent where nothing differs, but a question now and then whether that is so. A region that cannot be reached is asked
again, ever more rarely, for as long as it takes. All routers of a region do this; that is harmless, since all that
they change is changed by compare-and-set, and a message that comes twice says nothing new.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final

import orjson

from hashrange.errors import ApiError
from hashrange.model.table_document import ACTIVE, TableDocument, revised
from hashrange.wire.messages import Transport
from hashrange_router.regions import group, merge
from hashrange_router.regions.creation import base
from hashrange_router.regions.group import ABSENT, CREATION_FAILED, DELETING, View, moment
from hashrange_router.regions.links import RegionAwayError, ask
from hashrange_router.regions.steps import Scope, Steps, apply_scaling, change_table, run

ROUND_S: Final = 2.0
SOON_S: Final = 0.05
"""After a change of a table."""
VERIFY_S: Final = 20.0
"""How often a region that seems to know everything is asked all the same."""
RETRY_FIRST_S: Final = 0.3
RETRY_MAX_S: Final = 10.0
MISSING_S: Final = 15.0
"""For how long a region has to say that it has no such table before it is believed: it may have been told."""
AWAY_AFTER_S: Final = 60.0
"""A replica is described as inaccessible when its region was not reached for so long."""


class _Peer:
    """What is known of a region's knowledge of one table."""

    __slots__ = ("away_since", "busy", "failures", "known", "missing_since", "next_at", "problem")

    def __init__(self) -> None:
        self.known = b""
        self.next_at = 0.0
        self.failures = 0
        self.missing_since: float | None = None
        self.busy = False
        self.away_since: float | None = None
        self.problem = ""


def digest(view: View) -> bytes:
    """Names what a region knows."""
    return blake2b(orjson.dumps(view, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()


class Reconciler:
    """See the module. `note(event, **details)` writes to the log."""

    def __init__(
        self,
        scope: Scope,
        transport: Transport,
        *,
        call_later: Callable[[float, Callable[[], None]], Any],
        monotonic: Callable[[], float],
        note: Callable[..., object] = lambda event, **details: None,
        report: Callable[[str, BaseException], None] = lambda what, error: None,
    ) -> None:
        self._scope = scope
        self._transport = transport
        self._call_later = call_later
        self._monotonic = monotonic
        self._note = note
        self._report = report
        self._peers: dict[tuple[str, str], _Peer] = {}
        self._working: set[str] = set()
        self._soon = False
        self.stopped = False

    def start(self) -> None:
        """Begin the rounds."""
        self._call_later(SOON_S, self._turn)

    def stop(self) -> None:
        """Begin nothing any more."""
        self.stopped = True

    def follow(self, name: str, before: TableDocument | None, after: TableDocument | None) -> None:
        """A document was changed: look at it soon, when it is that of a global table."""
        if after is None:
            for key in [key for key in self._peers if key[0] == name]:
                del self._peers[key]
        elif "Replication" in after:
            self.wake()

    def wake(self) -> None:
        """Have a round soon: something was changed."""
        if not self._soon and not self.stopped:
            self._soon = True
            self._call_later(SOON_S, self._once)

    def _once(self) -> None:
        self._soon = False
        self._round()

    def _turn(self) -> None:
        if not self.stopped:
            self._round()
            self._call_later(ROUND_S, self._turn)

    def _round(self) -> None:
        if self.stopped:
            return
        for name, document in list(self._scope.context.documents.items()):
            if "Replication" not in document or document["Status"] != ACTIVE:
                continue
            try:
                self._look_at(name, document)
            except Exception as error:  # the other tables are not to suffer
                self._report(f"the replicas of {name} could not be looked at", error)

    def _look_at(self, name: str, document: TableDocument) -> None:
        if name not in self._working and self._differs(name, document):
            self._working.add(name)
            run(self._transport, self._settle(name), lambda outcome: self._settled(name, outcome))
        now = self._monotonic()
        known = digest(group.view(document))
        for region in group.others(document):
            peer = self._peers.setdefault((name, region), _Peer())
            entry = document["Replication"]["Joining"].get(region)
            if peer.busy or (entry is not None and entry["Status"] == CREATION_FAILED):
                continue
            if now >= peer.next_at or (peer.known != known and not peer.failures):
                self._tell(name, region, peer)

    # ---- this region's own document

    def _differs(self, name: str, document: TableDocument) -> bool:
        site = self._scope.site(name)
        if "Applying" in document["Replication"]:
            return True
        return merge.noted(document, site) is not document

    def _settle(self, name: str) -> Steps[None]:
        """Note what was changed here, and make true what came from elsewhere."""

        def plan(known: TableDocument | None, site: Any) -> TableDocument | None:
            if known is None or "Replication" not in known or known["Status"] != ACTIVE:
                return known
            return merge.applied(merge.noted(known, site), site)

        yield from change_table(self._scope, name, plan)
        yield from apply_scaling(self._scope, name)

    def _settled(self, name: str, outcome: Any) -> None:
        self._working.discard(name)
        if isinstance(outcome, Exception) and not isinstance(outcome, ApiError):
            self._report(f"the settings of {name} could not be brought together", outcome)

    # ---- other regions

    def _tell(self, name: str, region: str, peer: _Peer) -> None:
        peer.busy = True
        steps = self._exchange(name, region, peer)
        run(self._transport, steps, lambda outcome: self._told(name, region, peer, outcome))

    def _told(self, name: str, region: str, peer: _Peer, outcome: Any) -> None:
        peer.busy = False
        now = self._monotonic()
        if isinstance(outcome, Exception):
            if not isinstance(outcome, RegionAwayError | ApiError):
                self._report(f"{region} could not be told of {name}", outcome)
            self._failed(name, region, peer, str(outcome))
        elif outcome:
            peer.failures = 0
            peer.next_at = now + VERIFY_S
        else:
            peer.next_at = now + min(RETRY_MAX_S, RETRY_FIRST_S * 2 ** min(peer.failures, 10))
            peer.failures += 1

    def _failed(self, name: str, region: str, peer: _Peer, why: str) -> None:
        now = self._monotonic()
        if peer.away_since is None:
            peer.away_since = now
        if peer.problem != why:
            peer.problem = why
            self._note(
                "a region could not be told of a global table; going on",
                table=name,
                region=region,
                reason=why,
            )
        peer.next_at = now + min(RETRY_MAX_S, RETRY_FIRST_S * 2 ** min(peer.failures, 10))
        peer.failures += 1
        if now - peer.away_since >= AWAY_AFTER_S:
            self._note_reached(name, region, self._scope.context.now())

    def _note_reached(self, name: str, region: str, since: float | None) -> None:
        document = self._scope.context.get(name)
        if document is None or "Replication" not in document:
            return
        if group.note_reached(document, region, since) is document:
            return

        def plan(known: TableDocument | None, site: Any) -> TableDocument | None:
            if known is None or "Replication" not in known:
                return known
            return group.note_reached(known, region, since)

        run(self._transport, change_table(self._scope, name, plan), lambda outcome: None)

    def _exchange(self, name: str, region: str, peer: _Peer) -> Steps[bool]:
        """Tell a region what is known here, and take over what it knows; whether both know the same now."""
        scope = self._scope
        document = scope.context.get(name)
        if document is None or "Replication" not in document or document["Status"] != ACTIVE:
            return True
        if scope.links is None or not scope.links.knows(region):
            raise RegionAwayError(
                f"no endpoint of {region} is configured: name its routers in the setting peers "
                f"(--peers {region}=http://HOST:PORT) of every node and router"
            )
        sent = group.view(document)
        joining = document["Replication"]["Joining"].get(region)
        reply = yield from ask(
            scope.links,
            region,
            {
                "Type": "view",
                "Source": scope.region,
                "Table": name,
                "View": sent,
                "Base": base(document),
                "Create": joining is not None and joining["At"][1] == scope.region,
            },
        )
        peer.away_since, peer.problem = None, ""
        self._note_reached(name, region, None)
        return (yield from self._take(name, region, peer, document, reply))

    def _take(
        self, name: str, region: str, peer: _Peer, document: TableDocument, reply: dict[str, Any]
    ) -> Steps[bool]:
        """What a region's answer means for this region's document."""
        replication, state = document["Replication"], reply["State"]
        if state == "member":
            peer.missing_since = None
            yield from self._change(name, lambda d, site: _met(d, region, reply["View"], site))
            now_known = self._scope.context.get(name)
            peer.known = digest(reply["View"])
            return now_known is not None and (
                "Replication" not in now_known or digest(group.view(now_known)) == peer.known
            )
        if region in replication["Leaving"]:
            if state in ("none", "other"):
                yield from self._change(name, lambda d, site: group.told(d, region))
                return True
            if state == "protected":
                self._note("a replica cannot be removed", table=name, region=region, reason=reply.get("Why"))
            return False
        if state in ("refused", "other") and region in replication["Joining"]:
            why = reply.get("Why") or f"A table named {name} exists in {region}"
            yield from self._change(name, lambda d, site: group.creation_failed(d, region, why))
            return True
        if state in ("none", "other") and region in replication["Replicas"]:
            now = self._monotonic()
            if peer.missing_since is None:
                peer.missing_since = now
            if now - peer.missing_since >= MISSING_S:
                peer.missing_since = None
                yield from self._change(name, lambda d, site: _missed(d, region, site))
                return True
        return False

    def _change(self, name: str, plan: Callable[[TableDocument, Any], TableDocument]) -> Steps[None]:
        def whole(known: TableDocument | None, site: Any) -> TableDocument | None:
            if known is None or "Replication" not in known or known["Status"] != ACTIVE:
                return known
            return plan(known, site)

        yield from change_table(self._scope, name, whole)


def _met(document: TableDocument, region: str, view: View, site: Any) -> TableDocument:
    """A region has its replica, and this is what it knows."""
    if document["Replication"]["Id"] != view["Id"]:
        return document
    known = document["Replication"]
    if region in known["Leaving"] or region in known["Gone"]:
        return merge.merged(document, view, site)
    return group.joined(merge.merged(document, view, site), region)


def _missed(document: TableDocument, region: str, site: Any) -> TableDocument:
    """A replica is gone without having said so."""
    replica = document["Replication"]["Replicas"].get(region)
    if replica is None or replica["Status"] == DELETING:
        return document
    new = revised(document)
    at = moment(int(site.now * 1000), site.region, replica["At"])
    group.take_away(new, region, at, ABSENT)
    group.dissolve_if_alone(new)
    return new
