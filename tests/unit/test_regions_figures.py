"""Links between regions as one sees them: figures summed over nodes, items compared by their content."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hashrange.cli.regions.figures import Key, Link, add_page, document, samples
from hashrange.cli.regions.verify import Verdict, differences, digest

LABELS = 'table="Music",source="us-east-1",destination="eu-west-1"'
KEY: Key = ("Music", "us-east-1", "eu-west-1")


def page(pending: int, oldest: float, shipped: int, *buckets: int) -> str:
    lines = [
        f"hashrange_region_pending_keys{{{LABELS}}} {pending}",
        f"hashrange_region_oldest_pending_seconds{{{LABELS}}} {oldest}",
        f"hashrange_region_shipped_items_total{{{LABELS}}} {shipped}",
        'hashrange_region_link_up{destination="eu-west-1"} 0',
        'hashrange_requests_total{table="Music"} 7',
    ]
    for bound, count in zip(("0.1", "0.2", "+Inf"), buckets, strict=False):
        lines.append(
            f'hashrange_region_replication_latency_seconds_bucket{{{LABELS},le="{bound}"}} {float(count)}'
        )
    return "\n".join(lines) + "\n"


def test_the_nodes_of_a_region_are_added_up() -> None:
    links: dict[Key, Link] = {}
    add_page(links, page(3, 1.5, 10, 8, 10, 10))
    add_page(links, page(2, 4.0, 20, 0, 10, 10))
    assert document(KEY, links[KEY]) == {
        "table": "Music",
        "source": "us-east-1",
        "destination": "eu-west-1",
        "pending_keys": 5,
        "oldest_pending_s": 4.0,
        "shipped_items": 30,
        "latency_p50_ms": pytest.approx(116.7),
        "latency_p99_ms": pytest.approx(198.3),
    }


def test_latencies_of_nothing_are_unknown() -> None:
    links: dict[Key, Link] = {}
    add_page(links, page(1, 0.1, 0))
    assert links[KEY].quantile_s(0.5) is None
    assert document(KEY, links[KEY])["latency_p99_ms"] is None


def test_latencies_since_an_earlier_look() -> None:
    before: dict[Key, Link] = {}
    now: dict[Key, Link] = {}
    add_page(before, page(0, 0, 10, 10, 10, 10))
    add_page(now, page(0, 0, 20, 10, 20, 20))
    recent = now[KEY].since(before[KEY])
    assert (recent.shipped, recent.quantile_s(0.5)) == (20, pytest.approx(0.15))
    # A node that was started anew counts from the beginning.
    assert before[KEY].since(now[KEY]).quantile_s(0.5) == before[KEY].quantile_s(0.5)


def test_names_of_tables_are_read_whole() -> None:
    text = 'hashrange_region_pending_keys{destination="b",source="a",table="x.y-z_1"} 4.0\n'
    assert list(samples(text)) == [
        ("pending_keys", {"destination": "b", "source": "a", "table": "x.y-z_1"}, 4.0)
    ]


def test_equal_items_have_equal_digests() -> None:
    one: dict[str, Any] = {"a": {"S": "x"}, "s": {"SS": ["p", "q"]}, "m": {"M": {"u": {"NS": ["1", "2"]}}}}
    other: dict[str, Any] = {"m": {"M": {"u": {"NS": ["2", "1"]}}}, "s": {"SS": ["q", "p"]}, "a": {"S": "x"}}
    assert digest(one) == digest(other)
    assert digest({"l": {"L": [{"N": "1"}, {"N": "2"}]}}) != digest({"l": {"L": [{"N": "2"}, {"N": "1"}]}})
    assert digest({"a": {"S": "1"}}) != digest({"a": {"N": "1"}})


def test_differences_are_items_that_one_region_lacks_or_has_otherwise() -> None:
    same, mine, yours = (digest({"a": {"S": text}}) for text in "smy")
    first = {"1": same, "2": mine, "3": mine}
    second = {"1": same, "2": yours, "4": yours}
    assert differences([first, second]) == ["2", "3", "4"]
    assert differences([first, first, second]) == ["2", "3", "4"]
    assert differences([first, dict(first)]) == []


def test_a_verdict_says_what_each_region_has() -> None:
    key = json.dumps({"pk": {"S": "a"}})
    verdict = Verdict("Music", {"a": 2, "b": 1}, {key: {"a": {"pk": {"S": "a"}}, "b": None}}, 1.0)
    assert not verdict.equal
    assert "DIFFERS in 1 items (2 in a, 1 in b)" in verdict.text()
    assert "b: no item" in verdict.text()
    assert verdict.to_json()["different"][0]["key"] == {"pk": {"S": "a"}}
    assert "is equal in all regions" in Verdict("Music", {"a": 1, "b": 1}).text()
