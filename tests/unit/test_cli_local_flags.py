"""The command line of DynamoDB Local, translated."""

from __future__ import annotations

import pytest

from hashrange.cli.local_flags import translate


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("serve -port 8001 -inMemory", "serve --port 8001 --in-memory"),
        ("serve -dbPath /data -sharedDb", "serve --data-dir /data"),
        ("serve -cors http://a,http://b -disableTelemetry", "serve --cors http://a,http://b"),
        ("serve -delayTransientStatuses -optimizeDbBeforeStartup", "serve --delay-transient-statuses"),
        ("-inMemory -port 8001", "serve --in-memory --port 8001"),
        ("-jar DynamoDBLocal.jar -sharedDb -port 9", "serve --port 9"),
        (
            "-Djava.library.path=./DynamoDBLocal_lib -Xmx512m -jar DynamoDBLocal.jar -dbPath ./data",
            "serve --data-dir ./data",
        ),
        ("serve -port 8001 --region eu-west-1", "serve --port 8001 --region eu-west-1"),
        ("-help", "serve --help"),
        ("serve -help", "serve --help"),
        ("-version", "version"),
        ("-jar DynamoDBLocal.jar -version", "version"),
    ],
)
def test_flags_of_dynamodb_local(given: str, expected: str) -> None:
    assert translate(given.split()) == expected.split()


@pytest.mark.parametrize(
    "given",
    [
        "",
        "serve",
        "serve --port 8001 --in-memory",
        "serve --data-dir -x",
        "bench get --endpoint http://x",
        "bench -port",
        "reset -y",
        "--help",
        "-h",
        "version",
    ],
)
def test_everything_else_is_left_alone(given: str) -> None:
    assert translate(given.split()) == given.split()


def test_a_missing_value_is_left_for_the_parser_to_report() -> None:
    assert translate(["serve", "-port"]) == ["serve", "--port"]
    assert translate(["-jar"]) == ["serve"]


def test_the_list_given_is_not_changed() -> None:
    arguments = ["-port", "1"]
    translate(arguments)
    assert arguments == ["-port", "1"]
