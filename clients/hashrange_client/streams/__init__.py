"""Reading a table's stream from a program: every change, in order per item, at least once, over any number of workers.

    from hashrange_client.streams import Consumer

    consumer = Consumer("orders", application="totals", dynamodb=..., streams=...)   # two boto3 clients
    consumer.run(handle)                      # blocks; `handle(batch)` is called for each batch, shards in parallel

    async with Consumer("orders", application="totals", ...) as consumer:
        async for batch in consumer:          # a batch counts as processed when the next one is asked for
            for record in batch.records:
                ...

It uses nothing but ordinary calls of boto3, so it reads the streams of DynamoDB itself as well. Several processes with
the same `application` share the shards between them: leases and checkpoints lie in a table of the same name (`leases`).
A shard is read after its parents are finished, so the order of an item's changes survives every split (`lineage`).
"""

from hashrange_client.streams.consumer import Batch, Consumer
from hashrange_client.streams.leases import Lease, LeaseTable
from hashrange_client.streams.lineage import ShardTree
from hashrange_client.streams.settings import ConsumerSettings

__all__ = ["Batch", "Consumer", "ConsumerSettings", "Lease", "LeaseTable", "ShardTree"]
