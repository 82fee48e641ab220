"""Functions as boto3 sees them: made, read, listed, changed, deleted; settings and packages that are refused."""

from __future__ import annotations

import io
import urllib.request
import zipfile
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest

from tests.conformance.lambda_support import ROLE, LambdaServer, function, lambda_server, package
from tests.conformance.support import Containing, error, unique

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
INVALID = "InvalidParameterValueException"


@pytest.fixture(scope="module")
def server() -> Iterator[LambdaServer]:
    with lambda_server() as running:
        yield running


@pytest.fixture
def aws(server: LambdaServer) -> Any:
    return server.client


@pytest.fixture
def name(aws: Any) -> str:
    """A function."""
    made = unique("f")
    aws.create_function(**function(made))
    return made


def test_a_new_function_is_shown_with_the_defaults_of_the_service(aws: Any) -> None:
    name = unique("f")
    made = aws.create_function(**function(name))
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    code = package()
    expected = {
        "FunctionName": name,
        "FunctionArn": ARN + name,
        "Runtime": "python3.11",
        "Role": ROLE,
        "Handler": "app.handler",
        "CodeSize": len(code),
        "CodeSha256": b64encode(sha256(code).digest()).decode(),
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "Version": "$LATEST",
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "TracingConfig": {"Mode": "PassThrough"},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
    }
    assert {key: made[key] for key in expected} == expected
    assert made["LastModified"].endswith("+0000")
    assert "Environment" not in made
    for waiter in ("function_exists", "function_active_v2", "function_updated_v2"):
        aws.get_waiter(waiter).wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 1})
    shown = aws.get_function(FunctionName=name)
    del made["ResponseMetadata"]
    assert shown["Configuration"] == made
    assert "Tags" not in shown
    with urllib.request.urlopen(shown["Code"]["Location"]) as answer:
        assert answer.read() == code
    again = aws.get_function_configuration(FunctionName=ARN + name)
    assert again["RevisionId"] == made["RevisionId"]


def test_settings_that_are_given_are_kept(server: LambdaServer, aws: Any) -> None:
    name = unique("f")
    given = {
        "Description": "does it",
        "Timeout": 900,
        "MemorySize": 10_240,
        "EphemeralStorage": {"Size": 10_240},
        "Environment": {"Variables": {"TABLE": "t", "STAGE": "dev"}},
        "TracingConfig": {"Mode": "Active"},
        "Architectures": ["arm64"],
        "LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG", "LogGroup": "mine"},
    }
    made = aws.create_function(**function(name, Tags={"a": "1"}, VpcConfig={"SubnetIds": []}, **given))
    given["LoggingConfig"] = {**given["LoggingConfig"], "SystemLogLevel": "INFO"}  # type: ignore[dict-item]
    assert {key: made[key] for key in given} == given
    assert aws.get_function(FunctionName=name)["Tags"] == {"a": "1"}
    version = server.running.on_loop(lambda _: server.directory.resolve(name))
    assert (version.timeout_s, version.memory_mb, version.ephemeral_mb) == (900, 10_240, 10_240)
    assert version.environment == {"TABLE": "t", "STAGE": "dev", "AWS_LAMBDA_LOG_LEVEL": "DEBUG"}
    assert (version.log_format, version.architecture) == ("JSON", "arm64")


@pytest.mark.parametrize("runtime", ["python3.8", "python3.13", "nodejs18.x", "nodejs20.x", "nodejs22.x",
                                     "provided", "provided.al2", "provided.al2023"])  # fmt: skip
def test_runtimes_that_can_be_run(aws: Any, runtime: str) -> None:
    made = aws.create_function(**function(unique("f"), Runtime=runtime))
    assert made["Runtime"] == runtime


