"""The registry of attribute lists: which names stand behind the numbers that clients use for them.

    lists = AttributeRegistry(context.controls, transport.send, loop.call_later)
    lists.define(("age", "name"), done)          # done(7), once that is durable
    lists.names_of(7)

Clients keep what a number stands for as long as they live, whatever becomes of the node that told them. Therefore each
list is a control document of its own, named by its number, which is made once and never changed or removed: the
control plane has stored it on a majority before anybody is told of it, and every node follows it. A node that reads
the documents before it takes connections knows all lists there are.

Two nodes that make the same list at a time may both succeed, under two numbers. Both stay valid for ever; all nodes
give out the lower one from then on. 1 is the empty list, by itself.

Numbers of one installation follow on one another, from a number on that another installation hardly has
(`first_number`): a client that lives on while a server which keeps nothing on disk is started anew has numbers of the
one before. They must mean nothing then, rather than other names.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final

from hashrange.errors import ApiError, internal, limit_exceeded, validation
from hashrange.model.dax import ATTRIBUTES
from hashrange.wire.documents import ChangeDocument, ControlDocument, ControlDocuments
from hashrange.wire.messages import ConflictError, Done

EMPTY_ID: Final = 1
FIRST_ID: Final = 2

LISTS_MAX: Final = 10_000
NAMES_BYTES_MAX: Final = 16 << 20
"""All names of all lists, in bytes of UTF-8: the control plane sends what it keeps in one piece to who starts anew."""

LIST_BYTES_MAX: Final = 400 << 10
"""Names of one list: no item is larger, names included."""

RACES_MAX: Final = 200
"""Numbers that are tried for one list: each time another node had taken it, which has not come into view yet."""

FETCH_WAIT_S: Final = 2.0
"""How long a number that nobody here knows may take to come into view from the node that has made it."""

FETCH_AHEAD: Final = 1_000
"""Numbers further beyond the newest known one are not waited for: none was given out."""

NUMBERS: Final = 1 << 30
"""First numbers that there are: all that follow on them are within 32 bits, which every client can hold."""

Names = tuple[str, ...]
DefineDone = Callable[["int | ApiError"], None]
FetchDone = Callable[["Names | ApiError"], None]


def first_number(installation: str) -> int:
    """The number of an installation's first list. `installation` is any text that no other installation has."""
    digest = blake2b(installation.encode(), digest_size=8).digest()
    return FIRST_ID + int.from_bytes(digest, "big") % NUMBERS


