"""The window of applied requests: answers given again, what leaves it, its stored form, and splits."""

from __future__ import annotations

from typing import Any

import msgpack
import orjson
import pytest
from hashrange_node.replica import requests
from hashrange_node.replica.requests import TOO_OLD, RequestWindow, decode_result, encode_result
from hashrange_node.storage import keyspace
from hashrange_node.storage.memory import MemoryEngine
from hypothesis import given, settings
from hypothesis import strategies as st

from hashrange.errors import ApiError, resource_not_found, unavailable
from hashrange.wire.faults import NotLeader
from hashrange.wire.messages import WriteResult

PARTITION = 9
SECOND = 1000 << 16


def sizes(result: Any) -> tuple[int, int]:
    assert isinstance(result, WriteResult)
    return result.old_size, result.new_size


class Group:
    """A window and its engine, with batches applied to both."""

    def __init__(self, **limits: int) -> None:
        self.limits = limits
        self.engine = MemoryEngine()
        self.window = RequestWindow(PARTITION, **limits)
        self.index = 1

    def apply(self, ids: list[tuple[int, int]], stamp: int, now: int | None = None) -> None:
        """Apply one batch; the result of (session, sequence) has the sizes (session, sequence)."""
        for session, sequence in ids:
            self.window.add(session, sequence, stamp, encode_result(WriteResult(session, sequence)))
        self.engine.write(self.window.flush_batch(self.index, stamp if now is None else now))
        self.index += max(len(ids), 1)

    def restarted(self) -> RequestWindow:
        window = RequestWindow(PARTITION, **self.limits)
        window.load(self.engine)
        return window

    def stored(self) -> int:
        prefix = keyspace.request_window_prefix(PARTITION)
        return len(list(self.engine.scan(prefix, prefix + b"\xff" * 13)))


def test_a_request_is_found_with_its_answer() -> None:
    group = Group()
    group.apply([(1, 5), (2, 5)], SECOND)
    for window in (group.window, group.restarted()):
        assert sizes(window.find(1, 5)) == (1, 5)
        assert sizes(window.find(2, 5)) == (2, 5)
        assert window.find(1, 4) is window.find(1, 6) is window.find(3, 5) is None
        assert len(window) == 2


def test_a_request_is_found_before_its_batch_is_flushed() -> None:
    window = RequestWindow(PARTITION)
    assert not window.dirty
    window.add(1, 1, 1, encode_result(None))
    assert window.dirty
    assert sizes(window.find(1, 1)) == (0, 0)
    assert len(window.flush_batch(3, 1)) == 1
    assert not window.dirty
    assert window.flush_batch(4, 1) == []


def test_one_record_a_batch() -> None:
    group = Group()
    group.apply([(1, n) for n in range(10)], SECOND)
    group.apply([(1, n) for n in range(10, 20)], SECOND)
    assert group.stored() == 2


@pytest.mark.parametrize(
    "result",
    [
        WriteResult(0, 0),
        WriteResult(409_600, 17),
        WriteResult(3, 4, b'{"a":{"S":"b"}}'),
        WriteResult(3, 4, None, [("LSI", "by-date", 3), ("GSI", "by-\u00fc", 0)]),
        WriteResult(3, 4, b"{}", []),
        WriteResult(3, 4, None, None, 2**64 - 1),
        WriteResult(3, 4, b"{}", [("GSI", "g", 2)], 17),
    ],
)
def test_results_keep_their_form(result: WriteResult) -> None:
    back = decode_result(encode_result(result))
    assert isinstance(back, WriteResult)
    for name in WriteResult.__slots__:
        assert getattr(back, name) == getattr(result, name)


def test_results_of_older_logs_have_no_stamp() -> None:
    for stored, attributes in (((3, 4), None), ((3, 4, b"{}", [["LSI", "l", 2]]), b"{}")):
        back = decode_result(msgpack.packb(stored))
        assert isinstance(back, WriteResult)
        assert (back.old_size, back.new_size, back.attributes, back.stamp) == (3, 4, attributes, 0)


def test_errors_and_nothing_keep_their_form() -> None:
    assert decode_result(encode_result(None)) is None
    for error in (resource_not_found(), unavailable("later"), ApiError("X", None, fields={"a": [1, "b"]})):
        back = decode_result(encode_result(error))
        assert isinstance(back, ApiError)
        for name in ApiError.__slots__:
            assert getattr(back, name) == getattr(error, name)
    assert isinstance(decode_result(encode_result(NotLeader(4, 2))), NotLeader)
    with pytest.raises(TypeError):
        encode_result(17)


def test_fields_that_are_json_already_are_stored_as_json() -> None:
    error = ApiError("X", "m", fields={"Item": orjson.Fragment(b'{"a":{"S":"b"}}')})
    back = decode_result(encode_result(error))
    assert isinstance(back, ApiError)
    assert back.body() == error.body()


