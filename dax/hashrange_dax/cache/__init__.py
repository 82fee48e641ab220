"""The memory of a cache node: entries, and the one store that holds them under one budget.

Pure: what time it is comes as an argument (`now`, seconds of a monotonic clock).
"""

from hashrange_dax.cache.entries import ItemEntry, QueryEntry
from hashrange_dax.cache.store import CacheStore

__all__ = ["CacheStore", "ItemEntry", "QueryEntry"]
