"""A real Prometheus on 127.0.0.1 with the committed rules, and what it says of targets, rules and queries.

with Prometheus(directory, port, targets) as prometheus:
    prometheus.until_up(len(targets), timeout_s=30)
    print(prometheus.report())
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.deploy.observability import RULES, Query, dashboards, panel_queries, plain

SCRAPE_S = 2
READY_TIMEOUT_S = 30.0
_LABEL_VALUES = re.compile(r"label_values\((.*), (\w+)\)")


def program() -> str | None:
    """Prometheus itself."""
    return shutil.which("prometheus")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Report:
    """What was asked and how it went. `failed` are sentences; without any all is well."""

    targets: int = 0
    rules: int = 0
    queries: int = 0
    with_data: int = 0
    empty: list[str] = field(default_factory=list)
    firing: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The report in words."""
        found = [
            f"{self.targets} targets are up",
            f"{self.rules} rules are evaluated",
            f"{self.queries} queries of dashboards are answered, {self.with_data} of them with data",
        ]
        found += [f"  no data: {each}" for each in self.empty]
        found.append(f"alerts that fire: {', '.join(self.firing) or 'none'}")
        return found + [f"FAILED {each}" for each in self.failed]


class Prometheus:
    """One Prometheus process; `targets` is a document for `file_sd_configs`."""

    def __init__(self, directory: Path, targets: list[dict[str, Any]], port: int | None = None) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.targets = sum(len(group["targets"]) for group in targets)
        self.url = f"http://127.0.0.1:{port or free_port()}"
        (directory / "targets.json").write_text(json.dumps(targets))
        (directory / "prometheus.yaml").write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": f"{SCRAPE_S}s"},
                    "rule_files": [str(path) for path in RULES],
                    "scrape_configs": [
                        {
                            "job_name": "hashrange",
                            "file_sd_configs": [{"files": [str(directory / "targets.json")]}],
                        }
                    ],
                }
            )
        )

    def __enter__(self) -> Prometheus:
        executable = program()
        assert executable is not None, "prometheus is not on the PATH"
        with (self._directory / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    executable,
                    f"--config.file={self._directory / 'prometheus.yaml'}",
                    f"--storage.tsdb.path={self._directory / 'tsdb'}",
                    f"--web.listen-address={self.url.removeprefix('http://')}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = (self._directory / "prometheus.log").read_text()[-3000:]
                self.__exit__(None, None, None)
                raise RuntimeError(f"prometheus did not start:\n{said}")
            time.sleep(0.1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(20)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2):
                return True
        except OSError:
            return False

    def ask(self, path: str, **arguments: str) -> Any:
        """The `data` of an answer of the API; raises ValueError with Prometheus' own words."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return json.loads(answer.read())["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(error.read().decode()) from None

    def value(self, expression: str) -> float | None:
        """The first value of an expression now; None without any."""
        result = self.ask("query", query=expression)["result"]
        return float(result[0]["value"][1]) if result else None

    def until(self, expression: str, timeout_s: float) -> None:
        """Wait until an expression has a value."""
        deadline = time.monotonic() + timeout_s
        while self.value(expression) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no value within {timeout_s:.0f} s: {expression}")
            time.sleep(0.2)

    def until_up(self, timeout_s: float) -> None:
        """Wait until every target has answered."""
        self.until(f"sum(up) == {self.targets}", timeout_s)

    def report(self) -> Report:
        """Ask for targets, rules, alerts, and everything that dashboards ask."""
        report = Report()
        for target in self.ask("targets", state="active")["activeTargets"]:
            if target["health"] == "up":
                report.targets += 1
            else:
                report.failed.append(f"target {target['scrapeUrl']}: {target['lastError']}")
        if report.targets != self.targets:
            report.failed.append(f"{report.targets} of {self.targets} targets are up")
        for group in self.ask("rules")["groups"]:
            for rule in group["rules"]:
                report.rules += 1
                if rule["health"] != "ok":
                    report.failed.append(f"rule {rule['name']}: {rule['health']} {rule.get('lastError', '')}")
        report.firing = sorted(
            {
                each["labels"]["alertname"]
                for each in self.ask("alerts")["alerts"]
                if each["state"] == "firing"
            }
        )
        for query in panel_queries():
            self._try(query, report)
        self._try_variables(report)
        return report

    def _try(self, query: Query, report: Report) -> None:
        report.queries += 1
        try:
            result = self.ask("query", query=query.expression)["result"]
        except ValueError as error:
            report.failed.append(f"{query.where}: {error}")
            return
        if result:
            report.with_data += 1
        else:
            report.empty.append(f"{query.where}: {query.expression}")

    def _try_variables(self, report: Report) -> None:
        """Choices of variables: the values of a label among series."""
        for name, board in dashboards().items():
            for variable in board["templating"]["list"]:
                found = _LABEL_VALUES.fullmatch(variable["query"]["query"])
                assert found is not None, variable
                selector, label = plain(found.group(1)), found.group(2)
                try:
                    self.ask(f"label/{label}/values", **{"match[]": selector})
                except ValueError as error:
                    report.failed.append(f"{name}: variable {variable['name']}: {error}")