class AttributeRegistry:
    """All attribute lists, as one node knows them (`contracts.AttributeLists`)."""

    def __init__(
        self,
        controls: ControlDocuments,
        send: Callable[[ChangeDocument, Done], None],
        call_later: Callable[[float, Callable[[], None]], Any],
        lists_max: int = LISTS_MAX,
        names_bytes_max: int = NAMES_BYTES_MAX,
        first: int = FIRST_ID,
    ) -> None:
        """`send` carries a change to the control plane; documents that there are already are read at once.

        `first` is the number of the first list, if there is none yet.
        """
        self._controls = controls
        self._send = send
        self._call_later = call_later
        self._lists_max = lists_max
        self._names_bytes_max = names_bytes_max
        self._names: dict[int, Names] = {EMPTY_ID: ()}
        self._ids: dict[Names, int] = {(): EMPTY_ID}
        self._tried = FIRST_ID - 1
        """The highest number that is known, or that was asked for here."""
        self._highest = FIRST_ID - 1
        self._defining: dict[Names, list[DefineDone]] = {}
        self._defining_bytes = 0
        self._fetching: dict[int, list[FetchDone]] = {}
        self.names_bytes = 0
        """Bytes of UTF-8 of the names of all lists."""
        self.refused = 0
        """Lists that were not made because there were too many."""
        for name in list(controls.of(ATTRIBUTES)):
            self._changed(name)
        if not self.lists:
            self._tried = self._highest = first - 1
        controls.watch(ATTRIBUTES, self._changed)

    @property
    def lists(self) -> int:
        """How many lists there are; the empty one is none."""
        return len(self._names) - 1

    def id_of(self, names: Names) -> int | None:
        """The number of a list that is known here already."""
        return self._ids.get(names)

    def names_of(self, list_id: int) -> Names | None:
        """The names of a number; None if this node has not heard of it."""
        return self._names.get(list_id)

    # ---- making lists

    def define(self, names: Names, done: DefineDone) -> None:
        """Find or make the number of a list. `done` gets it once it is durable, or the error to answer with.

        LimitExceededException when there are too many lists; a validation error for what can be no list; what the
        control plane says when it does not take the change, after which the list may have been made all the same.
        """
        known = self._ids.get(names)
        if known is not None:
            done(known)
            return
        waiting = self._defining.get(names)
        if waiting is not None:
            waiting.append(done)
            return
        size = _size(names)
        refusal = _objection(names, size) or self._no_room(size)
        if refusal is not None:
            done(refusal)
            return
        self._defining[names] = [done]
        self._defining_bytes += size
        self._attempt(names, size, 1)

    def _attempt(self, names: Names, size: int, race: int) -> None:
        number = self._tried = self._tried + 1

        def done(answer: Any) -> None:
            if isinstance(answer, ConflictError):
                known = self._ids.get(names)
                if known is None and race < RACES_MAX:
                    self._attempt(names, size, race + 1)
                    return
                self._defined(names, size, known or internal("No number could be had for an attribute list"))
            elif isinstance(answer, ApiError):
                self._defined(names, size, answer)
            else:
                self._take(number, names)
                self._defined(names, size, self._ids[names])

        self._send(ChangeDocument(ATTRIBUTES, str(number), None, {"Names": list(names)}), done)

    def _defined(self, names: Names, size: int, answer: int | ApiError) -> None:
        self._defining_bytes -= size
        for done in self._defining.pop(names):
            done(answer)

    def _no_room(self, size: int) -> ApiError | None:
        """Why there can be no more lists, or None."""
        if self.lists + len(self._defining) >= self._lists_max:
            detail = f"{self._lists_max} different sets of attribute names, which is the limit"
        elif self.names_bytes + self._defining_bytes + size > self._names_bytes_max:
            detail = f"attribute names of {self._names_bytes_max} bytes in all, which is the limit"
        else:
            return None
        self.refused += 1
        return limit_exceeded(
            f"Items with {detail}, have been used through this cache. Put names that vary into a map instead of"
            " the top level of items, or raise attribute_lists_max."
        )

    # ---- looking lists up

    def fetch(self, list_id: int, done: FetchDone) -> None:
        """The names of a number. One that was made elsewhere a moment ago is waited for.

        A validation error if there is none.
        """
        known = self._names.get(list_id)
        if known is not None:
            done(known)
        elif not FIRST_ID <= list_id <= self._highest + FETCH_AHEAD:
            done(_unknown(list_id))
        elif list_id in self._fetching:
            self._fetching[list_id].append(done)
        else:
            self._fetching[list_id] = [done]
            self._call_later(FETCH_WAIT_S, lambda: self._fetched(list_id, _unknown(list_id)))

    def _fetched(self, list_id: int, answer: Names | ApiError) -> None:
        for done in self._fetching.pop(list_id, ()):
            done(answer)

    # ---- following the control plane

    def _changed(self, name: str) -> None:
        """A document has come into view. One that goes is none of ours to forget: clients still use its number."""
        found: ControlDocument | None = self._controls.get(ATTRIBUTES, name)
        if found is not None:
            self._take(int(name), tuple(found["document"]["Names"]))

    def _take(self, number: int, names: Names) -> None:
        if number in self._names:
            return
        self._names[number] = names
        self.names_bytes += _size(names)
        self._highest = max(self._highest, number)
        self._tried = max(self._tried, number)
        if number < self._ids.get(names, number + 1):
            self._ids[names] = number
        if number in self._fetching:
            self._fetched(number, names)


def _size(names: Names) -> int:
    return sum(len(name.encode()) for name in names)


def _objection(names: Names, size: int) -> ApiError | None:
    """Why these names can be no list, or None."""
    if size > LIST_BYTES_MAX:
        return validation(f"Item size has exceeded the maximum allowed size: attribute names of {size} bytes")
    if not all(names):
        return validation("One or more parameter values were invalid: an attribute name is empty")
    if len(set(names)) != len(names):
        return validation(
            "One or more parameter values were invalid: an attribute name occurs twice in a list"
        )
    return None


def _unknown(list_id: int) -> ApiError:
    return validation(
        f"There is no attribute list {list_id}. A client that has it from a server whose data is gone must be made"
        " anew."
    )
