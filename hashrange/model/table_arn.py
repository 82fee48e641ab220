"""Names and ARNs of tables, indexes and streams: building them, and resolving what a request names.

Every operation accepts the ARN of a table wherever it accepts its name. `resolve_table_name` is on the way
of every request, so a plain name costs one comparison; everything else is the error path. The texts of the
errors are those of the real service, observed.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from hashrange.errors import CORAL, ApiError, invalid_parameter, validation

PARTITION = "aws"
_NAME = re.compile(r"[a-zA-Z0-9_.-]{3,255}\Z")
_ARN_FORMAT = (
    "Valid ARN format is 'arn:<awsPartition>:<vendor>:<region>:<subscriber>:resourceType/resourceName', "
    "where Resource name must have length less than or equal to 255, Resource name must have length "
    "greater than or equal to 3, Resource name must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
)


def table_arn(region: str, account: str, name: str) -> str:
    """The ARN of a table. It depends on the name alone: a table made anew under a name has the same ARN."""
    return f"arn:{PARTITION}:dynamodb:{region}:{account}:table/{name}"


def index_arn(table: str, index_name: str) -> str:
    """The ARN of an index of the table with the ARN `table`."""
    return f"{table}/index/{index_name}"


def stream_label(now: float) -> str:
    """The label of a stream enabled at `now` (epoch seconds): UTC with milliseconds and no zone."""
    milliseconds = round(now * 1000)
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}"


def stream_arn(table: str, label: str) -> str:
    """The ARN of the stream `label` of the table with the ARN `table`."""
    return f"{table}/stream/{label}"


def access_denied() -> ApiError:
    """AccessDeniedException, as answered for the ARN of another account."""
    return ApiError("AccessDeniedException", "Access is denied", namespace=CORAL, message_key="Message")


def resolve_table_name(name_or_arn: str, region: str, account: str) -> str:
    """The bare name of the table that a request names by its name or its ARN.

    A plain name is returned as it is, unchecked (its length and pattern are constraints of the API model).
    Raises ValidationException for an ARN of another partition or region or of something that is no table,
    AccessDeniedException for one of another account.
    """
    if not name_or_arn.startswith("arn:"):
        return name_or_arn
    parts = name_or_arn.split(":", 5)
    if len(parts) < 6 or "/" not in parts[5]:
        raise _malformed(name_or_arn)
    _, partition, vendor, arn_region, arn_account, resource = parts
    if partition != PARTITION:
        raise _refused("Invalid AWS partition", name_or_arn)
    kind, name = resource.split("/", 1)
    if vendor != "dynamodb" or kind != "table":
        raise _refused("Invalid resource type", name_or_arn)
    if _NAME.match(name) is None:
        raise _malformed(name_or_arn)
    if arn_region != region:
        raise _refused("Invalid AWS region", name_or_arn)
    if arn_account != account:
        raise access_denied()
    return name


def resolve_resource_name(arn: str | None, region: str, account: str) -> str | None:
    """The name of the table that the tag operations address by `arn`.

    None for a well-formed ARN that can name no table (that of a stream): the caller answers that the
    resource is not found. The tag operations word their errors differently from all others.
    """
    if not arn:
        raise validation("Invalid TableArn")
    if not arn.startswith("arn:"):
        raise invalid_parameter(f"ARNs must start with 'arn:': {arn}")
    parts = arn.split(":", 5)
    if len(parts) < 6 or parts[1] != PARTITION or parts[2] != "dynamodb":
        raise invalid_parameter(f"Provided Arn is not a DynamoDB resource arn: {arn}")
    kind, _, name = parts[5].partition("/")
    if kind != "table":
        raise invalid_parameter(f"Provided Arn is not a DynamoDB resource arn: {arn}")
    name, _, inner = name.partition("/")
    if parts[3] != region or _NAME.match(name) is None or (inner and not inner.startswith("stream/")):
        raise validation(f"Invalid TableArn: Invalid ResourceArn provided as input {arn}")
    if parts[4] != account:
        raise access_denied()
    return None if inner else name


def _refused(reason: str, arn: str) -> ApiError:
    return validation(f"1 validation error detected: {reason} in '{arn}'")


def _malformed(arn: str) -> ApiError:
    return validation(
        f"1 validation error detected: Value '{arn}' at 'tableName' failed to satisfy constraint: "
        + _ARN_FORMAT
    )
