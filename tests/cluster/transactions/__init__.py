"""Transactions on a real cluster of three zones, with faults going on: are they serializable?

    python -m tests.cluster.transactions --transactions 50000 --faults all

Clients append to lists and read them in transactions over several partitions, and move money between accounts
(`tests.cluster.workloads.appends`, `bank`), while leaders, zones and routers fail and partitions are split. Every look
at the accounts must find the sum that was paid in; in the end every list is read, and the whole history is given to
the checker (`tests.cluster.histories.list_check`).

- `load`: the workloads on a thread of their own, and what they came to.
- `faults`: what goes wrong meanwhile. A fault is a function of the `Stage`; a campaign can bring its own.
- `run`: one run from the start of the cluster to the verdict.
"""
