"""What a repeated request costs: reading the items that the first one wrote.

Source: DynamoDB API Reference, TransactWriteItems, ClientRequestToken.
"""

from __future__ import annotations

from collections.abc import Sequence

from hashrange.model.table_units import read_units_half
from hashrange.wire.messages import WriteResult
from hashrange_router.transactions.actions import Action


def replay_units(actions: list[Action], results: Sequence[WriteResult | None]) -> dict[str, int]:
    """Half units by table, by the sizes that the items had in `results`; an unknown one counts as the smallest."""
    units: dict[str, int] = {}
    for action, result in zip(actions, results, strict=True):
        size = 0 if result is None else result.new_size or result.old_size
        name = action.table.name
        units[name] = units.get(name, 0) + 2 * read_units_half(size, True)
    return units
