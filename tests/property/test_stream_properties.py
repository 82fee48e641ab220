"""Whatever is written, the stream replays to the table: in order, each change once, along the lineage of its shards."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from hashrange.expr import compile_update
from hashrange.model.stream_record import StreamRecord
from hashrange.wire.messages import UPDATE, WriteItem
from hashrange.wire.transactions import DONE, TransactFinish, TransactPrepare, TransactWrite
from tests.unit.stream_node_support import StreamBench

names = st.sampled_from("abcd")
values = st.sampled_from("123")
steps = st.one_of(
    st.tuples(st.just("put"), names, values),
    st.tuples(st.just("put"), names, values),
    st.tuples(st.just("delete"), names),
    st.tuples(st.just("add"), names),
    st.tuples(st.just("transact"), st.dictionaries(names, values, min_size=1)),
    st.tuples(st.just("prepared"), st.dictionaries(names, values, min_size=1), st.booleans()),
    st.tuples(st.just("roll over")),
    st.tuples(st.just("lead again")),
)


class Table(StreamBench):
    """A table, what should be in it, and what changed."""

    def __init__(self) -> None:
        super().__init__()
        self.state: dict[str, dict[str, Any]] = {}
        self.changes: list[tuple[str, Any, Any]] = []
        self.number = 0

    def changed(self, name: str, new: dict[str, Any] | None) -> None:
        old = self.state.get(name)
        if old != new:
            self.changes.append((name, old, new))
        if new is None:
            self.state.pop(name, None)
        else:
            self.state[name] = new

    def step(self, kind: str, *arguments: Any) -> None:
        getattr(self, "_" + kind.replace(" ", "_"))(*arguments)

    def _put(self, name: str, value: str) -> None:
        self.write(name, v=value)
        self.changed(name, {"pk": {"S": name}, "v": {"S": value}})

    def _delete(self, name: str) -> None:
        self.delete(name)
        self.changed(name, None)

    def _add(self, name: str) -> None:
        write = WriteItem(self.replica.id, 1, UPDATE, self.schema().codec.encode({"pk": {"S": name}}))
        write.key_item = {"pk": {"S": name}}
        write.update = compile_update("ADD n :one", None, {":one": {"N": "1"}})
        self.do(write)
        old = self.state.get(name, {"pk": {"S": name}})
        self.changed(name, {**old, "n": {"N": str(int(old.get("n", {"N": "0"})["N"]) + 1)}})

    def _actions(self, items: dict[str, str]) -> list[WriteItem]:
        return [self.put_message({"pk": {"S": name}, "v": {"S": value}}) for name, value in items.items()]

    def _txid(self) -> bytes:
        self.number += 1
        return self.number.to_bytes(16, "big")

    def _transact(self, items: dict[str, str]) -> None:
        message = TransactWrite(self.replica.id, 1, self._txid(), self._actions(items))
        assert self.do(message).verdict == DONE
        self._carried_out(items)

    def _prepared(self, items: dict[str, str], commit: bool) -> None:
        actions, txid = self._actions(items), self._txid()
        stamp = self.node.stamps.next() + 1
        assert self.do(TransactPrepare(self.replica.id, 1, txid, stamp, actions)).verdict == DONE
        hashes = [int.from_bytes(action.key[:8], "big") for action in actions]
        self.do(TransactFinish(self.replica.id, 1, txid, commit, hashes))
        if commit:
            self._carried_out(items)

    def _carried_out(self, items: dict[str, str]) -> None:
        for name, value in items.items():
            self.changed(name, {"pk": {"S": name}, "v": {"S": value}})

    def _roll_over(self) -> None:
        self.replica.stream.roll_over()
        self.scheduler.run(10)

    def _lead_again(self) -> None:
        self.replica.stream.leading(False)
        self.replica.stream.leading(True)


def said(record: StreamRecord) -> tuple[str, Any, Any]:
    old = orjson.loads(record.old) if record.old is not None else None
    new = orjson.loads(record.new) if record.new is not None else None
    wanted = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
    assert record.event == wanted
    return record.key[8:].decode(), old, new


@settings(deadline=None, max_examples=60)
@given(st.lists(steps, max_size=25))
def test_a_stream_replays_to_its_table(done: list[tuple[Any, ...]]) -> None:
    table = Table()
    for step in done:
        table.step(*step)
    shards = table.shards()
    assert [shard.parent for shard in shards] == [None, *(shard.id for shard in shards[:-1])]
    assert [shard.open for shard in shards] == [False] * (len(shards) - 1) + [True]
    found: list[StreamRecord] = []
    for shard in shards:
        part = table.records(shard)
        assert all(shard.start < each.sequence for each in part)
        assert shard.end is None or all(each.sequence <= shard.end for each in part)
        found += part
    numbers = [each.sequence for each in found]
    assert numbers == sorted(set(numbers))
    assert [said(each) for each in found] == table.changes
    replayed: dict[str, Any] = {}
    for each in found:
        name, old, new = said(each)
        assert replayed.get(name) == old
        if new is None:
            del replayed[name]
        else:
            replayed[name] = new
    stored = {name: table.read({"pk": {"S": name}}) for name in "abcd"}
    assert {name: orjson.loads(item) for name, item in stored.items() if item is not None} == replayed


@settings(deadline=None, max_examples=40)
@given(st.lists(steps, max_size=15), st.integers(1, 5), st.integers(1, 400))
def test_pages_of_any_size_give_the_same_records(
    done: list[tuple[Any, ...]], limit: int, max_bytes: int
) -> None:
    table = Table()
    for step in done:
        table.step(*step)
    for shard in table.shards():
        whole = table.page(shard).records
        found: list[tuple[int, bytes]] = []
        after = 0
        while True:
            page = table.page(shard, after, limit, max_bytes)
            found += page.records
            after = page.after
            assert len(page.records) <= limit
            assert (
                len(page.records) == 1
                or sum(len(value) for _, value in page.records) <= max_bytes
                or (not page.records)
            )
            if page.ended or not page.records:
                break
        assert found == whole
        assert page.ended == (not shard.open)
