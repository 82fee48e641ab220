"""The committed rules and dashboards as the tests see them: every expression, and where it stands."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from tests.deploy.metric_families import ROOT

PROMETHEUS = ROOT / "deploy/prometheus"
GRAFANA = ROOT / "deploy/grafana"
RULES = (PROMETHEUS / "rules/recording.yaml", PROMETHEUS / "rules/alerts.yaml")
VARIABLES = {"__rate_interval": "1m", "__range": "1h", "__interval": "1m"}


@dataclass(frozen=True)
class Query:
    """An expression of a panel or rule, and its legend if it has one."""

    where: str
    expression: str
    legend: str = ""


@cache
def rules() -> list[dict[str, Any]]:
    """All rules of all groups."""
    return [
        rule
        for path in RULES
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]


@cache
def recorded() -> dict[str, str]:
    """Recorded name to its expression."""
    return {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}


def alerts() -> dict[str, dict[str, Any]]:
    """Name of an alert to its rule."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


@cache
def dashboards() -> dict[str, dict[str, Any]]:
    """File name to document."""
    return {
        path.name: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((GRAFANA / "dashboards").glob("*.json"))
    }


def plain(expression: str, value: str = ".*") -> str:
    """An expression with Grafana's variables filled in."""
    return re.sub(r"\$(\w+)", lambda found: VARIABLES.get(found.group(1), value), expression)


def panel_queries() -> list[Query]:
    """Every query of every panel, and of the annotations, of every dashboard."""
    found = []
    for name, board in dashboards().items():
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                where = f"{name}: {panel['title']}"
                found.append(Query(where, plain(target["expr"]), target["legendFormat"]))
        for each in board["annotations"]["list"]:
            found.append(Query(f"{name}: annotation {each['name']}", plain(each["expr"])))
    return found


def rule_queries() -> list[Query]:
    """Every expression of a rule."""
    return [Query(rule.get("record") or rule["alert"], rule["expr"]) for rule in rules()]


def promtool() -> str | None:
    """The program that checks rules; it comes with Prometheus."""
    return shutil.which("promtool")
