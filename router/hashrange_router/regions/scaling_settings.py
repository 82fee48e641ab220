"""Auto scaling of write capacity, which the replicas of a global table have in common. Pure.

Every region scales its own table, by its own consumption; what is shared is what was set up: the bounds and the
policies of the write capacity of a table and of its indexes. Read capacity is each region's own business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hashrange.model.scaling import METRICS, TARGETS, WRITE, Scalable, TargetDocument, scalable
from hashrange.model.table_document import TableDocument
from hashrange.wire.documents import ControlDocuments
from hashrange_router.scaling import policies, targets
from hashrange_router.scaling.requests import Setting

_KEPT = ("TargetValue", "InCooldown", "OutCooldown", "DisableIn", "Given")
"""Members of a policy that mean the same in every region."""


def of_table(controls: ControlDocuments, table: TableDocument) -> dict[str, Any]:
    """What is set up for writing, by index name ("": the table)."""
    found: dict[str, Any] = {}
    names = ["", *(index["IndexName"] for index in table["GlobalSecondaryIndexes"])]
    for name in names:
        stored = controls.get(TARGETS, _scalable(table["TableName"], name).document_name)
        if stored is not None:
            found[name] = _kept(stored["document"])
    return found


def _scalable(table: str, index: str, units: str = WRITE) -> Scalable:
    return Scalable(table, index or None, units)


def _kept(document: TargetDocument) -> dict[str, Any]:
    target = document["Target"]
    return {
        "Min": target["Min"],
        "Max": target["Max"],
        "Suspended": target["Suspended"],
        "Policies": {
            name: {member: policy[member] for member in _KEPT}
            for name, policy in document["Policies"].items()
        },
    }


def is_scaled(controls: ControlDocuments, table: str, index: str | None) -> bool:
    """Whether the write capacity of a table or index has a target and a policy."""
    stored = controls.get(TARGETS, _scalable(table, index or "").document_name)
    return stored is not None and bool(stored["document"]["Policies"])


def changes(
    controls: ControlDocuments, table: TableDocument, wanted: Mapping[str, Any], setting: Setting
) -> dict[str, TargetDocument | None]:
    """Documents to be written or removed (None) to have what is wanted, by name; empty when it is so."""
    found: dict[str, TargetDocument | None] = {}
    current = of_table(controls, table)
    names = {"", *(index["IndexName"] for index in table["GlobalSecondaryIndexes"])}
    for name in sorted(names):
        what = _scalable(table["TableName"], name)
        if name not in wanted:
            if name in current:
                found[what.document_name] = None
        elif wanted[name] != current.get(name):
            stored = controls.get(TARGETS, what.document_name)
            before = stored["document"] if stored is not None else None
            found[what.document_name] = _document(what, before, wanted[name], setting)
    return found


def _document(
    what: Scalable, before: TargetDocument | None, wanted: Mapping[str, Any], setting: Setting
) -> TargetDocument:
    """The document of a target as another region has it set up, with names of this region."""
    request = {"MinCapacity": wanted["Min"], "MaxCapacity": wanted["Max"]}
    made = targets.register(request, what, before, setting).document
    assert made is not None, "a registration makes a document"
    made = {**made, "Target": {**made["Target"], "Suspended": wanted["Suspended"]}, "Policies": {}}
    for name, policy in wanted["Policies"].items():
        asked = {
            "PolicyName": name,
            "PolicyType": policies.TRACKING,
            "TargetTrackingScalingPolicyConfiguration": policy["Given"],
        }
        changed = policies.put(asked, what, made, setting).document
        assert changed is not None, "a policy makes a document"
        made = changed
    return made


def scaled_reads(controls: ControlDocuments, table: str) -> tuple[str, ...]:
    """Index names ("": the table) whose read capacity is scaled here."""
    found = []
    for stored in controls.of(TARGETS).values():
        what = scalable(stored["document"]["ResourceId"], stored["document"]["ScalableDimension"])
        if what is not None and what.table == table and what.units in METRICS and what.units != WRITE:
            found.append(what.index or "")
    return tuple(sorted(found))
