"""Load for the campaigns on real clusters: what it does, what it saw, and what of that must hold in the end.

- `client`: one connection at a time through plain HTTP (or boto3), each call with its outcome: done, refused,
  never sent, or unknown.
- `registers`: reads, writes, compare-and-sets and counters on keys that change often, recorded as a history
  for `tests.cluster.histories`.
- `purses`: transfers between accounts of one item; every read must find the same sum.
- `ledger`: items written once each; every acknowledged one must be there in the end.
- `probes`: a writer a partition, to time how long each could not be written.
- `appends`, `bank`: transactions over several partitions, for `tests.cluster.transactions`; `tokens` repeats those
  whose outcome is not known.
- `load`: all others together on a thread of their own, with counts by tenths of a second.
"""
