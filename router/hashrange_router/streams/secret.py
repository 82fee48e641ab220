"""The key that shard iterators are sealed with: one for the cluster, made when the first iterator is.

It lies in a control document, so that every router has it and iterators outlive all of them. Two routers that make
one at a time are told apart by the compare-and-set: the second takes over what the first has made.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Generator
from hashlib import blake2b
from typing import Any, Final

from hashrange.errors import internal
from hashrange.wire.documents import ChangeDocument, ControlDocument
from hashrange.wire.messages import ConflictError
from hashrange_router.api.context import RouterContext
from hashrange_router.streams.iterator import KEY_BYTES

KIND: Final = "secret"
NAME: Final = "iterators"
RACES_MAX: Final = 50
"""Attempts to make the key: each time another was faster, whose key has not come into view yet."""


class IteratorKey:
    """The key as one router knows it."""

    def __init__(self, context: RouterContext) -> None:
        self._context = context
        self._document: ControlDocument | None = None
        self._key = b""

    def get(self) -> Generator[ChangeDocument, ControlDocument, bytes]:
        """The key; makes it if there is none yet. Yields messages as an operation does."""
        for _ in range(RACES_MAX):
            known = self._context.controls.get(KIND, NAME)
            if known is None:
                try:
                    known = yield ChangeDocument(KIND, NAME, None, self._made())
                except ConflictError:
                    continue
            if known is not self._document:
                self._key = b64decode(known["document"]["Key"])
                self._document = known
            return self._key
        raise internal("The key of shard iterators is not to be had")

    def _made(self) -> dict[str, Any]:
        # Two random UUIDs have 244 bits that nobody can guess.
        source = self._context.new_id() + self._context.new_id()
        key = blake2b(source.encode(), digest_size=KEY_BYTES).digest()
        return {"Key": b64encode(key).decode()}
