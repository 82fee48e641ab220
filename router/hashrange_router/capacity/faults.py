"""Throttling on purpose: a share of the requests of a table is refused, to test how a program takes it.

    context.admission = ThrottleFaults(meter, {"orders": 0.2, "*": 0.01}, rng.random)

It stands in front of the admission that counts, and works with throttling off too. A refused request has done
nothing and consumed nothing. `*` stands for every table that is not named. Members of a batch are refused one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hashrange.errors import ApiError
from hashrange.model.table import TableSchema
from hashrange.model.table_document import PROVISIONED
from hashrange.model.throttling import KEY_RANGE_EXCEEDED, PROVISIONED_EXCEEDED, throttled
from hashrange.model.value import Item
from hashrange_router.api.context import Admission

OTHERS = "*"


class ThrottleFaults:
    """An `Admission` before another one. `shares`: table name, or `*`, to a share from 0 to 1; `chance`: [0, 1)."""

    def __init__(self, inner: Admission, shares: Mapping[str, float], chance: Callable[[], float]) -> None:
        self._inner = inner
        self._shares = dict(shares)
        self._others = self._shares.get(OTHERS, 0.0)
        self._chance = chance

    def read(self, table: TableSchema, index: str | None) -> None:
        """Refuse some reads; what is not refused here may be there."""
        if self._chance() < self._shares.get(table.name, self._others):
            raise _refusal(table, index, write=False)
        self._inner.read(table, index)

    def write(self, table: TableSchema, item: Item | None) -> None:
        """Refuse some writes; what is not refused here may be there."""
        if self._chance() < self._shares.get(table.name, self._others):
            raise _refusal(table, None, write=True)
        self._inner.write(table, item)

    def charge_read(self, table: TableSchema, index: str | None, units_half: int) -> None:
        """Handed on."""
        self._inner.charge_read(table, index, units_half)

    def charge_write(
        self, table: TableSchema, units_half: int, index_units: list[tuple[str, str, int]] | None
    ) -> None:
        """Handed on."""
        self._inner.charge_write(table, units_half, index_units)

    def note(self, table: str, error: ApiError) -> None:
        """Handed on."""
        self._inner.note(table, error)


def _refusal(table: TableSchema, index: str | None, *, write: bool) -> ApiError:
    provisioned = table.billing_mode == PROVISIONED
    return throttled(
        PROVISIONED_EXCEEDED if provisioned else KEY_RANGE_EXCEEDED,
        table.arn if index is None else table.index(index).arn,
        index=index is not None,
        write=write,
        provisioned=provisioned,
    )
