"""What a router tells the vendor, and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hashrange_router.capacity.client import ANSWER_S, DRY_PERIOD_S, CapacityClient

from hashrange.errors import unavailable
from hashrange.wire.capacity import Answer, CapacityNeed, CapacityReport
from tests.unit.admission_support import Loop

ANSWER: Answer = {"grants": [], "valid_ms": 2_500, "period_ms": 1_000}


class Bench:
    """A client whose messages wait to be answered by hand."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.used = 0
        self.sent: list[tuple[float, CapacityReport, Callable[[Any], None]]] = []
        self.granted: list[Answer] = []
        self.client = CapacityClient(
            "me",
            needs=self.needs,
            grant=self.granted.append,
            send=lambda message, done: self.sent.append((self.loop.now, message, done)),
            now=self.loop.time,
            call_later=self.loop.call_later,
        )
        self.client.start()

    def needs(self) -> list[CapacityNeed]:
        if not self.used:
            return []
        used, self.used = self.used, 0
        return [CapacityNeed("tbl", "", 0, used, 0, 77, 0, 0)]

    def answer(self, answer: Any = ANSWER, which: int = -1) -> None:
        self.sent[which][2](answer)


def test_nothing_is_sent_while_there_is_nothing_to_tell() -> None:
    bench = Bench()
    bench.loop.run(20.0)
    assert bench.sent == []


def test_one_report_a_second_whatever_the_traffic() -> None:
    bench = Bench()
    for second in range(1, 31):
        bench.used = second * 100
        bench.loop.run(second + 0.01)
        bench.answer()
    assert [message.number for _, message, _ in bench.sent] == list(range(1, 31))
    assert len(bench.granted) == 30


def test_a_dry_bucket_brings_the_next_report_forward() -> None:
    bench = Bench()
    bench.used = 1
    bench.loop.run(1.01)
    bench.answer()
    bench.used = 1
    for _ in range(50):
        bench.client.dry()
    bench.loop.run(1.5)
    assert len(bench.sent) == 2
    assert bench.sent[1][0] - bench.sent[0][0] >= DRY_PERIOD_S - 1e-9


def test_a_bucket_that_is_dry_after_a_rest_is_told_of_at_once() -> None:
    bench = Bench()
    bench.loop.run(10.5)
    bench.used = 1
    bench.client.dry()
    bench.loop.run(10.5)
    assert len(bench.sent) == 1


def test_a_bucket_that_runs_dry_while_a_report_is_under_way_is_told_of_soon_after() -> None:
    bench = Bench()
    bench.used = 1
    bench.loop.run(1.01)
    bench.used = 1
    bench.client.dry()
    bench.answer()
    bench.loop.run(1.3)
    assert len(bench.sent) == 2


def test_what_was_not_answered_is_sent_again_with_what_has_come_since() -> None:
    bench = Bench()
    bench.used = 5
    bench.loop.run(1.01)
    bench.answer(unavailable("no leader"))
    bench.used = 7
    bench.loop.run(2.1)
    (_, first, _), (_, second, _) = bench.sent
    assert (first.number, first.needs[0].write_used) == (1, 5)
    assert (second.number, second.needs[0].write_used, second.needs[0].write_left) == (1, 12, 77)
    bench.answer()
    bench.used = 3
    bench.loop.run(3.2)
    assert (bench.sent[2][1].number, bench.sent[2][1].needs[0].write_used) == (2, 3)


def test_one_report_is_under_way_at_a_time_and_a_late_answer_is_not_applied() -> None:
    bench = Bench()
    bench.used = 5
    bench.loop.run(1.01)
    bench.used = 5
    bench.loop.run(1.01 + ANSWER_S - 0.3)
    assert len(bench.sent) == 1
    bench.loop.run(1.01 + ANSWER_S + 0.5)
    assert len(bench.sent) == 2
    bench.answer(which=0)
    assert bench.granted == []
    bench.answer()
    assert bench.granted == [ANSWER]


def test_nothing_is_sent_after_the_end() -> None:
    bench = Bench()
    bench.used = 1
    bench.client.stop()
    bench.client.dry()
    bench.loop.run(5.0)
    assert bench.sent == []