@pytest.mark.parametrize("runtime", ["java21", "nodejs16.x", "python2.7", "ruby3.2", "go1.x", "dotnet8"])
def test_runtimes_that_cannot(aws: Any, runtime: str) -> None:
    refused = error(aws.create_function, **function(unique("f"), Runtime=runtime))
    assert refused == (INVALID, Containing(runtime, "not supported"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"PackageType": "Image"}, "Image"),
        ({"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:a:1"]}, "Layers"),
        ({"VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}}, "VpcConfig"),
        (
            {
                "FileSystemConfigs": [
                    {
                        "Arn": "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/"
                        "fsap-0123456789abcdef0",
                        "LocalMountPath": "/mnt/a",
                    }
                ]
            },
            "FileSystemConfigs",
        ),
        ({"SnapStart": {"ApplyOn": "PublishedVersions"}}, "SnapStart"),
        ({"DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:000000000000:q"}}, "DeadLetterConfig"),
        ({"KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/a"}, "KMS"),
        ({"ImageConfig": {"Command": ["a"]}}, "ImageConfig"),
        ({"LoggingConfig": {"ApplicationLogLevel": "DEBUG"}}, "JSON"),
        ({"Runtime": None}, "mandatory"),
        ({"Handler": None}, "mandatory"),
        ({"Environment": {"Variables": {"AWS_REGION": "x", "_HANDLER": "y"}}}, "_HANDLER"),
        ({"Environment": {"Variables": {"BIG": "x" * 4096}}}, "4KB"),
        ({"Tags": {"aws:a": "1"}}, "aws:"),
        ({"Tags": {"a*": "1"}}, "not allowed"),
        ({"Tags": {f"k{n}": "" for n in range(51)}}, "50"),
        ({"Code": {"S3Bucket": "bucket", "S3Key": "key"}}, "S3"),
        ({"Code": {"ImageUri": "a"}}, "image"),
        ({"Code": {}}, "source"),
        ({"FunctionName": "a:live"}, "qualifier"),
    ],
)
def test_what_is_out_of_reach_is_refused_by_name(aws: Any, settings: dict[str, Any], said: str) -> None:
    request = {
        key: value for key, value in {**function(unique("f")), **settings}.items() if value is not None
    }
    if "_HANDLER" in str(settings):
        # The model has no names that begin with an underscore.
        assert error(aws.create_function, **request)[0] == "ValidationException"
        request["Environment"] = {"Variables": {"AWS_REGION": "x", "LAMBDA_TASK_ROOT": "y"}}
        said = "AWS_REGION, LAMBDA_TASK_ROOT"
    assert error(aws.create_function, **request) == (INVALID, Containing(said))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"Timeout": 0}, "greater than or equal to 1"),
        ({"Timeout": 901}, "less than or equal to 900"),
        ({"MemorySize": 127}, "128"),
        ({"MemorySize": 10_241}, "10240"),
        ({"EphemeralStorage": {"Size": 511}}, "512"),
        ({"EphemeralStorage": {"Size": 10_241}}, "10240"),
        ({"Role": "admin"}, "role"),
        ({"Handler": "a b"}, "handler"),
        ({"Runtime": "cobol"}, "enum"),
        ({"Description": "x" * 257}, "256"),
        ({"FunctionName": "a" * 65}, "64"),
        ({"FunctionName": "a b"}, "functionName"),
        ({"Environment": {"Variables": {"1A": "x"}}}, "variables"),
        ({"Architectures": ["vax"]}, "x86_64"),
        ({"Role": None}, "role"),
        ({"Code": None}, "code"),
    ],
)
def test_constraints_of_the_model(aws: Any, settings: dict[str, Any], said: str) -> None:
    request = {
        key: value for key, value in {**function(unique("f")), **settings}.items() if value is not None
    }
    assert error(aws.create_function, **request) == ("ValidationException", Containing(said))


def test_json_of_a_wrong_type(aws: Any) -> None:
    assert error(aws.create_function, **function(unique("f"), Timeout="soon"))[0] == "SerializationException"
    assert error(aws.list_functions, MaxItems="many")[0] == "SerializationException"


