"""The key that cache nodes know one another by: one for the installation, made by the first node that wants it.

It lies in a control document. Two nodes that make one at a time are told apart by the compare-and-set: the second
takes over what the first has made.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any, Final

from hashrange.errors import ApiError
from hashrange.runtime.logging import get_logger
from hashrange.wire.documents import ChangeDocument, ControlDocuments
from hashrange.wire.messages import ConflictError, Done

KIND: Final = "secret"
NAME: Final = "dax-peers"
KEY_BYTES: Final = 32
RETRY_S: Final = 1.0


class PeerKey:
    """The key as one node knows it; `value` is None until it is in view."""

    def __init__(
        self,
        controls: ControlDocuments,
        send: Callable[[ChangeDocument, Done], None],
        call_later: Callable[[float, Callable[[], None]], Any],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._controls = controls
        self._send = send
        self._call_later = call_later
        self._random_bytes = random_bytes
        self._stopped = False
        self.value: bytes | None = None
        controls.watch(KIND, self._changed)

    def start(self) -> None:
        """Take over the key that there is, or make it, however long that takes."""
        self._changed(NAME)
        if self.value is None and not self._stopped:
            made = {"Key": b64encode(self._random_bytes(KEY_BYTES)).decode()}
            self._send(ChangeDocument(KIND, NAME, None, made), self._answered)

    def stop(self) -> None:
        """Try no more."""
        self._stopped = True

    def _answered(self, answer: Any) -> None:
        if isinstance(answer, ApiError):
            if not isinstance(answer, ConflictError):
                get_logger("dax").warning("the key of the cache nodes could not be made", reason=str(answer))
            self._call_later(RETRY_S, self.start)
        else:
            self.value = b64decode(answer["document"]["Key"])

    def _changed(self, name: str) -> None:
        if name == NAME:
            found = self._controls.get(KIND, NAME)
            if found is not None:
                self.value = b64decode(found["document"]["Key"])
