"""Global tables with real processes: regions under load, cut off from one another, killed, with wrong clocks.

    python -m tests.cluster.regions --regions 3 --seed 7 --seconds 60     # the campaign
    python -m tests.cluster.regions --controls                            # broken builds, which must be found out
    python -m tests.cluster.regions.acceptance --cut 60                   # two regions, boto3, one long cut

| module | what it is |
|---|---|
| `scene` | regions as processes: `hashrange regions up`, or an embedded server each |
| `odd_program` | `hashrange` with a clock that tests move, a log of the versions it makes, or a rule broken |
| `load` | random writes, deletions, updates, transactions and expiring items in all regions |
| `judge` | what must hold afterwards: equal regions, the greatest version of each item, nothing back from the dead |
| `stored` | the versions in the data directories of regions that were stopped |
| `campaign` | load and faults, then the judgement |

What a client was told is enough for most of it: an acknowledged write names the value that it replaced, which must not
be the last one. That the greatest version wins is seen with the versions themselves, which the odd program writes down
as leaders make them.
"""
