"""Rules, alerts and dashboards: every name that they use exists, and everything says what an operator needs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache

import pytest
import yaml

from tests.deploy import promql
from tests.deploy.metric_families import PAGE, TARGET_LABELS, Family, families, family_of
from tests.deploy.observability import (
    GRAFANA,
    PROMETHEUS,
    Query,
    alerts,
    dashboards,
    panel_queries,
    recorded,
    rule_queries,
)

LEVELS = {"region", "zone", "role", "process", "table", "index", "operation", "error", "reason", "function",
          "mapping", "source", "destination"}  # fmt: skip
OF_CLUSTER = {"hashrange-nodes", "hashrange-routers", "hashrange-dax", "hashrange-triggers"}


@cache
def all_families() -> dict[str, Family]:
    """What processes export, and what rules record of it: the level of a name says its labels."""
    found = dict(families())
    for name in recorded():
        found[name] = Family("gauge", frozenset(name.split(":")[0].split("_")))
    return found


def complaints(queries: Iterable[Query]) -> list[str]:
    """Metrics and labels that do not exist."""
    known, found = all_families(), []
    for query in queries:
        reading = promql.read(query.expression)
        if not reading.metrics and "vector(" not in query.expression:
            found.append(f"{query.where}: no metric is named")
        labels: set[str] = set(TARGET_LABELS)
        free = False
        for name in reading.metrics:
            family = family_of(name, known)
            if family is None:
                found.append(f"{query.where}: there is no metric {name}")
                continue
            of_metric, more = family
            free = free or of_metric.labels is None
            mine = (
                set(of_metric.labels or ())
                | more
                | ({"alertname", "alertstate"} if name == "ALERTS" else set())
            )
            mine |= set() if ":" in name else TARGET_LABELS
            labels |= mine
            found += [
                f"{query.where}: {metric} has no label {label}"
                for metric, label in reading.matched
                if metric == name and of_metric.labels is not None and label not in mine
            ]
        wanted = reading.grouped | set(re.findall(r"{{(\w+)}}", query.legend))
        if not free:
            found += [f"{query.where}: nothing has the label {label}" for label in sorted(wanted - labels)]
        if reading.by:
            left = reading.outermost or set()
            told = set(re.findall(r"{{(\w+)}}", query.legend))
            if not told <= reading.by | left:
                found.append(
                    f"{query.where}: the legend names {sorted(told - reading.by)}, which is summed away"
                )
    return found


def test_every_query_names_metrics_and_labels_that_exist() -> None:
    queries = [*panel_queries(), *rule_queries()]
    assert len(queries) > 150
    assert complaints(queries) == []


@pytest.mark.parametrize(
    ("expression", "legend", "complaint"),
    [
        ("rate(hashrange_no_such_total[1m])", "", "there is no metric"),
        ('hashrange_requests_total{tabel="x"}', "", "has no label tabel"),
        ("sum by (tabel) (hashrange_requests_total)", "", "nothing has the label tabel"),
        ("hashrange_ready", "{{tabel}}", "nothing has the label tabel"),
        ("sum by (table) (hashrange_requests_total)", "{{operation}}", "summed away"),
        ("hashrange_request_duration_seconds", "", "there is no metric"),
        ("hashrange_log_fsync_seconds_total", "", "there is no metric"),
        ("region:hashrange_no_such:rate1m", "", "there is no metric"),
        ('region:hashrange_requests:rate1m{table="x"}', "", "has no label table"),
    ],
)
def test_a_wrong_name_is_seen(expression: str, legend: str, complaint: str) -> None:
    found = complaints([Query("here", expression, legend)])
    assert any(complaint in each for each in found), found


def test_expressions_are_read_as_far_as_needed() -> None:
    reading = promql.read(
        'sum by (table, le) (rate(a_total{x="{no} by (y)", z!~"b"}[5m] offset 1h)) / on (region) group_left (q) '
        "(b:c:d > 0.5e-3) or vector(0)"
    )
    assert reading.metrics == {"a_total", "b:c:d"}
    assert reading.matched == {("a_total", "x"), ("a_total", "z")}
    assert reading.grouped == {"table", "le", "region", "q"}
    assert reading.by == {"table", "le"}


def test_recorded_names_say_what_labels_are_left() -> None:
    for name, expression in recorded().items():
        levels = name.split(":")[0].split("_")
        assert set(levels) <= LEVELS, name
        by = promql.read(expression).by - {"le"}
        others = {part for metric in promql.read(expression).metrics if ":" in metric
                  for part in metric.split(":")[0].split("_")}  # fmt: skip
        assert set(levels) == by or set(levels) == others or (by < set(levels) <= by | others), name


def test_every_recorded_name_is_used() -> None:
    used = {
        name
        for query in [*panel_queries(), *rule_queries()]
        for name in promql.read(query.expression).metrics
    }
    assert recorded().keys() - used == set()


def test_alerts_say_what_to_do() -> None:
    page = (PROMETHEUS / "README.md").read_text(encoding="utf-8")
    headings = re.findall(r"^### (Hashrange\w+)\n\n(\S.{40,})", page, re.MULTILINE)
    assert sorted(name for name, _ in headings) == sorted(alerts())
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in ("critical", "warning"), name
        annotations = rule["annotations"]
        assert set(annotations) == {"summary", "description", "runbook"}, name
        assert annotations["runbook"] == f"deploy/prometheus/README.md#{name.lower()}"
        assert annotations["description"].endswith("."), name
        window = re.search(r"(increase|changes)\(", rule["expr"])
        assert "for" in rule or window, f"{name} would fire for a single scrape"


def test_annotations_use_labels_that_the_alert_has() -> None:
    for name, rule in alerts().items():
        reading = promql.read(rule["expr"])
        has = reading.by | {label for metric in reading.metrics for label in _labels_of(metric)}
        told = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
        assert told <= has, f"{name}: {told - has}"
        outer = re.match(r"\s*(?:sum|min|max) by \(([^)]*)\)", rule["expr"])
        if outer:
            assert told <= set(re.split(r",\s*", outer.group(1))), name


def _labels_of(metric: str) -> set[str]:
    found = family_of(metric, all_families())
    assert found is not None, metric
    labels = set(found[0].labels or ()) | found[1]
    return labels if ":" in metric else labels | TARGET_LABELS


@pytest.mark.parametrize("name", ["prometheus.yaml", "prometheus.regions.yaml"])
def test_targets_have_the_labels_that_rules_know(name: str) -> None:
    document = yaml.safe_load((PROMETHEUS / name).read_text(encoding="utf-8"))
    jobs = {job["job_name"]: job for job in document["scrape_configs"] if job["job_name"] != "prometheus"}
    assert set(jobs) <= OF_CLUSTER
    assert {"hashrange-nodes", "hashrange-routers"} <= set(jobs)
    for job, settings in jobs.items():
        for group in settings["static_configs"]:
            assert set(group["labels"]) == {"region", "zone", "role"}, group
            assert group["labels"]["role"] in job
        assert settings["relabel_configs"][0]["target_label"] == "process"
        assert settings["relabel_configs"][0]["source_labels"] == ["__address__"]


@pytest.mark.parametrize(
    ("name", "compose"),
    [("prometheus.yaml", "compose.yaml"), ("prometheus.regions.yaml", "compose.regions.yaml")],
)
def test_every_process_of_the_compose_files_is_a_target(name: str, compose: str) -> None:
    services = yaml.safe_load((PROMETHEUS.parent / compose).read_text(encoding="utf-8"))["services"]
    wanted = set()
    for service, settings in services.items():
        if settings.get("command", [""])[0] in ("node", "router", "dax", "triggers"):
            environment = settings["environment"]
            wanted.add(
                (
                    f"{service}:{environment['HASHRANGE_ADMIN_PORT']}",
                    environment["HASHRANGE_AZ"],
                    settings["command"][0],
                )
            )
    document = yaml.safe_load((PROMETHEUS / name).read_text(encoding="utf-8"))
    found = {
        (target, group["labels"]["zone"], group["labels"]["role"])
        for job in document["scrape_configs"]
        if job["job_name"] != "prometheus"
        for group in job["static_configs"]
        for target in group["targets"]
    }
    assert found == wanted


def test_dashboards_are_what_the_generator_makes() -> None:
    done = subprocess.run(
        [sys.executable, "-B", str(GRAFANA / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_dashboards_are_whole() -> None:
    boards = dashboards()
    assert len({board["uid"] for board in boards.values()}) == len(boards) == 6
    for name, board in boards.items():
        assert board["schemaVersion"] >= 39
        variables = {each["name"] for each in board["templating"]["list"]}
        text = str(board["panels"])
        for variable in variables - {"region"}:
            assert f"${variable}" in text, f"{name}: nothing uses ${variable}"
        panels = [panel for panel in board["panels"] if panel["type"] != "row"]
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
        titles = [panel["title"] for panel in panels]
        assert len(set(titles)) == len(titles), name
        for panel in panels:
            assert panel["description"].endswith("."), (name, panel["title"])
            assert panel["fieldConfig"]["defaults"]["unit"], (name, panel["title"])
            assert panel["datasource"]["uid"] == "hashrange-prometheus"
            used = {each for target in panel["targets"] for each in re.findall(r"\$(\w+)", target["expr"])}
            assert used <= variables | {"__rate_interval"}, (name, panel["title"])
        assert _overlapping(board["panels"]) == []


def _overlapping(panels: list[dict[str, dict[str, int]]]) -> list[tuple[int, int]]:
    """Cells of the grid that two panels want."""
    taken: set[tuple[int, int]] = set()
    twice = []
    for panel in panels:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if (x, y) in taken or x >= 24:
                    twice.append((x, y))
                taken.add((x, y))
    return twice


def test_provisioning_and_dashboards_name_the_same_source() -> None:
    source = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text())[
        "datasources"
    ][0]
    assert source["uid"] == "hashrange-prometheus"
    provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/hashrange.yaml").read_text())["providers"][
        0
    ]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"


def test_the_page_of_metrics_is_right_about_types() -> None:
    documented = re.findall(r"^\| `(hashrange_[a-z0-9_]+)` \| (\w+)", PAGE.read_text(), re.MULTILINE)
    known = families()
    assert [(name, kind, known[name].kind) for name, kind in documented if known[name].kind != kind] == []


def test_the_table_of_cloudwatch_names_metrics_that_exist() -> None:
    part = PAGE.read_text().partition("## By CloudWatch's names")[2]
    named = set(re.findall(r"\b((?:hashrange|process)_[a-z0-9_]+)", part))
    assert len(named) > 30
    known = families()
    assert [name for name in sorted(named - {"hashrange_read_capacity_used"}) if name not in known] == []
