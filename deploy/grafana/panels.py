"""What the dashboards are made of, as JSON for Grafana: variables, panels that flow from left to right, a dashboard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SCHEMA_VERSION = 39
"""Of Grafana 11; later ones read it and migrate by themselves."""

COLUMNS = 24
SOURCE = {"type": "prometheus", "uid": "hashrange-prometheus"}
HASHRANGE = 'job=~"hashrange-.*"'
FAIR, BAD = "#EAB839", "red"

Json = dict[str, Any]


@dataclass(frozen=True)
class Panel:
    """One panel. `queries` are pairs of expression and legend; `limits` the values from which it is fair and bad.

    `falling` says that low values are the bad ones. `kind` is timeseries or stat.
    """

    title: str
    about: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    limits: tuple[float, float] | None = None
    falling: bool = False
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    stack: bool = False


@dataclass(frozen=True)
class Row:
    """A heading, over the panels that follow it."""

    title: str


def variable(name: str, metric: str, label: str = "", about: str = "") -> Json:
    """A choice of values of a label, all at first; `metric` may depend on variables before it."""
    query = f"label_values({metric}, {label or name})"
    return {
        "name": name,
        "label": name,
        "description": about,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": ["All"], "value": ["$__all"], "selected": True},
        "refresh": 2,
        "sort": 1,
        "hide": 0,
        "options": [],
    }


REGION = variable("region", f"up{{{HASHRANGE}}}", about="Region of the process that tells")
ZONE = variable("zone", f'up{{{HASHRANGE}, region=~"$region"}}', about="Zone of the process")
TABLE = variable("table", 'hashrange_requests_total{region=~"$region"}', about="Table, as clients name it")


def process(role: str) -> Json:
    """The choice of processes of a role (a pattern)."""
    chosen = f'role=~"{role}", region=~"$region", zone=~"$zone"'
    return variable("process", f"up{{{HASHRANGE}, {chosen}}}", about="One process, by its name")


def dashboard(uid: str, title: str, about: str, variables: list[Json], parts: list[Panel | Row]) -> Json:
    """A dashboard; panels are placed in order, and a row begins a new line."""
    return {
        "uid": f"hashrange-{uid}",
        "title": f"hashrange: {title}",
        "description": about,
        "tags": ["hashrange"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "timezone": "",
        "annotations": {"list": [_alerts()]},
        "links": [
            {
                "title": "hashrange",
                "type": "dashboards",
                "tags": ["hashrange"],
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "templating": {"list": variables},
        "panels": _placed(parts),
    }


def _alerts() -> Json:
    """Alerts that fire, as marks in every panel."""
    return {
        "name": "alerts",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": BAD,
        "expr": 'ALERTS{alertstate="firing", alertname=~"Hashrange.*"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{process}} {{table}} {{zone}} {{region}}",
        "step": "30s",
    }


def _placed(parts: list[Panel | Row]) -> list[Json]:
    found: list[Json] = []
    x = y = line = 0
    for number, part in enumerate(parts, 1):
        if isinstance(part, Row) or x + part.width > COLUMNS:
            x, y, line = 0, y + line, 0
        if isinstance(part, Row):
            found.append(
                {
                    "id": number,
                    "type": "row",
                    "title": part.title,
                    "collapsed": False,
                    "panels": [],
                    "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
                }
            )
            y += 1
            continue
        found.append(_panel(number, part, x, y))
        x, line = x + part.width, max(line, part.height)
    return found


def _panel(number: int, part: Panel, x: int, y: int) -> Json:
    return {
        "id": number,
        "type": part.kind,
        "title": part.title,
        "description": part.about,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": part.width, "h": part.height},
        "targets": [
            {
                "refId": chr(ord("A") + position),
                "datasource": SOURCE,
                "expr": expression,
                "legendFormat": legend or "__auto",
                "editorMode": "code",
                "range": part.kind == "timeseries",
                "instant": part.kind != "timeseries",
            }
            for position, (expression, legend) in enumerate(part.queries)
        ],
        "fieldConfig": {"defaults": _defaults(part), "overrides": []},
        "options": _options(part),
    }


def _defaults(part: Panel) -> Json:
    defaults: Json = {"unit": part.unit, "min": 0, "color": {"mode": "palette-classic"}}
    if part.limits is None:
        defaults["thresholds"] = {"mode": "absolute", "steps": [{"color": "green", "value": None}]}
    else:
        fair, bad = part.limits
        colours = ((BAD, None), (FAIR, bad), ("green", fair)) if part.falling else (
            ("green", None), (FAIR, fair), (BAD, bad))  # fmt: skip
        defaults["thresholds"] = {
            "mode": "absolute",
            "steps": [{"color": colour, "value": value} for colour, value in colours],
        }
    if part.kind == "timeseries":
        defaults["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 25 if part.stack else 8,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"mode": "normal" if part.stack else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if part.limits else "off"},
        }
    else:
        defaults["color"] = {"mode": "thresholds"}
    return defaults


def _options(part: Panel) -> Json:
    if part.kind == "timeseries":
        return {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    return {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "auto",
        "colorMode": "background",
        "graphMode": "none",
        "orientation": "auto",
    }
