"""Python functions, run by the official awslambdaric: answers, errors, context, environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hashrange_router.triggers import environment
from hashrange_router.triggers.contracts import TriggerMetrics
from hashrange_router.triggers.reports import RESPONSE_BYTES_MAX

from hashrange.errors import ApiError
from tests.triggers.workers_support import Lab, laboratory

ECHO = "def handler(event, context):\n    return event\n"


def test_an_event_comes_back_as_it_went(lab: Lab) -> None:
    event = {"a": [1, 2.5, None, True], "ü": "😀\n", "nested": {"x": {}}}
    assert lab.value(lab.python(ECHO), event) == event


def test_large_events_and_answers(lab: Lab) -> None:
    event = "x" * (5 * 1024 * 1024)
    assert lab.value(lab.python(ECHO), event) == event


def test_an_answer_beyond_six_megabytes_is_an_error(lab: Lab) -> None:
    function = lab.python("def handler(event, context):\n    return 'x' * event\n")
    document = lab.failure(function, RESPONSE_BYTES_MAX)
    assert document["errorType"] == "Function.ResponseSizeTooLarge"
    assert str(RESPONSE_BYTES_MAX) in document["errorMessage"]
    assert lab.value(function, 3) == "xxx"


def test_an_exception_is_reported_with_its_stack(lab: Lab) -> None:
    function = lab.python("def handler(event, context):\n    raise ValueError('no ' + event)\n")
    result = lab.invoke(function, "way")
    document = json.loads(result.payload)
    assert (result.error, document["errorType"], document["errorMessage"]) == (
        "Unhandled",
        "ValueError",
        "no way",
    )
    assert any("app.py" in line and "in handler" in line for line in document["stackTrace"])
    assert document["requestId"]


def test_a_worker_survives_an_exception(lab: Lab) -> None:
    function = lab.python(
        "import random\nborn = random.random()\n"
        "def handler(event, context):\n    if event: raise KeyError(event)\n    return born\n"
    )
    before = lab.value(function)
    lab.failure(function, "x")
    assert lab.value(function) == before


def test_an_answer_that_is_no_json(lab: Lab) -> None:
    function = lab.python("def handler(event, context):\n    return {1, 2}\n")
    assert lab.failure(function)["errorType"] == "Runtime.MarshalError"


def test_the_context_says_what_is_called(lab: Lab) -> None:
    source = """
def handler(event, context):
    return {
        "request": context.aws_request_id, "arn": context.invoked_function_arn, "name": context.function_name,
        "version": context.function_version, "memory": context.memory_limit_in_mb,
        "left": context.get_remaining_time_in_millis(), "group": context.log_group_name,
        "client": context.client_context.custom if context.client_context else None,
    }
"""
    function = lab.python(source, timeout_s=7)
    invocation = lab.invocation(function, client_context=b'{"custom": {"k": "v\xc3\xbc"}}')
    invocation.invoked_arn = function.arn + ":live"
    told = json.loads(lab.run(lab.pool.invoke(invocation)).payload)
    assert 0 < told.pop("left") <= 7000
    assert told == {
        "request": invocation.request_id,
        "arn": function.arn + ":live",
        "name": function.name,
        "version": "$LATEST",
        "memory": "256",
        "group": f"/aws/lambda/{function.name}",
        "client": {"k": "vü"},
    }


def test_the_environment(lab: Lab) -> None:
    source = """
import os, time
def handler(event, context):
    return dict(os.environ, cwd=os.getcwd(), trace=os.environ["_X_AMZN_TRACE_ID"], zone=time.tzname[0])
"""
    function = lab.python(source, environment={"COLOUR": "green", "AWS_REGION": "moon"})
    seen = lab.value(function)
    assert seen["COLOUR"] == "green"
    assert seen["AWS_REGION"] == seen["AWS_DEFAULT_REGION"] == "us-east-1", (
        "a reserved name is not the function's"
    )
    assert seen["_HANDLER"] == "app.handler"
    assert seen["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.11"
    assert seen["AWS_LAMBDA_FUNCTION_NAME"] == function.name
    assert seen["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert seen["AWS_ACCESS_KEY_ID"] == seen["AWS_SECRET_ACCESS_KEY"] == "hashrange"
    assert seen["LAMBDA_TASK_ROOT"] == seen["cwd"]
    assert seen["trace"].startswith("Root=1-")
    assert seen["zone"] == "UTC"
    assert seen["AWS_LAMBDA_LOG_STREAM_NAME"].split("/")[3].startswith("[$LATEST]")
    assert not {"HASHRANGE_SECRET", "VIRTUAL_ENV", "PYTEST_CURRENT_TEST"} & set(seen), (
        "the pool's own is not passed on"
    )


def test_sdks_in_handlers_find_this_store(tmp_path: Path) -> None:
    with laboratory(tmp_path, endpoint_url="http://127.0.0.1:8000", region="eu-west-9") as lab:
        source = (
            "import os\n"
            "def handler(e, c):\n    return [os.environ['AWS_ENDPOINT_URL'], os.environ['AWS_REGION']]\n"
        )
        assert lab.value(lab.python(source)) == ["http://127.0.0.1:8000", "eu-west-9"]
        own = lab.python(source, environment={"AWS_ENDPOINT_URL": "http://elsewhere"})
        assert lab.value(own)[0] == "http://elsewhere"


def test_modules_beside_the_handler_are_found(lab: Lab) -> None:
    files = {
        "src/app.py": "import helper\nfrom lib import tool\ndef handler(e, c):\n    return helper.x + tool.y\n",
        "helper.py": "x = 1\n",
        "lib/__init__.py": "",
        "lib/tool.py": "y = 2\n",
    }
    assert lab.value(lab.function("python3.12", "src.app.handler", files)) == 3


def test_without_awslambdaric_the_error_says_what_to_install(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ApiError) as caught:
        lab.invoke(lab.python(ECHO))
    assert "pip install 'hashrange[triggers]'" in str(caught.value.message)
    assert caught.value.type_name == "InvalidRuntimeException"


def test_a_runtime_that_is_not_there(lab: Lab) -> None:
    with pytest.raises(ApiError) as caught:
        lab.invoke(lab.function("java21", "x.Y", {"x": ""}))
    assert caught.value.type_name == "InvalidRuntimeException"


def test_the_pool_counts(tmp_path: Path) -> None:
    with laboratory(tmp_path) as lab:
        function = lab.python("def handler(event, context):\n    return 1 / event\n")
        lab.value(function, 1)
        lab.value(function, 2)
        lab.failure(function, 0)
        name, metrics = function.name, lab.metrics
        assert isinstance(metrics, TriggerMetrics)
        assert (metrics.invocations[name], metrics.errors[name], metrics.cold_starts[name]) == (3, 1, 1)
        assert metrics.concurrent[name] == 0
        assert metrics.duration_ms[name] > 0