def test_old_requests_leave_when_there_are_many_and_are_refused_from_then_on() -> None:
    group = Group(keep_ids=100, keep_s=60)
    for second in range(400):
        group.apply([(1, 2 * second), (2, 2 * second)], second * SECOND)
    for window in (group.window, group.restarted()):
        assert 100 <= len(window) <= 100 + 2 * requests.EVICT_BATCHES + 2 * 60
        assert window.find(1, 0) is window.find(2, 1) is TOO_OLD
        assert window.find(1, 2 * 400) is window.find(3, 0) is None
        assert sizes(window.find(1, 2 * 399)) == (1, 2 * 399)
        assert sizes(window.find(1, 2 * 340)) == (1, 2 * 340)
    assert group.stored() == len(group.window._batches) + 1


def test_many_requests_stay_while_they_are_young_and_few_for_ever() -> None:
    group = Group(keep_ids=100, keep_s=60)
    for number in range(2000):
        group.apply([(1, number)], SECOND)
    assert len(group.window) == 2000
    few = Group(keep_ids=100, keep_s=60)
    for number in range(112):
        few.apply([(1, number)], SECOND, now=number * 1000 * SECOND)
    assert len(few.window) == 112


def test_large_results_do_not_stay() -> None:
    group = Group(keep_bytes=100_000)
    answer = encode_result(WriteResult(1, 1, b"x" * 10_000))
    for number in range(50):
        group.window.add(1, number, SECOND, answer)
        group.engine.write(group.window.flush_batch(number + 1, SECOND))
    for window in (group.window, group.restarted()):
        assert len(window) <= 10
        assert isinstance(window.find(1, 49), WriteResult)
        assert window.find(1, 0) is TOO_OLD


def test_a_result_larger_than_all_is_refused_rather_than_kept() -> None:
    window = RequestWindow(PARTITION, keep_bytes=1000)
    engine = MemoryEngine()
    window.add(1, 1, 1, encode_result(WriteResult(1, 1, b"x" * 5000)))
    engine.write(window.flush_batch(1, 1))
    assert window.find(1, 1) is TOO_OLD
    window.load(engine)
    assert window.find(1, 1) is TOO_OLD


def test_floors_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MAX_FLOORS", 50)
    group = Group(keep_ids=10, keep_s=1)
    for number in range(600):
        group.apply([(number, 1)], number * SECOND)
    assert len(group.window._floors) == 50
    assert group.restarted()._floors == group.window._floors
    for number in range(600, 800):
        group.apply([(7, number)], number * requests.FLOOR_KEEP_S * SECOND)
    assert set(group.window._floors) == {7}, "an hour later nobody sends a request again"


def test_a_child_of_a_split_knows_what_its_parent_knew() -> None:
    group = Group(keep_ids=100, keep_s=60)
    for second in range(300):
        group.apply([(1, second)], second * SECOND)
    group.window.add(5, 5, 300 * SECOND, encode_result(WriteResult(5, 5)))
    copy, mutations = group.window.copy_for(77)
    assert all(key.startswith(keyspace.request_window_prefix(77)) for key, _ in mutations)
    assert len(mutations) < 5
    group.engine.write(mutations)
    loaded = RequestWindow(77, **group.limits)
    loaded.load(group.engine)
    for window in (copy, loaded):
        assert sizes(window.find(1, 299)) == (1, 299)
        assert sizes(window.find(5, 5)) == (5, 5)
        assert window.find(1, 3) is TOO_OLD
        assert len(window) == len(group.window) + 1
        window.add(8, 8, 301 * SECOND, encode_result(WriteResult(8, 8)))
        (mutation,) = window.flush_batch(11, 301 * SECOND)
        assert mutation[0] not in {key for key, _ in mutations}
    assert len(group.window) == group.restarted().__len__()
    assert sizes(group.restarted().find(1, 299)) == (1, 299), "the parent is as it was"


def test_a_large_window_is_copied_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "COPY_IDS", 10)
    group = Group()
    for number in range(45):
        group.apply([(1, number)], number * SECOND)
    _, mutations = group.window.copy_for(77)
    assert len(mutations) == 5
    group.engine.write(mutations)
    loaded = RequestWindow(77)
    loaded.load(group.engine)
    assert all(sizes(loaded.find(1, number)) == (1, number) for number in range(45))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),  # sessions that take part
            st.integers(1, 12),  # requests in the batch
            st.integers(0, 30),  # seconds since the batch before
            st.booleans(),  # started anew afterwards
        ),
        max_size=60,
    )
)
def test_nothing_that_was_applied_is_ever_taken_for_new(batches: list[tuple[int, int, int, bool]]) -> None:
    """Against the list of everything that was ever applied."""
    group = Group(keep_ids=20, keep_s=60)
    applied: dict[tuple[int, int], int] = {}
    sequence = now = 0
    for sessions, count, later, anew in batches:
        now += later * SECOND
        ids = []
        for number in range(count):
            sequence += 1 + number % 2
            ids.append((number % (sessions + 1), sequence))
        group.apply(ids, now)
        applied.update(dict.fromkeys(ids, now))
        if anew:
            group.window = group.restarted()
        for (session, number), stamp in applied.items():
            found = group.window.find(session, number)
            if found is TOO_OLD:
                assert stamp + 60 * SECOND < now, "young requests stay"
            else:
                assert sizes(found) == (session, number)
        for session in range(4):
            assert group.window.find(session, sequence + 1) is None
    assert len(group.restarted()) == len(group.window)
