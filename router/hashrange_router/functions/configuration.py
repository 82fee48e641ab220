"""The configuration of a function: what requests may set, what is refused, and the document that the API shows.

Refused is everything that this server cannot do and that a function would miss: container images, layers, networks,
file systems, snapshots, keys. What changes nothing for the function's code is kept and shown (TracingConfig).
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any

import orjson

from hashrange_router.functions.errors import invalid, unsupported
from hashrange_router.functions.names import LATEST
from hashrange_router.functions.requests import Request, Setting

RUNTIME = re.compile(r"python3\.\d+|nodejs(18|20|22|24)\.x|provided(\.al2|\.al2023)?")
"""Runtimes that workers can run."""
ENVIRONMENT_MAX = 4096
"""Bytes of all environment variables together, as JSON (AWS Lambda Developer Guide, Lambda quotas)."""

RESERVED = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "_LAMBDA_TELEMETRY_LOG_FD",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_FORMAT",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_LEVEL",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_MAX_CONCURRENCY",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)
"""Names that the pool gives values to, which a function's own must not replace."""

_OUT_OF_REACH = {
    "CapacityProviderConfig": "CapacityProviderConfig",
    "CodeSigningConfigArn": "Code signing",
    "DurableConfig": "DurableConfig",
    "AcceleratorConfig": "AcceleratorConfig",
    "RuntimeConfig": "RuntimeConfig",
    "TenancyConfig": "TenancyConfig",
    "PublishTo": "PublishTo",
    "Layers": "Layers",
    "FileSystemConfigs": "FileSystemConfigs",
    "ImageConfig": "ImageConfig",
    "KMSKeyArn": "Encryption with a key of KMS",
}
_PLAIN = (
    "Role",
    "Runtime",
    "Handler",
    "Description",
    "Timeout",
    "MemorySize",
    "TracingConfig",
    "EphemeralStorage",
)
_LEVELS = ("ApplicationLogLevel", "SystemLogLevel")


def check_settings(request: Request) -> None:
    """Refuse what cannot be done here, or not in this combination. Types and ranges have been checked."""
    for member, words in _OUT_OF_REACH.items():
        if request.get(member):
            raise unsupported(words)
    network = request.get("VpcConfig") or {}
    if network.get("SubnetIds") or network.get("SecurityGroupIds"):
        raise unsupported("VpcConfig")
    if request.get("PackageType", "Zip") != "Zip":
        raise unsupported("PackageType Image")
    if (request.get("SnapStart") or {}).get("ApplyOn", "None") != "None":
        raise unsupported("SnapStart")
    runtime = request.get("Runtime")
    if runtime is not None and not RUNTIME.fullmatch(runtime):
        raise invalid(
            f"The runtime parameter of {runtime} is not supported by this server. Supported are python3.x, "
            "nodejs18.x, nodejs20.x, nodejs22.x, nodejs24.x, provided, provided.al2 and provided.al2023"
        )
    _check_environment((request.get("Environment") or {}).get("Variables") or {})
    logging = request.get("LoggingConfig") or {}
    if logging.get("LogFormat", "Text") == "Text" and any(logging.get(level) for level in _LEVELS):
        raise invalid("Log level filtering is only supported for functions that use the JSON log format")


def _check_environment(variables: dict[str, str]) -> None:
    prefix = "Lambda was unable to configure your environment variables because the environment variables you have "
    reserved = sorted(RESERVED & variables.keys())
    if reserved:
        raise invalid(
            f"{prefix}provided contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    if any("\0" in value for value in variables.values()):
        raise invalid(f"{prefix}provided contain a NUL character")
    measured = orjson.dumps(variables)
    if len(measured) > ENVIRONMENT_MAX:
        raise invalid(f"{prefix}provided exceeded the 4KB limit. String measured: {measured.decode()}")


def new_configuration(request: Request, name: str, setting: Setting) -> dict[str, Any]:
    """The configuration of a new function, without what its code adds."""
    if not request.get("Runtime") or not request.get("Handler"):
        raise invalid(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages."
        )
    check_settings(request)
    return updated_configuration(
        {
            "FunctionName": name,
            "FunctionArn": setting.names.arn(name),
            "Description": "",
            "Timeout": 3,
            "MemorySize": 128,
            "Version": LATEST,
            "TracingConfig": {"Mode": "PassThrough"},
            "PackageType": "Zip",
            "Architectures": request.get("Architectures") or ["x86_64"],
            "EphemeralStorage": {"Size": 512},
            "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
            "State": "Active",
            "LastUpdateStatus": "Successful",
        },
        request,
    )


def updated_configuration(before: dict[str, Any], request: Request) -> dict[str, Any]:
    """A configuration with what a request sets."""
    after = dict(before)
    for member in _PLAIN:
        if request.get(member) is not None:
            after[member] = request[member]
    if request.get("Environment") is not None:
        variables = request["Environment"].get("Variables") or {}
        after.pop("Environment", None)
        if variables:
            after["Environment"] = {"Variables": variables}
    if request.get("DeadLetterConfig") is not None:
        target = request["DeadLetterConfig"].get("TargetArn")
        after.pop("DeadLetterConfig", None)
        if target:
            after["DeadLetterConfig"] = {"TargetArn": target}
    if request.get("LoggingConfig") is not None:
        after["LoggingConfig"] = _logging(before["LoggingConfig"], request["LoggingConfig"])
    return after


def _logging(before: dict[str, str], given: dict[str, str]) -> dict[str, str]:
    after = {**before, **{member: value for member, value in given.items() if value}}
    if after["LogFormat"] == "JSON":
        return {**dict.fromkeys(_LEVELS, "INFO"), **after}
    return {member: value for member, value in after.items() if member not in _LEVELS}


def stamped(configuration: dict[str, Any], setting: Setting) -> dict[str, Any]:
    """A configuration that has just been changed: a new RevisionId, and the time."""
    return {**configuration, "LastModified": setting.modified, "RevisionId": setting.new_id()}


_OF_ONE_VERSION = frozenset(
    {"FunctionArn", "LastModified", "LastUpdateStatus", "RevisionId", "State", "Version"}
)
_NOT_THE_WORKERS = _OF_ONE_VERSION | {"DeadLetterConfig", "Description", "TracingConfig"}


def worker_revision(configuration: dict[str, Any], code: str) -> str:
    """What changes with everything that a running worker cannot take over."""
    seen = {member: value for member, value in configuration.items() if member not in _NOT_THE_WORKERS}
    return sha256(orjson.dumps([seen, code], option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


def same_function(published: dict[str, Any], latest: dict[str, Any]) -> bool:
    """Whether a version is what is there now: publishing gives no new version then.

    A version that was given a description of its own has in `Described` the one that it was published from.
    """
    return bool(published["Code"] == latest["Code"] and _compared(published) == _compared(latest))


def _compared(stored: dict[str, Any]) -> dict[str, Any]:
    configuration = stored["Configuration"]
    seen = {member: value for member, value in configuration.items() if member not in _OF_ONE_VERSION}
    return {**seen, "Description": stored.get("Described", configuration["Description"])}


def shown(stored: dict[str, Any], arn: str | None = None) -> dict[str, Any]:
    """A version's configuration as the API shows it, under another ARN if it was asked for by one."""
    found: dict[str, Any] = stored["Configuration"]
    return found if arn is None else {**found, "FunctionArn": arn}
