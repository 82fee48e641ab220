"""Rules on a table's stream, encryption and class settings, and on what this server does not offer."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from hashrange.errors import ApiError, invalid_parameter, validation
from hashrange.model.table_arn import stream_arn, stream_label
from hashrange.model.table_document import TableDocument, timestamp

AWS_MANAGED_KEY = "alias/aws/dynamodb"

_UNSUPPORTED = {
    "GlobalTableSourceArn": "Global tables over several accounts",
    "GlobalTableSettingsReplicationMode": "Global tables over several accounts",
    "DisassociationProtectionEnabled": "Global tables over several accounts",
    "ResourcePolicy": "Resource-based policies",
    "VectorIndexes": "Vector indexes",
    "VectorIndexUpdates": "Vector indexes",
}


def refuse_unsupported(request: Mapping[str, Any]) -> None:
    """ValidationException for settings whose effect this server does not have: none is taken and dropped."""
    for member, feature in _UNSUPPORTED.items():
        if request.get(member) is not None:
            raise unsupported(f"{feature} are not supported by this server yet: {member}")


def unsupported(text: str) -> ApiError:
    """ValidationException for what the real service offers and this server does not."""
    return invalid_parameter(text)


def check_stream_on_create(settings: Mapping[str, Any]) -> None:
    """A stream has a view type exactly when it is enabled (CreateTable)."""
    if settings["StreamEnabled"] and "StreamViewType" not in settings:
        raise invalid_parameter("Table is being created with a stream enabled, UpdateViewType is required")
    if not settings["StreamEnabled"] and "StreamViewType" in settings:
        raise invalid_parameter(
            "Table is being created with a stream disabled, UpdateViewType should not be specified"
        )


def check_stream_on_update(settings: Mapping[str, Any]) -> None:
    """A stream has a view type exactly when it is enabled (UpdateTable)."""
    if settings["StreamEnabled"] and "StreamViewType" not in settings:
        raise invalid_parameter("If stream is being enabled then UpdateViewType is required")
    if not settings["StreamEnabled"] and "StreamViewType" in settings:
        raise invalid_parameter("If stream is being disabled, then UpdateViewType must not be specified")


def enable_stream(document: TableDocument, view_type: str, now: float) -> None:
    """Give the document a new stream, in place. Labels are times, so one that is taken is moved on."""
    taken = {stream["Label"] for stream in document["Streams"]}
    moment = now
    while (label := stream_label(moment)) in taken:
        moment += 0.001
    arn = stream_arn(document["TableArn"], label)
    document["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": view_type}
    document["LatestStreamLabel"] = label
    document["LatestStreamArn"] = arn
    document["Streams"].append(
        {"Label": label, "Arn": arn, "ViewType": view_type, "CreatedAt": timestamp(now)}
    )


def disable_stream(document: TableDocument, now: float) -> None:
    """Close the document's stream, in place: it is described no more, its label and ARN stay."""
    del document["StreamSpecification"]
    document["Streams"][-1]["DisabledAt"] = timestamp(now)


def check_encryption(settings: Mapping[str, Any]) -> bool:
    """Whether a SSESpecification asks for a KMS key; ValidationException when its members contradict.

    Left out, `Enabled` means true as soon as a type or a key is given.
    """
    kind, key = settings.get("SSEType"), settings.get("KMSMasterKeyId")
    if settings.get("Enabled") is False:
        if kind is not None:
            raise invalid_parameter("SSEType can not be specified if Enabled is false")
        if key is not None:
            raise invalid_parameter("KMSMasterKeyId can not be specified if Enabled is false")
        return False
    if kind == "AES256":
        raise invalid_parameter("SSEType AES256 is not supported")
    if key is not None and kind is None:
        raise invalid_parameter("SSEType KMS is required if KMSMasterKeyId is specified")
    return bool(settings.get("Enabled") or kind)


def encryption_description(settings: Mapping[str, Any], region: str, account: str) -> dict[str, str]:
    """The SSEDescription of a table with a KMS key.

    There is no key service here and nothing is encrypted by it: the setting is kept so that it reads back
    as on the real service. An alias or a key id is shown as the ARN of a key, always the same one for the
    same name.
    """
    key = settings.get("KMSMasterKeyId") or AWS_MANAGED_KEY
    if not key.startswith("arn:"):
        if key.startswith("alias/"):
            key = str(uuid.uuid5(uuid.NAMESPACE_URL, f"kms:{region}:{account}:{key}"))
        key = f"arn:aws:kms:{region}:{account}:key/{key}"
    return {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": key}


def check_encryption_changes(document: TableDocument, settings: Mapping[str, Any], wanted: bool) -> None:
    """ValidationException when UpdateTable asks for the encryption that the table has."""
    current = document.get("SSEDescription")
    if not wanted and current is None:
        raise invalid_parameter("Table is already encrypted by default")
    if wanted and current is not None and settings.get("KMSMasterKeyId") == current["KMSMasterKeyArn"]:
        raise invalid_parameter(
            "Table is already encrypted with given KMSMasterKeyId. "
            "Use KMSMasterKeyId parameter if you want to change Master Key"
        )


def stream_already_enabled(table_name: str) -> ApiError:
    """Enabling a stream that is enabled; its view type cannot be changed either."""
    return validation(f"Table already has an enabled stream: TableName: {table_name}")


def stream_of_replica() -> ApiError:
    """Disabling the stream of a global table, which always has one."""
    return invalid_parameter("Disabling Stream is not allowed for a Global Table replica.")


def no_stream_to_disable(table_name: str) -> ApiError:
    """Disabling a stream that is not enabled."""
    return validation(f"Table has no stream to disable: TableName: {table_name}")
