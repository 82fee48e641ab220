"""Event source mappings: what carries the records of a stream to a function.

    settings.py, lane.py, queue.py   which records a call gets, and what follows from how it ends (pure)
    filters.py                       which records a mapping wants (pure)
    answers.py                       events, answers of functions, reports about what is given up (pure)
    lineage.py                       which shards may be processed now, and how pools share them (pure)
    leases.py                        rows of the system table: who has a shard, and how far it is
    shard_runner.py, calls.py        one shard that this pool has
    mapping_runner.py, manager.py    one mapping, and all of them

A record passes through from left to right, and nothing but the checkpoint lasts:

    StreamReader ─▶ filters ─▶ ShardQueue ─▶ Lane ─▶ Invoker
                                   │           └─▶ Destinations (given up)
                                   └─▶ Lease (checkpoint)

At least once: what was processed behind the last saved checkpoint is processed again when a pool dies. Never is a
record passed over, and never does one shard run in two places: see `leases`. The rules are those of the AWS Lambda
Developer Guide, "Using AWS Lambda with Amazon DynamoDB".
"""
