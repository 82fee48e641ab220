"""`hashrange dax stats`: what is printed, for people and for scripts, and sentences when nobody answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hashrange_dax.cache import CacheStore
from hashrange_dax.metrics import Metrics

from hashrange.cli.cluster.layout import plan
from hashrange.cli.dax import stats

CLUSTERS = {
    "clusters": [
        {
            "name": "dax",
            "encryption": "NONE",
            "wire": "dax://127.0.0.1:8111",
            "http": "http://127.0.0.1:8211",
            "nodes": [
                {
                    "id": f"a-name-of-20-letters-{number}",
                    "az": "az1",
                    "host": "127.0.0.1",
                    "port": 8111 + number,
                    "http_port": 8211 + number,
                    "admin": f"127.0.0.1:{8411 + number}",
                    "primary": number == 1,
                }
                for number in (1, 2)
            ],
        }
    ]
}


@pytest.fixture
def _pages(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = {**Metrics(CacheStore(1 << 20)).snapshot(), "TotalRequestCount": 1_234_567.0}
    metrics |= {"ItemCacheHits": 75.0, "ItemCacheMisses": 25.0, "CacheMemoryUtilization": 12.5}

    def get(url: str) -> bytes:
        if url == "http://here/dax/clusters":
            return json.dumps(CLUSTERS).encode()
        if url == "http://127.0.0.1:8412/dax/stats":
            return json.dumps({"state": "ready", "metrics": metrics}).encode()
        raise ConnectionRefusedError(url)

    monkeypatch.setattr(stats, "_get", get)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.usefixtures("_pages")
def test_nothing_is_cut_short_on_a_narrow_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert stats.show("http://here/", None, False, None) == 0
    first, second = [line.split() for line in capsys.readouterr().out.splitlines() if "letters" in line]
    assert first[:5] == ["a-name-of-20-letters-1", "az1", "primary", "1,234,567", "75%"]
    assert "12.5%" in first
    assert second[:4] == ["a-name-of-20-letters-2", "az1", "down", "-"]


@pytest.mark.usefixtures("_pages")
def test_scripts_get_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    assert stats.show("http://here", None, True, None) == 0
    told = json.loads(capsys.readouterr().out)
    assert [node["state"] for node in told["nodes"]] == ["ready", "down"]
    assert told["nodes"][0]["metrics"]["ItemCacheHits"] == 75


@pytest.mark.usefixtures("_pages")
def test_the_sentence_names_the_cluster_that_does_not_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = plan(tmp_path, azs=1, nodes=1, routers=1, base_port=20_000, region="us-east-1")
    layout.save()
    assert stats.show("http://here", str(tmp_path), False, None) == 1
    assert stats.certificate("http://here", str(tmp_path)) == 1
    assert capsys.readouterr().err.count("http://127.0.0.1:20000 does not answer") == 2
