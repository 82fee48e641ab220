"""Token buckets under any course of requests: never more than promised, never nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hashrange.model.token_bucket import SHARE_S, TokenBucket

rates = st.integers(1, 2_000)
bursts = st.sampled_from([1.0, 2.0, 300.0])
requests = st.lists(
    st.tuples(st.floats(0, 30, allow_nan=False), st.integers(1, 5_000)), min_size=1, max_size=80
)
TOLERANCE = 1e-3


def admitted(bucket: TokenBucket, course: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """(time, units) of the requests that were let in; `course` has the pause before each, and its cost."""
    now, found = 0.0, []
    for pause, units in course:
        now += pause
        if bucket.admits(now):
            bucket.charge(units, now)
            found.append((now, units))
    return found


@given(rates, bursts, requests)
def test_over_any_window_no_more_than_burst_rate_and_one_request(
    rate: int, burst_s: float, course: list[tuple[float, int]]
) -> None:
    let_in = admitted(TokenBucket(rate, rate * burst_s, rate * burst_s, 0.0), course)
    for first in range(len(let_in)):
        total = 0
        for at, units in let_in[first:]:
            total += units
            allowed = rate * burst_s + rate * (at - let_in[first][0]) + units
            assert total <= allowed + TOLERANCE


@given(rates, bursts, requests)
def test_whoever_waits_for_the_debt_is_let_in(
    rate: int, burst_s: float, course: list[tuple[float, int]]
) -> None:
    bucket = TokenBucket(rate, rate * burst_s, rate * SHARE_S, 0.0)
    now = 0.0
    for pause, units in course:
        now += pause
        if not bucket.admits(now):
            now += -bucket.balance / rate + 0.001
            assert bucket.admits(now)
        bucket.charge(units, now)


@given(rates, requests, st.lists(st.floats(0, 1_000, allow_nan=False), min_size=1, max_size=5))
def test_looking_does_not_change_what_there_is(
    rate: int, course: list[tuple[float, int]], looks: list[float]
) -> None:
    watched = TokenBucket(rate, rate * 300.0, rate, 0.0)
    alone = TokenBucket(rate, rate * 300.0, rate, 0.0)
    now = 0.0
    for pause, units in course:
        for look in sorted(looks):
            if look < pause:
                watched.settle(now + look)
        now += pause
        watched.charge(units, now)
        alone.charge(units, now)
        assert abs(watched.balance - alone.balance) <= TOLERANCE * rate


@given(
    rates,
    st.integers(0, 10_000),
    st.lists(st.tuples(st.floats(0.01, 5, allow_nan=False), st.integers(0, 2_000)), max_size=30),
)
def test_when_its_grants_have_run_out_a_bucket_lives_on_its_rate(
    rate: int, tokens: int, course: list[tuple[float, int]]
) -> None:
    bucket = TokenBucket(rate * 3.0, rate * 3.0, 0.0, 0.0)
    bucket.grant(tokens, float(rate), valid_until_s=2.0, now_s=0.0)
    used, now = 0, 2.0
    for pause, units in course:
        now += pause
        if bucket.admits(now):
            bucket.charge(units, now)
            used += units
            # At the end of the grant there was at most a second's worth left.
            assert used <= rate * SHARE_S + rate * (now - 2.0) + units + TOLERANCE
        assert bucket.balance <= rate * SHARE_S + TOLERANCE
