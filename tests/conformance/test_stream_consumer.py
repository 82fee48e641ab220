"""The stream consumer of the client package on a real server, with nothing but boto3 between them."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from typing import Any

import pytest
from hashrange_client.streams import Batch, Consumer, ConsumerSettings

from tests.conformance.support import n, s, table

SETTINGS = ConsumerSettings(lease_s=2.0, poll_s=0.02, discover_s=0.3, batch_size=20)
STREAM = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}


class Seen:
    """What came, by item."""

    def __init__(self) -> None:
        self.values: dict[str, list[int]] = defaultdict(list)
        self.lock = threading.Lock()

    def take(self, batch: Batch) -> None:
        with self.lock:
            for record in batch.records:
                change = record["dynamodb"]
                self.values[change["Keys"]["p"]["S"]].append(int(change["NewImage"]["v"]["N"]))

    def has(self, last: int, keys: int) -> bool:
        with self.lock:
            return len(self.values) == keys and all(each[-1] == last for each in self.values.values())


def consumer(name: str, client: Any, streams: Any) -> Consumer:
    return Consumer(name, f"{name}.leases", dynamodb=client, streams=streams, settings=SETTINGS)


def write(client: Any, name: str, first: int, last: int) -> None:
    for value in range(first, last + 1):
        for key in ("a", "b", "c"):
            client.put_item(TableName=name, Item={"p": s(key), "v": n(value)})


def test_every_change_comes_in_order_and_a_second_run_goes_on(client: Any, streams: Any) -> None:
    with table(client, StreamSpecification=STREAM) as name:
        write(client, name, 1, 30)
        seen = Seen()
        consumer(name, client, streams).run(seen.take, until=lambda: seen.has(30, 3), check_s=0.02)
        assert dict(seen.values) == {key: list(range(1, 31)) for key in "abc"}
        time.sleep(0.1)
        write(client, name, 31, 35)
        later = Seen()
        consumer(name, client, streams).run(later.take, until=lambda: later.has(35, 3), check_s=0.02)
        # At least once: the last batch of the first run may come again, and nothing is left out.
        for key in "abc":
            assert later.values[key] == list(range(later.values[key][0], 36))
            assert later.values[key][0] <= 31
        client.delete_table(TableName=f"{name}.leases")


def test_two_workers_share_the_work_and_one_that_stops_is_followed(client: Any, streams: Any) -> None:
    with table(client, StreamSpecification=STREAM) as name:
        seen = Seen()
        stop_first, stop = threading.Event(), threading.Event()
        ends = (stop_first, stop)
        workers = [
            threading.Thread(
                target=consumer(name, client, streams).run, args=(seen.take,), kwargs={"until": end.is_set}
            )
            for end in ends
        ]
        for worker in workers:
            worker.start()
        try:
            write(client, name, 1, 20)
            stop_first.set()
            workers[0].join(20)
            write(client, name, 21, 40)
            deadline = time.monotonic() + 30
            while not seen.has(40, 3) and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            stop_first.set()
            stop.set()
            for worker in workers:
                worker.join(20)
        for key in "abc":
            assert sorted(set(seen.values[key])) == list(range(1, 41))
        client.delete_table(TableName=f"{name}.leases")


def test_a_table_without_a_stream_is_named(client: Any, streams: Any) -> None:
    with table(client) as name, pytest.raises(ValueError, match="has no stream"):
        consumer(name, client, streams).run(lambda batch: None)
