"""The console's pure parts: tokens, what is let through, where requests go, what is kept of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hashrange_router.console import heat, rules
from hashrange_router.console.assets import Assets
from hashrange_router.console.history import History
from hashrange_router.console.live import Live
from hashrange_router.console.rules import RefusedError
from hashrange_router.console.sessions import Attempts, Sessions
from hypothesis import given
from hypothesis import strategies as st

HOST = {b"host": b"127.0.0.1:8088"}
MARKED = HOST | {rules.MARK: b"1"}
ORIGIN = {b"origin": b"http://127.0.0.1:8088"}


def sessions(key: bytes = b"k" * 32) -> Sessions:
    return Sessions(key, {"AKID": "secret", "OTHER": "word"}, lifetime_s=100)


# ---- tokens


def test_a_token_opens_until_it_expires() -> None:
    ours = sessions()
    token = ours.issue("AKID", 1_000.0, "n")
    session = ours.open(token, 1_099.0)
    assert session is not None
    assert session.access_key == "AKID"
    assert ours.open(token, 1_100.0) is None


def test_a_token_of_another_process_or_with_another_payload_is_nothing() -> None:
    token = sessions().issue("AKID", 1_000.0, "n")
    assert sessions(b"z" * 32).open(token, 1_000.0) is None
    other = sessions().issue("OTHER", 1_000.0, "n")
    assert sessions().open(other.partition(".")[0] + "." + token.partition(".")[2], 1_000.0) is None
    for broken in ("", ".", "a.b", token[:-2], token + "A", "é.é", "A" * 5_000, token.replace(".", "")):
        assert sessions().open(broken, 1_000.0) is None


@given(st.text(max_size=80))
def test_no_made_up_text_is_a_session(text: str) -> None:
    assert sessions().open(text, 0.0) is None


def test_an_ended_session_stays_ended_and_others_go_on() -> None:
    ours = sessions()
    first, second = ours.issue("AKID", 0.0, "a"), ours.issue("AKID", 0.0, "b")
    opened = ours.open(first, 1.0)
    assert opened is not None
    ours.end(opened, 1.0)
    assert ours.open(first, 2.0) is None
    assert ours.open(second, 2.0) is not None


def test_credentials_are_those_configured() -> None:
    ours = sessions()
    assert ours.accepts("AKID", "secret")
    assert ours.accepts("OTHER", "word")
    for access_key, secret in (
        ("AKID", "word"),
        ("OTHER", "secret"),
        ("akid", "secret"),
        ("", ""),
        ("AKID", ""),
    ):
        assert not ours.accepts(access_key, secret)
    assert ours.required
    assert not Sessions(b"k", {}, 1).required


def test_attempts_are_few_at_once_and_come_back_with_time() -> None:
    attempts = Attempts(burst=2, interval_s=5.0)
    assert attempts.wait_s(100.0) == 0
    attempts.failed(100.0)
    attempts.failed(100.0)
    assert attempts.wait_s(101.0) == pytest.approx(4.0)
    assert attempts.wait_s(105.0) == 0
    attempts.failed(105.0)
    assert attempts.wait_s(105.0) > 0


# ---- what is let through


def test_reads_are_allowed_and_edits_only_in_edit_mode() -> None:
    assert rules.operation("Scan", edit=False).target == "DynamoDB_20120810.Scan"
    for name in rules.EDITS:
        with pytest.raises(RefusedError, match="read-only"):
            rules.operation(name, edit=False)
        assert rules.operation(name, edit=True).name == name
    for name in ("UpdateTable", "BatchWriteItem", "TransactWriteItems", "", "../x", "ListFunctions"):
        with pytest.raises(RefusedError, match="does not call"):
            rules.operation(name, edit=True)


def test_no_read_is_an_edit_and_nothing_that_writes_is_a_read() -> None:
    assert not set(rules.READS) & set(rules.EDITS)
    assert all(name.startswith(("Describe", "Get", "List", "Query", "Scan")) for name in rules.READS)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8088", "[::1]:8088", "localhost:1", "a.localhost", "10.1.2.3", "known:80"],
)
def test_hosts_that_are_addresses_or_known(host: str) -> None:
    rules.check_host({b"host": host.encode()}, frozenset({"known"}))


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8088", "", "127.0.0.1.evil.example", "localhost.evil", "knowne"]
)
def test_other_names_are_refused(host: str) -> None:
    with pytest.raises(RefusedError) as caught:
        rules.check_host({b"host": host.encode()}, frozenset({"known"}))
    assert caught.value.status == 421


def test_no_host_is_no_name_even_if_a_name_is_empty() -> None:
    for host in (b"", b":8088", b"[]"):
        with pytest.raises(RefusedError):
            rules.check_host({b"host": host}, frozenset({""}))


def test_requests_of_the_pages_themselves_pass() -> None:
    rules.check_source(b"GET", MARKED)
    rules.check_source(b"GET", MARKED | ORIGIN | {b"sec-fetch-site": b"same-origin"})
    rules.check_source(b"POST", MARKED | ORIGIN)
    rules.check_source(b"POST", MARKED | {b"origin": b"https://127.0.0.1:8088"})


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        (b"GET", HOST),
        (b"POST", HOST | ORIGIN),
        (b"POST", MARKED),
        (b"POST", MARKED | {b"origin": b"http://evil.example"}),
        (b"POST", MARKED | {b"origin": b"null"}),
        (b"GET", MARKED | {b"origin": b"http://127.0.0.1:8089"}),
        (b"POST", MARKED | ORIGIN | {b"sec-fetch-site": b"same-site"}),
        (b"POST", MARKED | ORIGIN | {b"sec-fetch-site": b"cross-site"}),
    ],
)
def test_requests_of_other_pages_do_not(method: bytes, headers: dict[bytes, bytes]) -> None:
    with pytest.raises(RefusedError) as caught:
        rules.check_source(method, headers)
    assert caught.value.status == 403


def test_a_cookie_among_others() -> None:
    headers = {b"cookie": b"a=1; hashrange-console-8088=x.y; b=2"}
    assert rules.cookie_of(headers, "hashrange-console-8088") == "x.y"
    assert rules.cookie_of(headers, "hashrange-console-80") == ""
    assert rules.cookie_of({}, "a") == ""


def test_the_policy_allows_nothing_of_others_and_nothing_inline() -> None:
    lines = rules.SECURITY_HEADERS.decode()
    policy = next(line for line in lines.splitlines() if line.startswith("content-security-policy:"))
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    assert "http" not in policy
    assert "x-content-type-options: nosniff\r\n" in lines


def test_the_files_are_named_by_their_content() -> None:
    found = {"index.html": b"<script src={assets}/app.js>", "app.js": b"1", "vendor/a.css": b""}
    assets, changed = Assets(found), Assets(found | {"app.js": b"2"})
    assert assets.version != changed.version
    assert f"/assets/{assets.version}/app.js".encode() in assets.page
    assert assets.find(f"/assets/{changed.version}/app.js".encode()) is None
    js = assets.find(f"/assets/{assets.version}/app.js".encode())
    assert js is not None
    assert js.content_type.startswith(b"text/javascript")


def test_pages_have_nothing_inline_and_nothing_from_elsewhere() -> None:
    page = Assets.read().page.decode()
    assert "style=" not in page
    assert "onclick" not in page.lower()
    assert all("src=" in part.split(">")[0] for part in page.split("<script")[1:])
    assert "//" not in page.replace("<!doctype", "")


# ---- heat


def part(number: int, low: int, high: int, reads: float, table: str = "t") -> dict[str, Any]:
    return {
        "id": number,
        "table": table,
        "index": None,
        "hash_range": [low, high],
        "reads": reads,
        "writes": 0.0,
    }


@given(
    st.integers(0, heat.SPACE - 1),
    st.integers(0, heat.SPACE - 1),
    st.floats(0.1, 1e6),
)
def test_a_load_is_spread_over_its_range_and_nothing_is_lost(one: int, other: int, load: float) -> None:
    low, high = sorted((one, other))
    cells = [0.0] * heat.BINS
    heat.spread(cells, low, high, load)
    assert sum(cells) == pytest.approx(load)
    touched = [number for number, cell in enumerate(cells) if cell > 0]
    assert all(
        low * heat.BINS // heat.SPACE <= number <= high * heat.BINS // heat.SPACE for number in touched
    )


def test_a_hot_key_stands_out_of_its_partition() -> None:
    whole = part(1, 0, heat.SPACE - 1, 640.0)
    position = heat.SPACE // 4
    cells = heat.column([whole], [heat.Spot(1, position, 320.0)])
    assert cells[heat.BINS // 4] == pytest.approx(325.0)
    assert cells[0] == pytest.approx(5.0)
    assert sum(cells) == pytest.approx(640.0)


def test_a_key_never_has_more_than_its_partition_and_strangers_are_left_out() -> None:
    cells = heat.column([part(1, 0, heat.SPACE - 1, 10.0)], [heat.Spot(1, 0, 99.0), heat.Spot(7, 5, 50.0)])
    assert sum(cells) == pytest.approx(10.0)
    assert min(cells) >= 0


def test_columns_are_kept_of_the_hottest() -> None:
    rows = [part(number, 0, heat.SPACE - 1, float(number), f"t{number}") for number in range(100)]
    found = heat.columns({"partitions": rows, "keys": []})
    assert len(found) == heat.RESOURCES_MAX
    assert ("t99", "") in found
    assert ("t1", "") not in found


# ---- history


def view(requests: float, interval_s: float = 1.0) -> dict[str, Any]:
    totals = dict.fromkeys(
        ("reads", "writes", "errors", "throttled", "conflicts", "read_units", "write_units"), 0.0
    )
    return {
        "interval_s": interval_s,
        "totals": totals | {"requests": requests, "p50_s": None, "p99_s": 0.25},
        "processes": [{"name": "server", "cpu": 0.5}, {"name": "away", "cpu": None}],
        "partitions": [part(1, 0, heat.SPACE - 1, requests)],
        "keys": [],
    }


def test_history_keeps_the_last_looks_and_tells_what_is_new() -> None:
    history = History(looks_max=3)
    history.add(0, view(1.0, interval_s=0.0))
    assert history.newest == 0
    for number in range(1, 6):
        history.add(number * 1_000, view(float(number)))
    assert [point["number"] for point in history.points(0)] == [3, 4, 5]
    assert [point["number"] for point in history.points(4)] == [5]
    assert history.points(4)[0]["totals"][0] == 5.0
    assert history.points(4)[0]["cpu"] == {"server": 0.5}
    [column] = history.columns(("t", ""), 4)
    assert sum(column["cells"]) == pytest.approx(5.0, abs=heat.BINS * 0.05)
    assert history.columns(("other", ""), 4)[0]["cells"] == []


def test_many_looks_are_one_gathering_and_none_without_a_look() -> None:
    now = [0.0]
    taken = [0]

    async def take() -> dict[str, Any]:
        taken[0] += 1
        await asyncio.sleep(0.01)
        return {"at_ms": taken[0], "view": view(1.0)}

    async def scenario() -> None:
        live = Live(take, lambda: now[0])
        answers = await asyncio.gather(*(live.look(0) for _ in range(20)))
        assert taken == [1]
        assert all(answer["at_ms"] == 1 for answer in answers)
        now[0] = 0.5
        await live.look(0)
        assert taken == [1]
        now[0] = 1.0
        assert (await live.look(1))["points"][0]["number"] == 2
        assert taken == [2]
        now[0] = 100.0
        await asyncio.sleep(0.02)
        assert taken == [2]

    asyncio.run(scenario())


def test_a_gathering_that_fails_is_told_and_tried_again() -> None:
    fails = [True]

    async def take() -> dict[str, Any]:
        if fails[0]:
            raise OSError("gone")
        return {"at_ms": 1, "view": view(1.0)}

    async def scenario() -> None:
        live = Live(take, lambda: 0.0)
        with pytest.raises(OSError, match="gone"):
            await live.look(0)
        fails[0] = False
        assert (await live.look(0))["newest"] == 1

    asyncio.run(scenario())
