"""The vendor of capacity: what it grants, counts and forgets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hashrange_node.meta.pool import Pool
from hashrange_node.meta.vendor import ADOPT_S, FORGET_S, Vendor, VendorSettings

from hashrange.model.table_document import revised
from hashrange.wire.capacity import CapacityNeed, CapacityReport
from tests.unit.table_support import create, definitions, index

LATER = ADOPT_S + 1


def provisioned(units: int = 50) -> dict[str, Any]:
    return {
        "BillingMode": "PROVISIONED",
        "ProvisionedThroughput": {"ReadCapacityUnits": units, "WriteCapacityUnits": units},
    }


def vendor(now: float = 0.0, settings: VendorSettings | None = None, **members: Any) -> Vendor:
    made = Vendor(settings or VendorSettings(), now)
    made.follow("tbl", create(**(members or provisioned())), now)
    return made


def need(used: int = 0, left: int = 0, refused: int = 0, index_name: str = "") -> CapacityNeed:
    return CapacityNeed("tbl", index_name, 0, used, 0, left, 0, refused)


def grant(made: Vendor, now: float, router: str = "a", number: int = 1, **said: int) -> dict[str, Any]:
    answer = made.report(CapacityReport(router, number, [need(**said)]), now)
    (found,) = answer["grants"]
    return dict(found)


# ---- what is saved up


def test_a_lone_router_is_granted_everything_that_was_saved_up() -> None:
    made = vendor()
    assert grant(made, 100.0)["write"] == 100 * 100
    assert grant(made, 100.0, number=2, left=10_000)["write"] == 0


def test_no_more_than_the_burst_is_saved() -> None:
    assert grant(vendor(), 1_000.0)["write"] == 300 * 100
    short = vendor(settings=VendorSettings(burst_s=10.0))
    assert grant(short, 1_000.0)["write"] == 10 * 100


def test_what_was_used_is_not_granted_again() -> None:
    made = vendor()
    first = grant(made, 100.0)["write"]
    second = grant(made, 100.0, number=2, used=4_000, left=first - 4_000)
    assert second["write"] == 0
    assert grant(made, 100.0, number=3, used=0, left=0)["write"] == 6_000


def test_an_index_has_capacity_of_its_own() -> None:
    made = vendor(
        **provisioned(50),
        AttributeDefinitions=definitions("a", "b"),
        GlobalSecondaryIndexes=[
            index("by_b", "h:b", ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 7})
        ],
    )
    answer = made.report(CapacityReport("a", 1, [need(), need(index_name="by_b")]), 10.0)
    assert [(each["index"], each["write"], each["write_rate"]) for each in answer["grants"]] == [
        ("", 1_000, 100.0),
        ("by_b", 140, 14.0),
    ]


def test_a_table_that_is_not_known_is_not_answered() -> None:
    made = vendor()
    made.follow("tbl", None, 1.0)
    assert made.report(CapacityReport("a", 1, [need()]), 2.0)["grants"] == []


def test_a_table_made_anew_under_a_name_begins_with_nothing() -> None:
    made = vendor()
    again = {**create(**provisioned()), "TableId": "another"}
    made.follow("tbl", again, 200.0)
    assert grant(made, 200.0)["write"] == 0


def test_another_rate_keeps_what_was_saved() -> None:
    made = vendor()
    more = revised(create(**provisioned(50)))
    more["Throughput"]["Write"] = 100
    made.follow("tbl", more, 100.0)
    assert grant(made, 110.0)["write"] == 100 * 100 + 10 * 200
    less = revised(more)
    less["Throughput"]["Write"] = 1
    made.follow("tbl", less, 110.0)
    assert grant(made, 110.0, number=2)["write"] == 300 * 2


def test_the_multiplier_scales_everything() -> None:
    made = vendor(settings=VendorSettings(multiplier=0.1))
    found = grant(made, 10.0)
    assert (found["write"], found["write_rate"]) == (100, 10.0)


# ---- shares


def rates(made: Vendor, demands: dict[str, int], seconds: int = 30) -> dict[str, float]:
    """The rates that routers end up with, which use and want so much a second in half units."""
    found: dict[str, float] = {}
    for second in range(seconds):
        for router, wanted in demands.items():
            answer = grant(made, LATER + second, router, second + 1, used=10, refused=wanted - 10)
            found[router] = answer["write_rate"]
    return found


def test_shares_follow_demand() -> None:
    found = rates(vendor(), {"a": 600, "b": 300, "c": 100})
    assert found["a"] == pytest.approx(100 * (0.2 / 3 + 0.8 * 0.6), rel=0.05)
    assert found["b"] == pytest.approx(100 * (0.2 / 3 + 0.8 * 0.3), rel=0.05)
    assert sum(found.values()) <= 101


def test_nobody_starves_while_another_shouts() -> None:
    found = rates(vendor(), {"a": 1_000_000, "b": 10})
    assert found["b"] >= 100 * 0.2 / 2


def test_a_silent_router_loses_its_share() -> None:
    made = vendor()
    rates(made, {"a": 500, "b": 500})
    assert grant(made, LATER + 30 + FORGET_S, "a", 40, used=100)["write_rate"] == 100.0


def test_what_a_silent_router_held_is_granted_to_others() -> None:
    made = vendor()
    held = grant(made, 200.0, "a")["write"]
    assert grant(made, 200.0, "b")["write"] < held
    assert grant(made, 200.0 + FORGET_S + 1, "b", 2)["write"] > held


def test_what_lies_elsewhere_is_not_granted_twice() -> None:
    made = vendor()
    total = 0
    for router in "abcd":
        total += grant(made, 200.0, router)["write"]
    assert total <= 200 * 100


def test_what_a_router_used_while_it_was_cut_off_stalls_nobody_for_long() -> None:
    pool = Pool(100.0, 300.0, FORGET_S, 0.0)
    pool.report("a", 1_000_000, 0, 0, 1.0, adopt=False)
    pool.settle(20.0)
    assert pool.balance > 0


def test_large_requests_are_paid_for_in_full() -> None:
    pool = Pool(10.0, 300.0, FORGET_S, 0.0)
    left = now = used = 0
    while now < 1_000:
        now += 5  # it was silent for so long that it is not known any more
        taken = 800 if left > 0 else 0
        used += taken
        amount, rate = pool.report("a", taken, left - taken, 2, now, adopt=False)
        left += round(amount - taken + rate * 5)
    assert 9_000 <= used <= 10 * 1_000 + 800


def test_a_debt_is_everybodys() -> None:
    pool = Pool(10.0, 300.0, FORGET_S, 0.0)
    for router in ("a", "b"):
        pool.report(router, 0, 5, 5, 1.0, adopt=False)
    pool.report("a", 810, -805, 5, 1.0, adopt=False)
    assert pool.balance == -800
    taken, _ = pool.report("b", 0, 5, 5, 1.0, adopt=False)
    given, _ = pool.report("a", 0, -805, 5, 1.0, adopt=False)
    assert -805 + given + 5 + taken == pytest.approx(-800, abs=2)
    assert 5 + taken < -10, "else the clients of the one router wait while those of the other go on"


# ---- repeated and lost reports


def test_a_report_sent_again_counts_once() -> None:
    made = vendor()
    for _ in range(3):
        grant(made, 100.0, used=4_000)
    assert grant(made, 100.0, number=2)["write"] == 6_000


def test_what_a_report_sent_again_has_grown_by_is_counted() -> None:
    made = vendor()
    grant(made, 100.0, used=4_000)
    grant(made, 100.0, used=5_000)
    assert grant(made, 100.0, number=2)["write"] == 5_000
    assert sum(each.write for each in made.seconds("tbl", "", 101.0, 10)) == 5_000


def test_a_report_that_comes_late_is_ignored() -> None:
    made = vendor()
    grant(made, 100.0, number=7, used=4_000)
    late = made.report(CapacityReport("a", 6, [need(used=4_000)]), 100.0)
    assert late["grants"] == []
    assert grant(made, 100.0, number=8)["write"] == 6_000


def test_a_grant_that_got_lost_is_granted_again() -> None:
    made = vendor()
    assert grant(made, 100.0)["write"] == 10_000
    assert grant(made, 100.0, number=2, left=0)["write"] == 10_000


# ---- a new vendor


def test_a_new_vendor_takes_over_what_routers_have_left_and_gives_nothing_more() -> None:
    made = vendor(now=1_000.0)
    first = grant(made, 1_000.5, "a", number=80, used=90, left=700)
    second = grant(made, 1_000.5, "b", number=20, used=10, left=300)
    assert first["write"] == 0
    assert first["write"] + second["write"] + 700 + 300 <= 1_000
    again = grant(made, 1_000.5, "a", number=81, left=700)
    assert 700 + again["write"] <= 1_000


def test_a_new_vendor_makes_no_debt_of_what_the_one_before_had_granted() -> None:
    made = vendor(now=1_000.0)
    found = grant(made, 1_000.5, used=20_000, left=5)
    assert found["write"] == 0
    assert found["write_rate"] == 100.0


# ---- on demand


def test_a_table_on_demand_has_its_warm_throughput() -> None:
    found = grant(vendor(BillingMode="PAY_PER_REQUEST"), LATER)
    assert (found["read_rate"], found["write_rate"]) == (24_000.0, 8_000.0)
    assert found["write"] == 2 * 8_000
    assert found["write_limit"] == "KeyRangeThroughputExceeded"


def test_a_maximum_of_the_user_holds_a_table_on_demand_back() -> None:
    found = grant(vendor(OnDemandThroughput={"MaxWriteRequestUnits": 10}), 1_000.0)
    assert (found["write_rate"], found["write"]) == (20.0, 300 * 20)
    assert found["write_limit"] == "MaxOnDemandThroughputExceeded"
    assert found["read_limit"] == "KeyRangeThroughputExceeded"


def consume(made: Vendor, begin: float, end: float, a_second: int) -> float:
    now = begin
    number = int(begin) * 2 + 10
    while now < end:
        now += 1.0
        number += 1
        made.report(CapacityReport("a", number, [need(used=a_second)]), now)
    return now


def test_a_table_on_demand_may_double_once_in_a_window() -> None:
    made = vendor(settings=VendorSettings(peak_window_s=300.0), BillingMode="PAY_PER_REQUEST")
    now = consume(made, 0.0, 200.0, 8_000)
    assert made.grown(now) == [], "the peak is not a window old"
    now = consume(made, now, 520.0, 100)
    assert made.grown(now) == [("tbl", "", 12_000, 8_000)]


def test_what_was_saved_up_makes_no_peak() -> None:
    made = vendor(settings=VendorSettings(peak_window_s=60.0), BillingMode="PAY_PER_REQUEST")
    now = consume(made, 0.0, 4.0, 16_000)
    now = consume(made, now, 100.0, 100)
    assert made.grown(now) == [("tbl", "", 12_000, 8_000)]


def test_a_peak_is_not_forgotten_while_nothing_is_consumed() -> None:
    made = vendor(settings=VendorSettings(peak_window_s=60.0), BillingMode="PAY_PER_REQUEST")
    consume(made, 0.0, 20.0, 8_000)
    consume(made, 5_000.0, 5_010.0, 100)
    assert made.grown(5_010.0) == [("tbl", "", 12_000, 8_000)]


def test_a_peak_that_is_on_record_is_not_put_there_again() -> None:
    made = vendor(settings=VendorSettings(peak_window_s=60.0), BillingMode="PAY_PER_REQUEST")
    now = consume(made, 0.0, 200.0, 8_000)
    document = revised(create())
    document["Warm"]["Write"] = 7_900
    made.follow("tbl", document, now)
    assert made.grown(now) == []


def test_growth_ends_at_the_quota() -> None:
    made = vendor(settings=VendorSettings(peak_window_s=60.0), BillingMode="PAY_PER_REQUEST")
    now = consume(made, 0.0, 200.0, 900_000)
    for units in (8_000, 16_000, 32_000, 40_000):
        assert made.grown(now) == [("tbl", "", 12_000, units)]
        document = revised(create())
        document["Warm"]["Write"] = units
        made.follow("tbl", document, now)
        now = consume(made, now, now + 100.0, 900_000)
    assert made.grown(now) == []


def test_growth_is_in_units_without_the_multiplier() -> None:
    settings = VendorSettings(multiplier=0.01, peak_window_s=60.0)
    made = vendor(settings=settings, BillingMode="PAY_PER_REQUEST")
    now = consume(made, 0.0, 200.0, 80)
    assert made.grown(now) == [("tbl", "", 12_000, 8_000)]


def test_a_provisioned_table_does_not_grow() -> None:
    made = vendor(settings=VendorSettings(peak_window_s=60.0))
    assert made.grown(consume(made, 0.0, 200.0, 80_000)) == []


# ---- what was consumed


def test_what_was_consumed_is_known_per_minute() -> None:
    made = vendor()
    consume(made, 0.0, 185.0, 6)
    found = made.minutes("tbl", "", 185.0, 10)
    assert [each.write for each in found] == [360, 360, 360]
    assert made.minutes("tbl", "", 185.0, 2) == found[1:]
    assert made.minutes("tbl", "by_b", 185.0, 2) == []


def test_refusals_are_known_too() -> None:
    made = vendor()
    said = replace(need(used=2, refused=8), read_used=4, read_refused=6)
    made.report(CapacityReport("a", 1, [said]), 1.0)
    (found,) = made.minutes("tbl", "", 61.0, 5)
    assert found == (4, 2, 6, 8)


def test_nothing_is_said_of_the_time_before_the_vendor_began() -> None:
    made = vendor(now=30.0)
    assert made.minutes("tbl", "", 100.0, 5) == []
    assert len(made.minutes("tbl", "", 121.0, 5)) == 1
