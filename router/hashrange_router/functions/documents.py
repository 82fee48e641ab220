"""Reading and changing the documents of functions and mappings, and the packages that go with functions.

A change is planned on the document as this process knows it and made by compare-and-set; when another change was
faster it is planned anew.
"""

from __future__ import annotations

import asyncio
import binascii
from base64 import b64decode
from collections.abc import Callable, Iterable
from typing import Any

from hashrange.errors import ApiError
from hashrange.runtime.logging import get_logger
from hashrange.wire.documents import ChangeDocument
from hashrange.wire.messages import ConflictError
from hashrange_router.api.context import RouterContext
from hashrange_router.functions.archive import check_archive, code_sha256
from hashrange_router.functions.errors import concurrent_update, serialization
from hashrange_router.functions.names import Names
from hashrange_router.functions.plans import Package
from hashrange_router.functions.requests import Change, Document, Setting, packages_of
from hashrange_router.triggers.contracts import FUNCTION, CodeStore, LocalClient

RACES_MAX = 50
"""Changes planned for one request before it is refused: each time another change was faster."""
UPLOADS_MAX = 2
"""Packages that are decoded and checked at the same time; each may take a few hundred megabytes of memory."""

Plan = Callable[[Document | None], Change]


class Documents:
    """The documents of one process's view, by kind and name."""

    def __init__(
        self, context: RouterContext, client: LocalClient, packages: CodeStore, names: Names
    ) -> None:
        self._context = context
        self._client = client
        self._packages = packages
        self._names = names
        self._uploads = asyncio.Semaphore(UPLOADS_MAX)
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = get_logger("functions")

    def setting(self) -> Setting:
        """What plans need to know besides the request."""
        return Setting(self._names, self._context.now(), self._context.new_id)

    def get(self, kind: str, name: str) -> Document | None:
        """One document, None when there is none."""
        stored = self._context.controls.get(kind, name)
        return stored["document"] if stored is not None else None

    def generation(self, kind: str, name: str) -> int:
        """The generation of a document, 0 when there is none: a smaller one was made or changed earlier."""
        stored = self._context.controls.get(kind, name)
        return stored["generation"] if stored is not None else 0

    def all(self, kind: str) -> list[Document]:
        """Every document of a kind."""
        return [stored["document"] for stored in self._context.controls.of(kind).values()]

    async def commit(self, kind: str, name: str, plan: Plan) -> Any:
        """Plan and propose until no other change comes between the two; returns the reply that was planned.

        A change whose first attempt went through unnoticed loses against itself: it is in the view then.
        """
        controls = self._context.controls
        for _ in range(RACES_MAX):
            before = controls.get(kind, name)
            known = before["document"] if before is not None else None
            change = plan(known)
            if change.document == known:
                return change.reply
            try:
                await self._client.send(
                    ChangeDocument(
                        kind, name, before["generation"] if before is not None else None, change.document
                    )
                )
            except ConflictError:
                after = controls.get(kind, name)
                if (after["document"] if after is not None else None) != change.document:
                    continue
            self.release(change.dropped)
            return change.reply
        raise concurrent_update(name)

    async def upload(self, zip_file: str, operation: str) -> Package:
        """Check a package, given in base64, and keep it."""
        async with self._uploads:
            package, content = await asyncio.to_thread(_checked_package, zip_file, operation)
            await self._packages.put(content)
        return package

    async def confirm(self, code: str) -> None:
        """See that a package is kept, which a document has just begun to refer to."""
        await self._packages.keep(code)

    def release(self, codes: Iterable[str]) -> None:
        """Let go of packages that a document does not refer to any more, if no other one does."""
        for code in codes:
            task = asyncio.get_running_loop().create_task(self._release(code))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _release(self, code: str) -> None:
        try:
            if not self._referred(code):
                await self._packages.remove(code)
                if self._referred(code):
                    await self.confirm(code)
        except ApiError as error:
            # It stays until a function refers to it, and lets go of it, again.
            self._log.warning("a deployment package could not be removed", code=code, reason=str(error))

    def _referred(self, code: str) -> bool:
        return any(code in packages_of(document) for document in self.all(FUNCTION))


def _checked_package(zip_file: str, operation: str) -> tuple[Package, bytes]:
    """Runs in a thread: inflating a package may take seconds."""
    try:
        content = b64decode(zip_file, validate=True)
    except (binascii.Error, ValueError):
        raise serialization("ZipFile is not base64") from None
    check_archive(content, operation)
    sha256 = code_sha256(content)
    return Package(b64decode(sha256).hex(), sha256, len(content)), content
