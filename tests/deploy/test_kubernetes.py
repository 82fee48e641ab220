"""The manifests for Kubernetes, without a cluster: they agree with one another and with the programs.

With the package kubernetes-validate each is also validated against the schemas of Kubernetes itself, and unknown fields
are mistakes.
"""

from __future__ import annotations

import copy
import functools
import importlib.util
import itertools
import re
from typing import Any

import pytest

from tests.deploy.settings_of import DEPLOY, documents, mistakes

FOLDER = DEPLOY / "kubernetes"
VERSIONS = ("1.31", "1.33", "1.35")
ZONES = ("az1", "az2", "az3")
ROLE_WORD = re.compile(r"exec hashrange (\w+)")


@functools.cache
def resources() -> list[dict[str, Any]]:
    """Every object of the files that kustomization.yaml names; to be looked at only."""
    (kustomization,) = documents(FOLDER / "kustomization.yaml")
    return [each for name in kustomization["resources"] for each in documents(FOLDER / name)]


def of_kind(*kinds: str) -> dict[str, dict[str, Any]]:
    """Objects of these kinds by name."""
    return {each["metadata"]["name"]: each for each in resources() if each["kind"] in kinds}


def workloads() -> dict[str, dict[str, Any]]:
    """What runs pods."""
    return of_kind("StatefulSet", "Deployment")


def container(workload: dict[str, Any]) -> dict[str, Any]:
    """The one container of a workload's pods."""
    (only,) = workload["spec"]["template"]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def role(workload: dict[str, Any]) -> str:
    """What the container runs."""
    last: str = container(workload)["args"][-1]
    found = ROLE_WORD.search(last)
    return found[1] if found else last


def pod_environment(workload: dict[str, Any], ordinal: int) -> dict[str, str]:
    """The variables of a pod: from maps, of its own, and those that its start script computes."""
    maps = of_kind("ConfigMap")
    one = container(workload)
    variables: dict[str, str] = {}
    for source in one["envFrom"]:
        if "configMapRef" in source:
            variables |= maps[source["configMapRef"]["name"]]["data"]
        else:
            assert source["secretRef"]["optional"]
    fields = {
        "metadata.name": f"{workload['metadata']['name']}-{ordinal}",
        "metadata.namespace": "hashrange",
    }
    for entry in one["env"]:
        value = entry["value"] if "value" in entry else fields[entry["valueFrom"]["fieldRef"]["fieldPath"]]
        variables[entry["name"]] = re.sub(r"\$\((\w+)\)", lambda match: variables[match[1]], value)
    script = one["args"][-1]
    computed = re.search(r"HASHRANGE_ID=\$\(\((\d) \+ (3 \* )?", script)
    if computed:
        variables["HASHRANGE_ID"] = str(int(computed[1]) + ordinal * (3 if computed[2] else 1))
    if ordinal > 0 and "unset HASHRANGE_MEMBERS" in script:
        del variables["HASHRANGE_MEMBERS"]
    return variables


def labels(workload: dict[str, Any]) -> dict[str, str]:
    """The labels of a workload's pods."""
    found: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return found


def selects(selector: dict[str, str], workload: dict[str, Any]) -> bool:
    """Whether a selector matches the pods of a workload."""
    return selector.items() <= labels(workload).items()


def test_every_file_is_named() -> None:
    (kustomization,) = documents(FOLDER / "kustomization.yaml")
    there = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == there


@pytest.mark.parametrize("ordinal", [0, 1])
def test_variables_are_settings_that_the_programs_accept(ordinal: int) -> None:
    for name, workload in workloads().items():
        variables = pod_environment(workload, ordinal)
        # The maps are shared, and so name settings that not every program has.
        wrong = [text for text in mistakes(role(workload), variables) if "HASHRANGE_SEEDS" not in text]
        assert wrong == [], name


def test_members_are_the_first_pods_of_the_zones() -> None:
    nodes = {name: each for name, each in workloads().items() if role(each) == "node"}
    members = of_kind("ConfigMap")["hashrange-node"]["data"]["HASHRANGE_MEMBERS"].split(",")
    expected = []
    for name, workload in nodes.items():
        variables = pod_environment(workload, 0)
        service = workload["spec"]["serviceName"]
        expected.append(f"{variables['HASHRANGE_ID']}/{variables['HASHRANGE_AZ']}/{name}-0.{service}:8101")
        assert variables["HASHRANGE_ADVERTISE"] == f"{name}-0.{service}:8101"
        assert workload["spec"]["replicas"] == 1
    assert sorted(members) == sorted(expected)
    seeds = of_kind("ConfigMap")["hashrange"]["data"]["HASHRANGE_SEEDS"].split(",")
    assert seeds == [re.sub(r"/az\d/", "/", member) for member in members]


