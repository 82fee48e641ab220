"""One lane of a shard: the pauses between attempts, what counts as one, and how a batch is cut."""

from __future__ import annotations

from hashrange_router.triggers.mapping.lane import Answer, Lane, Unit, Window
from hashrange_router.triggers.mapping.settings import Entry, Moment, Settings

ANSWER = Answer("request", "$LATEST", "Unhandled")


def entries(count: int, body: bytes = b"{}") -> list[Entry]:
    return [Entry(10 * (index + 1), 1000, 0.0, body) for index in range(count)]


def at(seconds: float) -> Moment:
    return Moment(seconds, 1000 + round(seconds * 1000))


def polled(lane: Lane, seconds: float = 0.0, flush: bool = False, caught_up_ms: int = 0) -> Unit:
    unit = lane.poll(at(seconds), flush, caught_up_ms)
    assert unit is not None
    return unit


def test_pauses_double_up_to_half_a_minute() -> None:
    lane = Lane(Settings())
    lane.offer(entries(1))
    now = 0.0
    pauses = []
    for _ in range(10):
        polled(lane, now)
        lane.failed(ANSWER, at(now))
        wake = lane.wake()
        assert wake is not None and lane.poll(at(wake - 0.01), True, 0) is None
        pauses.append(round(wake - now, 3))
        now = wake
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]


def test_refusals_count_for_nothing() -> None:
    lane = Lane(Settings(retries_max=0))
    lane.offer(entries(3))
    for turn in range(50):
        assert polled(lane, 10.0 * turn).verdict is None
        lane.refused(at(10.0 * turn))
    unit = polled(lane, 1000)
    assert unit.calls == 0
    lane.failed(ANSWER, at(1000))
    assert polled(lane, 1000).verdict == "RetryAttemptsExhausted"
    lane.dropped()
    assert lane.idle and lane.first is None


def test_a_split_is_no_attempt() -> None:
    lane = Lane(Settings(bisect=True, retries_max=1))
    lane.offer(entries(4))
    sizes = []
    for _ in range(3):
        unit = polled(lane)
        sizes.append(len(unit.records))
        lane.failed(ANSWER, at(0))
    assert sizes == [4, 2, 1]
    assert lane.poll(at(0.1), True, 0) is None, "the first attempt with one record has been used up"
    unit = polled(lane, 0.2)
    assert unit.failures == 1 and unit.calls == 3
    lane.failed(ANSWER, at(0.2))
    assert polled(lane, 0.2).verdict is not None


def test_named_failures_with_and_without_halving() -> None:
    lane = Lane(Settings(partial=True, retries_max=5))
    lane.offer(entries(4))
    polled(lane)
    lane.failed_from(30, ANSWER, at(0))
    assert lane.first == 30
    assert lane.poll(at(0), True, 0) is None
    assert [entry.sequence for entry in polled(lane, 1).records] == [30, 40]
    lane = Lane(Settings(partial=True, retries_max=5, bisect=True))
    lane.offer(entries(4))
    polled(lane)
    lane.failed_from(20, ANSWER, at(0))
    assert [entry.sequence for entry in polled(lane).records] == [20, 30, 40]
    lane.failed_from(20, ANSWER, at(0))
    assert [entry.sequence for entry in polled(lane).records] == [20]


def test_an_event_has_6_mb() -> None:
    lane = Lane(Settings(batch_size=10_000, window_s=300))
    lane.offer(entries(15, b"x" * 500_000))
    unit = polled(lane)
    assert len(unit.records) == 12
    lane.succeeded()
    assert lane.poll(at(1), False, 0) is None
    assert len(polled(lane, 1, flush=True).records) == 3


def test_a_record_larger_than_an_event_goes_alone() -> None:
    lane = Lane(Settings())
    lane.offer(entries(2, b"x" * 7_000_000))
    assert len(polled(lane).records) == 1


def test_records_of_one_window_at_a_time() -> None:
    lane = Lane(Settings(tumbling_ms=1000, window_s=300))
    times = [1000, 1999, 2000, 1500, 3500]
    lane.offer([Entry(index + 1, created, 0.0, b"{}") for index, created in enumerate(times)])
    first = polled(lane)
    assert [entry.sequence for entry in first.records] == [1, 2]
    lane.succeeded(b"1")
    closing = polled(lane)
    assert closing.final and not closing.early and closing.window == Window(1000, b"1")
    lane.succeeded()
    assert [entry.sequence for entry in polled(lane).records] == [3, 4], "time does not go back"
    lane.succeeded(b"2")
    assert polled(lane).final
    lane.succeeded()
    assert lane.poll(at(0), False, 3999) is None, "its window is not over, nor has it waited"
    assert [entry.sequence for entry in polled(lane, 0, caught_up_ms=4000).records] == [5]
    lane.succeeded(b"3")
    assert polled(lane, 0, caught_up_ms=4000).final
    lane.succeeded()
    assert lane.idle
