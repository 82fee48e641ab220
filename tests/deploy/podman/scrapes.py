"""What a real Prometheus says of its targets and rules."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from typing import Any


def ask(base: str, path: str, **query: str) -> Any:
    """The `data` of an answer of Prometheus's API."""
    url = f"{base}/api/v1/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)["data"]


def targets(base: str) -> dict[str, str]:
    """Health of each target by its address: up, down or unknown."""
    found = ask(base, "targets")["activeTargets"]
    return {each["discoveredLabels"]["__address__"]: each["health"] for each in found}


def all_up(base: str) -> str:
    """What to print when every target is up; "" before that."""
    found = targets(base)
    return f"{len(found)} of {len(found)} up" if found and set(found.values()) == {"up"} else ""


def rules(base: str) -> str:
    """What to print when every rule has been evaluated and none is in error; "" before that."""
    groups = ask(base, "rules")["groups"]
    every = [rule for group in groups for rule in group["rules"]]
    if not every or any(rule["health"] != "ok" for rule in every):
        return ""
    firing = sorted({rule["name"] for rule in every if rule.get("state") == "firing"})
    return f"{len(every)} rules without error, firing: {', '.join(firing) or 'none'}"
