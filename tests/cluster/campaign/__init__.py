"""Faults on a real cluster under load, judged by what its clients saw.

    python -m tests.cluster.campaign --short                  # every fault once or twice, some minutes
    python -m tests.cluster.campaign --faults F1,F5 --rounds 20 --seed 7
    python -m tests.cluster.campaign --short --power --faults F1,F3,F17   # every kill is a power cut
    python -m tests.cluster.campaign --controls               # broken builds, which must all be found out
    python -m tests.cluster.campaign --list

Each fault gets a cluster (`hashrange cluster up`) under the load of `tests.cluster.workloads`. When it is over,
everything is healed, and then must hold:

- the history of every register, counter and purse is linearizable (`tests.cluster.histories`);
- every acknowledged entry of the ledger is there, whole, and a Scan shows it once;
- every purse adds up, in every read;
- outside of the faults, 99.9 % of the operations succeed, and the partitions took writes again in time;
- no process ended that was not killed on purpose, and none wrote a traceback;
- after a clean stop, the data of all replicas of a partition are equal byte for byte, at the same applied index.

Modules: `scene` (a cluster, its load, and what all faults need), `processes` (kills and pauses), `network` (cuts),
`disks` (slow, failing and full disks), `damage` (changed bytes and lost disks), `reshaping` (splits and moves
meanwhile), `coordinators` (routers that die in the middle of transactions), `replicas` (comparing them), `aimed`
(strong reads sent to one node on purpose), `controls`.
"""
