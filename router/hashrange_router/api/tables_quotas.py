"""Limits on tables: the fixed ones of the service, and those an operator may set."""

from __future__ import annotations

from dataclasses import dataclass

from hashrange.model.throughput import UNITS_MAX

LOCAL_INDEXES_MAX = 5
GLOBAL_INDEXES_MAX = 20
PROJECTED_ATTRIBUTES_MAX = 100
"""Non-key attributes that INCLUDE projections name, over all indexes (Developer Guide, Constraints)."""
INDEX_HASH_ATTRIBUTES_MAX = 4
INDEX_RANGE_ATTRIBUTES_MAX = 4
TAGS_MAX = 50
TAG_KEY_LENGTH_MAX = 128
TAG_VALUE_LENGTH_MAX = 256
LIST_TABLES_LIMIT_MAX = 100
CAPACITY_UNITS_BOUND = 1_000_000_000_000
"""Throughput above this is refused as out of bounds before any quota is looked at."""


@dataclass(frozen=True, slots=True)
class Quotas:
    """What DescribeLimits reports and the throughput of a table is checked against.

    The defaults are those of a new account. `ttl_cooldown_s` is how long after a change of TimeToLive the
    next one is refused; the real service takes about half an hour, which serves no purpose here, so it is
    off. `limit_decreases` keeps the daily budget of throughput decreases, and of switches to on-demand capacity.
    """

    account_max_read_units: int = 80_000
    account_max_write_units: int = 80_000
    table_max_read_units: int = UNITS_MAX
    table_max_write_units: int = UNITS_MAX
    limit_decreases: bool = True
    ttl_cooldown_s: float = 0.0