def test_no_two_nodes_have_the_same_id() -> None:
    nodes = [each for each in workloads().values() if role(each) == "node"]
    ids = [
        pod_environment(each, ordinal)["HASHRANGE_ID"] for each, ordinal in itertools.product(nodes, range(5))
    ]
    assert len(ids) == 15
    assert len(set(ids)) == 15


def test_zones_differ_in_the_zone_alone() -> None:
    texts = []
    for number, zone in enumerate(ZONES, 1):
        text = (FOLDER / f"zone-{zone}.yaml").read_text(encoding="utf-8").replace(zone, "ZONE")
        text = text.replace(f"us-east-1{'abc'[number - 1]}", "PLACE").replace(f"(({number} +", "((NUMBER +")
        text = text.replace(f'value: "{number}"', "value: NUMBER")
        texts.append(re.sub(r"# Ids are for ever: .*", "", text))
    assert texts[0] == texts[1] == texts[2]


def test_probes_and_services_name_ports_that_the_programs_listen_on() -> None:
    for name, workload in workloads().items():
        variables = pod_environment(workload, 0)
        ports = {port["name"]: port["containerPort"] for port in container(workload)["ports"]}
        listened = {value for key, value in variables.items() if key.endswith("_PORT")}
        assert {str(port) for port in ports.values()} == listened, name
        for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
            if probe in container(workload):
                assert ports[container(workload)[probe]["httpGet"]["port"]] == int(
                    variables["HASHRANGE_ADMIN_PORT"]
                )
        for service in of_kind("Service").values():
            if selects(service["spec"]["selector"], workload):
                for port in service["spec"]["ports"]:
                    assert ports[port["targetPort"]] == port["port"], name


def test_selectors_select_what_they_mean() -> None:
    every = workloads()
    for name, workload in every.items():
        assert selects(workload["spec"]["selector"]["matchLabels"], workload), name
    for name, service in of_kind("Service").items():
        assert any(selects(service["spec"]["selector"], each) for each in every.values()), name
    budgets = of_kind("PodDisruptionBudget")
    for name, workload in every.items():
        matching = [
            key for key, each in budgets.items() if selects(each["spec"]["selector"]["matchLabels"], workload)
        ]
        assert len(matching) == 1, name
    for name, policy in of_kind("NetworkPolicy").items():
        assert any(selects(policy["spec"]["podSelector"]["matchLabels"], each) for each in every.values()), (
            name
        )
    for name, workload in of_kind("StatefulSet").items():
        service = of_kind("Service")[workload["spec"]["serviceName"]]
        assert service["spec"]["clusterIP"] == "None", name
        assert selects(service["spec"]["selector"], workload), name


def test_pods_are_locked_down_and_mount_what_they_declare() -> None:
    for name, workload in workloads().items():
        pod, one = workload["spec"]["template"]["spec"], container(workload)
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] == 10_001, name
        assert one["securityContext"]["readOnlyRootFilesystem"] is True, name
        assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
        assert one["resources"]["requests"], name
        volumes = {each["name"] for each in pod.get("volumes", [])}
        volumes |= {each["metadata"]["name"] for each in workload["spec"].get("volumeClaimTemplates", [])}
        assert {mount["name"] for mount in one["volumeMounts"]} == volumes, name


def test_the_small_form_patches_what_there_is() -> None:
    (small,) = documents(FOLDER / "one-machine" / "kustomization.yaml")
    patched = set()
    for patch in small["patches"]:
        target = re.compile(patch["target"]["name"])
        found = {name for name in of_kind(patch["target"]["kind"]) if target.fullmatch(name)}
        assert found, patch["target"]
        patched |= found
        for path in re.findall(r"path: ([^,}\s]+)", patch["patch"]):
            for name in found:
                place: Any = workloads()[name]
                for step in path.strip("/").split("/"):
                    place = place[int(step)] if isinstance(place, list) else place[step]
    assert patched == set(workloads())


@pytest.mark.skipif(
    importlib.util.find_spec("kubernetes_validate") is None,
    reason="needs the schemas of Kubernetes: pip install 'hashrange[deploy]'",
)
@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_satisfy_the_schemas_of_kubernetes(version: str) -> None:
    import kubernetes_validate

    for each in resources():
        kubernetes_validate.validate(each, version, strict=True)
    broken = copy.deepcopy(next(each for each in resources() if each["kind"] == "StatefulSet"))
    broken["spec"]["replica"] = 3
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, version, strict=True)
