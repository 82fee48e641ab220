"""The cache tier: reads from the caches, reads behind them, writes through them.

tier = Tier(backend, None, CacheStore(256 << 20), clock)
tier.run("GetItem", request, done)  # done(Answer | ApiError), now or later
entry = tier.hit(table, key)  # the short way for a GetItem that is eventually consistent
"""

from hashrange_dax.tier.alone import Alone
from hashrange_dax.tier.answer import Answer, Done, Group
from hashrange_dax.tier.tier import Tier

__all__ = ["Alone", "Answer", "Done", "Group", "Tier"]
