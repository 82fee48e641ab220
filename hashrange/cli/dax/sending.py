"""Messages to the control plane as coroutines, and changes of control documents that are planned until they go through.

The transport must be one that answers a change when the documents read here show it (`Routing.settled`, the embedded
node).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from hashrange_router.dax.steps import Steps, perform

from hashrange.errors import ApiError, internal
from hashrange.wire.documents import ChangeDocument, ControlDocuments
from hashrange.wire.messages import ConflictError, Transport

RACES_MAX = 50

T = TypeVar("T")
Plan = Callable[[dict[str, Any] | None], dict[str, Any] | None]
"""What a document is to become, of what it is now; None: there is none."""


async def ask(transport: Transport, message: Any) -> Any:
    """Send a message and wait for its answer; raises an ApiError that answers it."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def done(answer: Any) -> None:
        if not future.done():
            future.set_result(answer)

    transport.send(message, done)
    answer = await future
    if isinstance(answer, ApiError):
        raise answer
    return answer


async def change(
    transport: Transport, controls: ControlDocuments, kind: str, name: str, plan: Plan
) -> dict[str, Any] | None:
    """Plan a document on what is known here and propose it, until no other change comes between the two.

    Returns the document as it is then. `plan` may be called several times; what equals the document known is not
    proposed. Raises ApiError when the control plane has no answer.
    """
    for _ in range(RACES_MAX):
        known = controls.get(kind, name)
        before = known["document"] if known is not None else None
        after = plan(before)
        if after == before:
            return before
        try:
            await ask(
                transport,
                ChangeDocument(kind, name, known["generation"] if known is not None else None, after),
            )
        except ConflictError:
            continue
        return after
    raise internal(f"The document {kind} {name} changes all the time")


async def carry_out(transport: Transport, steps: Steps[T]) -> T:
    """Run steps of the API's plans; returns their result, raises the error that ended them."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def done(outcome: Any) -> None:
        if not future.done():
            future.set_result(outcome)

    perform(transport, steps, done)
    outcome: T | Exception = await future
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