def zipped(member: str | zipfile.ZipInfo, content: bytes = b"x") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "non-empty zip"),
        (b"no zip at all", "Could not unzip"),
        (zipped("../evil.py"), "unsafe path"),
        (zipped("/etc/evil.py"), "unsafe path"),
    ],
)
def test_packages_that_are_refused(aws: Any, name: str, content: bytes, said: str) -> None:
    refused = error(aws.create_function, **function(unique("f"), Code={"ZipFile": content}))
    assert refused == (INVALID, Containing(said))
    before = aws.get_function_configuration(FunctionName=name)
    refused = error(aws.update_function_code, FunctionName=name, ZipFile=content)
    assert refused == (INVALID, Containing(said))
    assert aws.get_function_configuration(FunctionName=name)["RevisionId"] == before["RevisionId"]


def test_a_second_function_of_a_name(aws: Any, name: str) -> None:
    refused = error(aws.create_function, **function(name))
    assert refused == ("ResourceConflictException", f"Function already exist: {name}")


def test_functions_that_are_not_there(aws: Any) -> None:
    missing = ("ResourceNotFoundException", Containing(f"Function not found: {ARN}none"))
    for call in (
        aws.get_function,
        aws.get_function_configuration,
        aws.delete_function,
        aws.update_function_configuration,
        aws.list_versions_by_function,
        aws.list_aliases,
        aws.publish_version,
        aws.get_function_concurrency,
        aws.delete_function_concurrency,
        aws.get_policy,
        aws.get_function_event_invoke_config,
        aws.list_function_event_invoke_configs,
        aws.invoke,
    ):
        assert error(call, FunctionName="none") == missing
    assert error(aws.update_function_code, FunctionName="none", ZipFile=package()) == missing
    with pytest.raises(aws.exceptions.ResourceNotFoundException):
        aws.get_function(FunctionName="none")
    elsewhere = "arn:aws:lambda:eu-west-1:000000000000:function:none"
    assert error(aws.get_function, FunctionName=elsewhere)[0] == "ResourceNotFoundException"
    assert error(aws.get_function, FunctionName=ARN + "none:live")[1] == f"Function not found: {ARN}none:live"


def test_every_way_to_name_a_function(aws: Any, name: str) -> None:
    aws.publish_version(FunctionName=name)
    aws.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    for spelled in (name, f"000000000000:function:{name}", f"function:{name}", ARN + name):
        shown = aws.get_function_configuration(FunctionName=spelled)
        assert (shown["FunctionArn"], shown["Version"]) == (ARN + name, "$LATEST")
        shown = aws.get_function_configuration(FunctionName=spelled + ":live")
        assert (shown["FunctionArn"], shown["Version"]) == (f"{ARN}{name}:live", "1")
        shown = aws.get_function_configuration(FunctionName=spelled, Qualifier="1")
        assert (shown["FunctionArn"], shown["Version"]) == (f"{ARN}{name}:1", "1")
    shown = aws.get_function_configuration(FunctionName=name, Qualifier="$LATEST")
    assert shown["FunctionArn"] == f"{ARN}{name}:$LATEST"
    refused = error(aws.get_function, FunctionName=name + ":1", Qualifier="live")
    assert refused == (INVALID, Containing("derived qualifier"))


def test_lists_in_pages() -> None:
    with lambda_server() as server:
        aws = server.client
        names = [f"f{number:02d}" for number in range(7)]
        for name in reversed(names):
            aws.create_function(**function(name))
        aws.publish_version(FunctionName="f03")
        pages = list(aws.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 3}))
        assert [len(page["Functions"]) for page in pages] == [3, 3, 1]
        listed = [found for page in pages for found in page["Functions"]]
        assert [found["FunctionName"] for found in listed] == names
        assert "State" not in listed[0]
        everything = aws.list_functions(FunctionVersion="ALL")["Functions"]
        of_one = [found["FunctionArn"] for found in everything if found["FunctionName"] == "f03"]
        assert of_one == [f"{ARN}f03:$LATEST", f"{ARN}f03:1"]
        assert error(aws.list_functions, Marker="???") == (INVALID, "Invalid marker")
        assert error(aws.list_functions, MaxItems=0)[0] == "ValidationException"


