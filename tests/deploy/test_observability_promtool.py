"""What Prometheus' own checker says of configurations, rules, alerts under series, and the queries of dashboards."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.observability import PROMETHEUS, RULES, alerts, panel_queries, promtool

PROMTOOL = promtool()
TESTS = PROMETHEUS / "tests/alerts.yaml"
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not on the PATH; Debian: apt-get install prometheus"
)


def run(*arguments: str, cwd: Path = PROMETHEUS) -> tuple[int, str]:
    """Exit code and output of promtool."""
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize("name", ["prometheus.yaml", "prometheus.regions.yaml"])
def test_configurations_are_valid(name: str) -> None:
    code, output = run("check", "config", name)
    assert code == 0, output
    assert f"{len(RULES)} rule files found" in output


@needs_promtool
def test_rules_are_without_faults() -> None:
    code, output = run("check", "rules", "--lint=all", "--lint-fatal", *map(str, RULES))
    assert code == 0, output


@needs_promtool
def test_alerts_fire_when_they_should() -> None:
    code, output = run("test", "rules", TESTS.name, cwd=TESTS.parent)
    assert code == 0, output


@needs_promtool
def test_an_alert_that_does_not_fire_is_seen(tmp_path: Path) -> None:
    shutil.copytree(PROMETHEUS / "rules", tmp_path / "rules")
    changed = (
        (tmp_path / "rules/alerts.yaml").read_text().replace("hashrange_ready == 0", "hashrange_ready == 2")
    )
    (tmp_path / "rules/alerts.yaml").write_text(changed)
    document = yaml.safe_load(TESTS.read_text())
    document["tests"] = [each for each in document["tests"] if each["name"] == "HashrangeProcessNotReady"]
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/one.yaml").write_text(yaml.safe_dump(document))
    code, output = run("test", "rules", "one.yaml", cwd=tmp_path / "tests")
    assert code != 0
    assert "HashrangeProcessNotReady" in output


@needs_promtool
def test_queries_of_dashboards_can_be_parsed(tmp_path: Path) -> None:
    wanted = {query.expression for query in panel_queries()}
    rules = [{"record": f"query:number_{n}", "expr": each} for n, each in enumerate(sorted(wanted))]
    # JSON is YAML too.
    (tmp_path / "queries.yaml").write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    code, output = run("check", "rules", "queries.yaml", cwd=tmp_path)
    assert code == 0, output
    assert f"{len(wanted)} rules found" in output


def test_every_alert_has_series_that_make_it_fire() -> None:
    document = yaml.safe_load(TESTS.read_text())
    fires, quiet = set(), set()
    for test in document["tests"]:
        for each in test.get("promql_expr_test", ()):
            names = [sample["labels"].split('"')[1] for sample in each["exp_samples"]]
            fires.update(names)
            if not names:
                quiet.add(test["name"])
    assert fires == quiet == set(alerts())
