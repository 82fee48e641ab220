"""The last round of a transaction: every participant carries out or undoes what it has prepared."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from hashrange.errors import ApiError
from hashrange.model.ledger import Participant
from hashrange.wire.transactions import TransactFinish
from hashrange_router.api.call import Each
from hashrange_router.api.context import ANY_EPOCH, RouterContext
from hashrange_router.transactions.grouping import placed

ATTEMPTS: Final = 3
"""Each of them lasts as long as the transport is patient. What is left then is finished by the nodes themselves."""

GONE: Final = "ResourceNotFoundException"
MOVED: Final = "StaleRoute"


def finish(
    context: RouterContext, txid: bytes, parts: list[Participant], commit: bool, more: list[Any] | None = None
) -> Generator[Any, Any, ApiError | None]:
    """Tell all participants; None once all have answered, or the error of one that could not be told.

    A partition that is gone has nothing to finish if its table is gone too. While the table is there, its items are
    somewhere else, with their locks: the decision must not be cleared away before these are found.
    A cancellation goes only after participants that a split has moved: other locks that stay behind are released by
    recovery. `more` are messages to send along, whose answers nobody needs.
    """
    failed: ApiError | None = None
    for attempt in range(ATTEMPTS):
        places = placed(context, parts)
        messages = Each(
            TransactFinish(partition, ANY_EPOCH, txid, commit, hashes) for _, partition, hashes in places
        )
        if attempt == 0 and more:
            messages.extend(more)
        if not messages:
            return None
        answers = yield messages
        failed = None
        parts = []
        for (table, _, hashes), answer in zip(places, answers, strict=False):
            if isinstance(answer, ApiError) and (answer.type_name != GONE or table in context.tables):
                failed = answer
                if commit or answer.type_name in (MOVED, GONE):
                    parts.append((table, hashes))
        if not parts:
            return failed
    return failed
