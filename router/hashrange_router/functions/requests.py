"""What the operations of the Lambda API have in common: what planning needs to know, what was planned, and pages.

A plan is a pure function: it takes a document as it is and the request, and gives the document as it shall be and the
reply. It may run several times, when another change comes between.
"""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hashrange_router.functions.errors import function_not_found, invalid, precondition_failed
from hashrange_router.functions.names import LATEST, Names

Request = Mapping[str, Any]
Document = dict[str, Any]

PAGE_MAX = 50
"""Entries of one page, whatever MaxItems says (AWS Lambda API Reference, ListFunctions)."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What planning needs besides the request: how ARNs are made, the time in epoch seconds, new random ids."""

    names: Names
    now: float
    new_id: Callable[[], str]

    @property
    def modified(self) -> str:
        """The time as LastModified of a function says it."""
        milliseconds = round(self.now * 1000)
        moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}+0000"

    @property
    def seconds(self) -> float:
        """The time as other members say it: epoch seconds with milliseconds."""
        return round(self.now, 3)


@dataclass(frozen=True, slots=True)
class Change:
    """A document as it shall be (None: removed), and the reply once it is.

    `dropped` are packages (SHA-256, hex) that the document referred to before, and no more.
    """

    document: Document | None
    reply: Any = None
    dropped: frozenset[str] = frozenset()


def existing(document: Document | None, name: str, setting: Setting) -> Document:
    """The document of a function that must be there: ResourceNotFoundException otherwise."""
    if document is None:
        raise function_not_found(setting.names.arn(name))
    return document


def stored_version(document: Document, qualifier: str | None, setting: Setting) -> dict[str, Any]:
    """The version that a number or $LATEST stands for, as the document keeps it."""
    if qualifier is None or qualifier == LATEST:
        latest: dict[str, Any] = document["Latest"]
        return latest
    found: dict[str, Any] | None = document["Versions"].get(qualifier)
    if found is None:
        raise function_not_found(setting.names.arn(document["Name"], qualifier))
    return found


def check_qualifier(document: Document, qualifier: str | None, setting: Setting) -> None:
    """That a qualifier stands for something: ResourceNotFoundException otherwise."""
    if qualifier is not None and qualifier not in document["Aliases"]:
        stored_version(document, qualifier, setting)


def check_revision(request: Request, current: str | None) -> None:
    """A RevisionId in a request must be the resource's: PreconditionFailedException otherwise."""
    wanted = request.get("RevisionId")
    if wanted is not None and wanted != current:
        raise precondition_failed()


def packages_of(document: Document | None) -> frozenset[str]:
    """The packages that a function's document refers to, as SHA-256 in hex."""
    if document is None:
        return frozenset()
    return frozenset([document["Latest"]["Code"], *(kept["Code"] for kept in document["Versions"].values())])


def page(
    request: Request, member: str, entries: Iterable[tuple[str, Any]], page_max: int = PAGE_MAX
) -> dict[str, Any]:
    """One page of entries in the order of their keys, from behind the Marker given, as the reply has it."""
    after = _after(request["Marker"]) if request.get("Marker") else ""
    size = min(request.get("MaxItems", page_max), page_max)
    found = sorted((entry for entry in entries if entry[0] > after), key=lambda entry: entry[0])
    reply: dict[str, Any] = {member: [value for _, value in found[:size]]}
    if len(found) > size:
        reply["NextMarker"] = urlsafe_b64encode(found[size - 1][0].encode()).decode()
    return reply


def _after(marker: str) -> str:
    try:
        return b64decode(marker.encode("ascii"), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise invalid("Invalid marker") from None
