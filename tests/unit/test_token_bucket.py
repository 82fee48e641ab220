"""Token buckets: savings, debts and grants, step by step."""

from __future__ import annotations

from hashrange.model.token_bucket import TokenBucket


def test_a_balance_above_zero_admits_and_what_was_consumed_may_overdraw_it() -> None:
    bucket = TokenBucket(10.0, 100.0, 1.0, 0.0)
    assert bucket.admits(0.0)
    bucket.charge(21, 0.0)
    assert bucket.balance == -20.0
    assert not bucket.admits(2.0)
    assert bucket.admits(2.1)


def test_savings_end_at_the_capacity() -> None:
    bucket = TokenBucket(10.0, 3_000.0, 10.0, 0.0)
    bucket.settle(100.0)
    assert bucket.balance == 1_010.0
    bucket.settle(10_000.0)
    assert bucket.balance == 3_000.0
    bucket.charge(1, 10_001.0)
    assert bucket.balance == 2_999.0


def test_what_was_charged_too_much_comes_back() -> None:
    bucket = TokenBucket(10.0, 100.0, 10.0, 0.0)
    bucket.charge(8, 0.0)
    bucket.charge(-6, 0.0)
    assert bucket.balance == 8.0


def test_a_grant_adds_tokens_and_sets_the_rate() -> None:
    bucket = TokenBucket(10.0, 10.0, 10.0, 0.0)
    assert not bucket.granted
    bucket.charge(30, 0.0)
    bucket.grant(100, 4.0, valid_until_s=3.0, now_s=1.0)
    assert bucket.granted
    assert (bucket.balance, bucket.rate) == (90.0, 4.0)  # -20, +10 in the first second, +100
    bucket.charge(50, 2.0)
    assert bucket.balance == 40.0  # nothing beyond what was granted is saved: 90, not 94
    bucket.settle(3.0)
    assert bucket.balance == 44.0


def test_an_expired_grant_leaves_a_seconds_worth_and_the_rate() -> None:
    bucket = TokenBucket(10.0, 10.0, 0.0, 0.0)
    bucket.grant(100, 4.0, valid_until_s=2.0, now_s=0.0)
    bucket.settle(2.0)
    assert bucket.balance == 100.0
    bucket.settle(2.5)
    assert (bucket.balance, bucket.rate) == (4.0, 4.0)
    bucket.charge(10, 2.5)
    bucket.settle(100.0)
    assert bucket.balance == 4.0


def test_a_debt_outlives_the_grant_that_it_was_made_under() -> None:
    bucket = TokenBucket(10.0, 10.0, 0.0, 0.0)
    bucket.grant(5, 4.0, valid_until_s=2.0, now_s=0.0)
    bucket.charge(45, 1.0)
    assert bucket.balance == -40.0
    bucket.settle(6.0)
    assert bucket.balance == -20.0


def test_a_grant_may_take_back() -> None:
    bucket = TokenBucket(10.0, 10.0, 0.0, 0.0)
    bucket.grant(100, 10.0, 5.0, 0.0)
    bucket.grant(-60, 10.0, 6.0, 1.0)
    assert bucket.balance == 40.0


def test_resizing_keeps_savings_and_debts_and_ends_a_grant() -> None:
    bucket = TokenBucket(10.0, 3_000.0, 10.0, 0.0)
    bucket.settle(200.0)
    bucket.resize(2.0, 600.0, 200.0)
    assert (bucket.balance, bucket.rate) == (600.0, 2.0)
    bucket.grant(10, 5.0, 300.0, 200.0)
    bucket.resize(20.0, 6_000.0, 201.0)
    assert not bucket.granted
    bucket.charge(700, 201.0)
    assert bucket.balance < 0