def test_new_code(server: LambdaServer, aws: Any, name: str) -> None:
    before = aws.get_function_configuration(FunctionName=name)
    old = server.running.on_loop(lambda _: server.directory.resolve(name))
    code = package("def handler(event, context): return 2")
    tried = aws.update_function_code(FunctionName=name, ZipFile=code, DryRun=True)
    assert tried["CodeSha256"] == b64encode(sha256(code).digest()).decode()
    assert aws.get_function_configuration(FunctionName=name)["CodeSha256"] == before["CodeSha256"]
    stale = error(aws.update_function_code, FunctionName=name, ZipFile=code, RevisionId="old")
    assert stale[0] == "PreconditionFailedException"
    after = aws.update_function_code(
        FunctionName=name, ZipFile=code, RevisionId=before["RevisionId"], Publish=True
    )
    assert (after["Version"], after["CodeSha256"]) == ("1", tried["CodeSha256"])
    aws.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 1})
    new = server.running.on_loop(lambda _: server.directory.resolve(name))
    assert new.code == sha256(code).hexdigest()
    assert new.revision != old.revision
    refused = error(aws.update_function_code, FunctionName=name, S3Bucket="bucket", S3Key="k")
    assert refused == (INVALID, Containing("S3"))


def test_a_new_configuration(server: LambdaServer, aws: Any, name: str) -> None:
    def resolve() -> Any:
        return server.running.on_loop(lambda _: server.directory.resolve(name))

    first, before = resolve(), aws.get_function_configuration(FunctionName=name)
    stale = error(aws.update_function_configuration, FunctionName=name, Timeout=5, RevisionId="old")
    assert stale[0] == "PreconditionFailedException"
    after = aws.update_function_configuration(
        FunctionName=name, Description="new", RevisionId=before["RevisionId"]
    )
    assert after["Description"] == "new"
    assert after["RevisionId"] != before["RevisionId"]
    assert resolve().revision == first.revision, "workers need not end for a description"
    after = aws.update_function_configuration(
        FunctionName=name, Timeout=9, MemorySize=256, Environment={"Variables": {"AB": "2"}}
    )
    assert (after["Timeout"], after["MemorySize"], after["Handler"]) == (9, 256, "app.handler")
    assert resolve().environment == {"AB": "2"}
    assert resolve().revision != first.revision
    after = aws.update_function_configuration(FunctionName=name, Environment={})
    assert "Environment" not in after
    refused = error(aws.update_function_configuration, FunctionName=name, Runtime="java21")
    assert refused == (INVALID, Containing("java21"))


def test_a_function_that_is_deleted(aws: Any, name: str) -> None:
    answer = aws.delete_function(FunctionName=name)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert error(aws.get_function, FunctionName=name)[0] == "ResourceNotFoundException"
    aws.create_function(**function(name))


def test_operations_on_what_is_not_here(aws: Any, name: str) -> None:
    assert aws.list_layers()["Layers"] == []
    assert aws.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"] == []
    assert aws.list_provisioned_concurrency_configs(FunctionName=name)["ProvisionedConcurrencyConfigs"] == []
    assert aws.get_function_code_signing_config(FunctionName=name)["FunctionName"] == name
    assert aws.get_runtime_management_config(FunctionName=name)["UpdateRuntimeOn"] == "Auto"
    assert error(aws.get_function_url_config, FunctionName=name)[0] == "ResourceNotFoundException"
    refused = error(aws.create_function_url_config, FunctionName=name, AuthType="NONE")
    assert refused == (INVALID, Containing("CreateFunctionUrlConfig is not supported", "URL"))
    refused = error(
        aws.put_provisioned_concurrency_config,
        FunctionName=name,
        Qualifier="1",
        ProvisionedConcurrentExecutions=1,
    )
    assert refused[0] == INVALID


def test_account_settings() -> None:
    with lambda_server() as server:
        server.client.create_function(**function("one", Publish=True))
        server.client.put_function_concurrency(FunctionName="one", ReservedConcurrentExecutions=7)
        shown = server.client.get_account_settings()
        assert shown["AccountUsage"] == {"TotalCodeSize": len(package()), "FunctionCount": 1}
        limits = shown["AccountLimit"]
        assert (limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"]) == (1000, 993)
        assert (limits["CodeSizeUnzipped"], limits["CodeSizeZipped"]) == (262_144_000, 52_428_800)
