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

COMMIT_ATTEMPTS: Final = 3
"""Each of them lasts as long as the transport is patient. What is left then is finished by the nodes themselves."""

GONE: Final = "ResourceNotFoundException"


def finish(
    context: RouterContext, txid: bytes, parts: list[Participant], commit: bool, more: list[Any] | None = None
) -> Generator[Any, Any, ApiError | None]:
    """Tell all participants; None once all have answered, or the error of one that could not be told.

    A cancellation is tried once: locks that stay behind are released by recovery. `more` are messages to send along,
    whose answers nobody needs.
    """
    for attempt in range(COMMIT_ATTEMPTS if commit else 1):
        places = placed(context, parts)
        messages = Each(
            TransactFinish(partition, ANY_EPOCH, txid, commit, hashes) for _, partition, hashes in places
        )
        if attempt == 0 and more:
            messages.extend(more)
        if not messages:
            return None
        answers = yield messages
        failed: ApiError | None = None
        parts = []
        for (table, _, hashes), answer in zip(places, answers, strict=False):
            if isinstance(answer, ApiError) and answer.type_name != GONE:
                failed = answer
                parts.append((table, hashes))
        if failed is None:
            return None
    return failed
