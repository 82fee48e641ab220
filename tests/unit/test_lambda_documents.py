"""Changes of functions that race: nothing is lost, nothing is done twice, nobody tries for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hashrange_router.api.context import RouterContext
from hashrange_router.functions.documents import RACES_MAX, Documents
from hashrange_router.functions.names import Names
from hashrange_router.functions.requests import Change, Document

from hashrange.errors import ApiError, unavailable
from hashrange.wire.documents import ChangeDocument
from hashrange.wire.messages import ConflictError
from tests.unit.table_support import SITE

KIND = "function"


class Control:
    """A control plane of one view. `before` runs ahead of each proposal, `after` behind it."""

    def __init__(self) -> None:
        self.context = RouterContext(SITE, "2026", lambda: 1.0, lambda: "id")
        self.generation = 0
        self.proposals = 0
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None

    def put(self, name: str, document: Document | None) -> None:
        self.generation += 1
        stored = None if document is None else {"generation": self.generation, "document": document}
        self.context.controls.put(KIND, name, stored)  # type: ignore[arg-type]

    async def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        raise AssertionError("no operation belongs here")

    async def send(self, message: Any) -> Any:
        assert isinstance(message, ChangeDocument)
        self.proposals += 1
        self.before()
        known = self.context.controls.get(KIND, message.name)
        if (known["generation"] if known is not None else None) != message.expected:
            raise ConflictError
        self.put(message.name, message.document)
        self.after()


class Packages:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.removed: list[str] = []
        self.kept: list[str] = []

    async def put(self, package: bytes) -> str:
        return ""

    async def get(self, sha256: str) -> bytes:
        return b""

    async def remove(self, sha256: str) -> None:
        self.removed.append(sha256)

    async def keep(self, sha256: str) -> None:
        self.kept.append(sha256)


def made(control: Control, packages: Packages | None = None) -> Documents:
    names = Names(SITE.region, SITE.account)
    return Documents(control.context, control, packages or Packages(), names)


def adding(name: str) -> Callable[[Document | None], Change]:
    """A plan that adds a name to the document's list."""
    return lambda before: Change({"names": [*(before or {"names": []})["names"], name]}, name)


def stored(control: Control) -> Any:
    found = control.context.controls.get(KIND, "f")
    return found["document"] if found is not None else None


def test_a_change_that_was_too_late_is_planned_anew() -> None:
    control = Control()

    def other() -> None:
        control.before = lambda: None
        control.put("f", {"names": ["other"]})

    control.before = other
    assert asyncio.run(made(control).commit(KIND, "f", adding("mine"))) == "mine"
    assert stored(control) == {"names": ["other", "mine"]}
    assert control.proposals == 2


def test_many_at_once_lose_nothing() -> None:
    control = Control()
    documents = made(control)

    async def run() -> None:
        async def slow(message: Any, send: Any = control.send) -> Any:
            await asyncio.sleep(0)
            return await send(message)

        control.send = slow  # type: ignore[method-assign]
        await asyncio.gather(*(documents.commit(KIND, "f", adding(str(number))) for number in range(20)))

    asyncio.run(run())
    assert sorted(stored(control)["names"], key=int) == [str(number) for number in range(20)]


def test_a_change_that_went_through_unnoticed_is_not_made_twice() -> None:
    control = Control()

    def lost() -> None:
        control.after = lambda: None
        raise ConflictError

    control.after = lost
    assert asyncio.run(made(control).commit(KIND, "f", adding("mine"))) == "mine"
    assert stored(control) == {"names": ["mine"]}


def test_nothing_is_proposed_where_nothing_changes() -> None:
    control = Control()
    control.put("f", {"names": []})
    assert asyncio.run(made(control).commit(KIND, "f", lambda before: Change(before, "same"))) == "same"
    assert control.proposals == 0


def test_others_that_are_always_faster() -> None:
    control = Control()
    control.before = lambda: control.put("f", {"names": []})
    with pytest.raises(ApiError, match="ResourceConflictException"):
        asyncio.run(made(control).commit(KIND, "f", adding("mine")))
    assert control.proposals == RACES_MAX


def test_a_control_plane_that_is_away() -> None:
    control = Control()

    def away() -> None:
        raise unavailable("no leader")

    control.before = away
    with pytest.raises(ApiError, match="ServiceUnavailable"):
        asyncio.run(made(control).commit(KIND, "f", adding("mine")))


def version(code: str) -> dict[str, Any]:
    return {"Code": code}


def release(control: Control, packages: Packages, *codes: str) -> None:
    async def run() -> None:
        documents = made(control, packages)
        documents.release(codes)
        await asyncio.gather(*documents._tasks)

    asyncio.run(run())


def test_packages_that_another_function_refers_to_stay() -> None:
    control, packages = Control(), Packages()
    control.put("f", {"Latest": version("a"), "Versions": {"1": version("b")}})
    release(control, packages, "a", "b", "c")
    assert packages.removed == ["c"]


def test_a_package_that_was_referred_to_while_it_went_is_kept() -> None:
    control, packages = Control(), Packages()

    async def remove(sha256: str) -> None:
        control.put("f", {"Latest": version(sha256), "Versions": {}})

    packages.remove = remove  # type: ignore[method-assign]
    release(control, packages, "a")
    assert packages.kept == ["a"]


def test_a_package_that_cannot_be_removed_harms_nobody() -> None:
    packages = Packages()

    async def remove(sha256: str) -> None:
        raise unavailable("later")

    packages.remove = remove  # type: ignore[method-assign]
    release(Control(), packages, "a")
