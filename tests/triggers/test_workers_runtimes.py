"""Node functions under our bootstrap, executables called bootstrap, and streamed answers."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.triggers.workers_support import Lab

node = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")

KINDS = {
    "async": "exports.handler = async (event) => ({ got: event });",
    "callback": "exports.handler = (event, context, callback) => setTimeout(() => callback(null, { got: event }), 5);",
    "succeed": "exports.handler = (event, context) => context.succeed({ got: event });",
    "promise": "exports.handler = (event) => new Promise((done) => setImmediate(done, { got: event }));",
}


@node
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_handlers_of_every_kind(lab: Lab, kind: str) -> None:
    function = lab.node(KINDS[kind])
    assert lab.value(function, {"ü": 1}) == {"got": {"ü": 1}}
    assert lab.value(function, [2]) == {"got": [2]}


@node
def test_modules_of_both_kinds(lab: Lab) -> None:
    esm = 'import { format } from "node:util"; export const handler = async (e) => format("%s!", e);'
    assert lab.value(lab.node(esm, "index.mjs"), "x") == "x!"
    files = {"package.json": '{"type": "module"}', "src/index.js": esm}
    assert lab.value(lab.function("nodejs22.x", "src/index.handler", files), "y") == "y!"
    common = {
        "index.js": 'const { twice } = require("./lib/twice"); exports.api = { run: async (e) => twice(e) };',
        "lib/twice.js": "exports.twice = (n) => 2 * n;",
    }
    assert lab.value(lab.function("nodejs20.x", "index.api.run", common), 21) == 42


@node
def test_errors_of_node_handlers(lab: Lab) -> None:
    failure = lab.failure(lab.node("exports.handler = async () => { throw new RangeError('far'); };"))
    assert (failure["errorType"], failure["errorMessage"]) == ("RangeError", "far")
    assert failure["trace"][0] == "RangeError: far"
    assert "index.js" in failure["trace"][1]
    failure = lab.failure(lab.node("exports.handler = (e, c, done) => done('just text');"))
    assert (failure["errorType"], failure["errorMessage"]) == ("string", "just text")


@node
def test_an_error_that_nobody_caught_ends_the_worker(lab: Lab) -> None:
    source = """const born = Math.random(); exports.handler = (event, context, done) => {
        if (event) setTimeout(() => { throw new Error("late"); }, 1); else done(null, born); };"""
    function = lab.node(source)
    first = lab.value(function, 0)
    assert lab.failure(function, 1)["errorMessage"] == "late"
    assert lab.value(function, 0) != first
    rejected = lab.node("exports.handler = (e, c, done) => { Promise.reject(new Error('forgotten')); };")
    failure = lab.failure(rejected)
    assert failure["errorType"] == "Runtime.UnhandledPromiseRejection"
    assert "forgotten" in failure["errorMessage"]


@node
@pytest.mark.parametrize(
    ("files", "handler", "kind"),
    [
        ({"index.js": "syntax error here"}, "index.handler", "Runtime.UserCodeSyntaxError"),
        ({"index.js": "require('nothing-like-this');"}, "index.handler", "Runtime.ImportModuleError"),
        ({"index.js": "exports.other = 1;"}, "index.handler", "Runtime.HandlerNotFound"),
        ({"index.js": "exports.handler = 1;"}, "index.handler", "Runtime.HandlerNotFound"),
        ({"index.js": ""}, "absent.handler", "Runtime.ImportModuleError"),
        ({"index.js": "throw new TypeError('at load');"}, "index.handler", "TypeError"),
    ],
)
def test_node_functions_that_cannot_be_loaded(
    lab: Lab, files: dict[str, str], handler: str, kind: str
) -> None:
    assert lab.failure(lab.function("nodejs20.x", handler, files))["errorType"] == kind


@node
def test_the_context_of_node_handlers(lab: Lab) -> None:
    source = """exports.handler = async (event, context) => ({
        id: context.awsRequestId, arn: context.invokedFunctionArn, left: context.getRemainingTimeInMillis(),
        name: context.functionName, memory: context.memoryLimitInMB, client: context.clientContext,
        execution: process.env.AWS_EXECUTION_ENV });"""
    function = lab.node(source, timeout_s=9)
    invocation = lab.invocation(function, client_context=b'{"a": 1}')
    told = json.loads(lab.run(lab.pool.invoke(invocation)).payload)
    assert 0 < told.pop("left") <= 9000
    assert told == {
        "id": invocation.request_id,
        "arn": function.arn,
        "name": function.name,
        "memory": "256",
        "client": {"a": 1},
        "execution": "AWS_Lambda_nodejs20.x",
    }


@node
def test_streamed_answers(lab: Lab) -> None:
    source = """exports.handler = awslambda.streamifyResponse(async (event, stream) => {
        stream.setContentType("text/plain");
        for (let i = 0; i < event.parts; i++) { stream.write("x".repeat(event.size)); await new Promise(setImmediate); }
        if (event.fail) throw new Error("midway");
        stream.end("end");
    });"""
    function = lab.node(source)
    result = lab.invoke(function, {"parts": 3, "size": 10})
    assert (result.error, result.payload) == (None, b"x" * 30 + b"end")
    large = lab.invoke(function, {"parts": 100, "size": 100_000})
    assert len(large.payload) == 10_000_003, "a streamed answer may be larger than 6 MB"
    broken = lab.failure(function, {"parts": 3, "size": 10, "fail": True})
    assert (broken["errorType"], broken["errorMessage"]) == ("Error", "midway")
    early = lab.failure(function, {"parts": 0, "size": 0, "fail": True})
    assert early["errorMessage"] == "midway"
    assert lab.invoke(function, {"parts": 0, "size": 0}).payload == b"end"


@node
def test_odd_errors_and_huge_answers_of_node(lab: Lab) -> None:
    odd = lab.failure(
        lab.node(
            "exports.handler = async () => { throw Object.assign(new Error('no'), { name: 'bäd\\r\\n' }); };"
        )
    )
    assert (odd["errorType"], odd["errorMessage"]) == ("bäd\r\n", "no")
    huge = lab.node("exports.handler = async (size) => 'x'.repeat(size);", memory_mb=512)
    for size in (7 << 20, 30 << 20):
        assert lab.failure(huge, size)["errorType"] == "Function.ResponseSizeTooLarge"
    assert lab.value(huge, 3) == "xxx"


BASH = """#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
headers=$(mktemp)
while true; do
    event=$(curl -sS -D "$headers" "$api/invocation/next")
    id=$(tr -d '\\r' < "$headers" | sed -n 's/^lambda-runtime-aws-request-id: //Ip')
    echo "handling $_HANDLER"
    if [ "$event" = '"fail"' ]; then
        curl -sS -X POST "$api/invocation/$id/error" -H 'Lambda-Runtime-Function-Error-Type: Shell.Sad' \
            -d '{"errorType":"Shell.Sad","errorMessage":"as asked"}' > /dev/null
    elif [ "$event" = '"stranger"' ]; then
        curl -sS -X POST "$api/invocation/00000000-0000-0000-0000-000000000000/response" -d x > "$headers"
        curl -sS -X POST "$api/invocation/$id/response" -d "$(cat "$headers")" > /dev/null
    else
        curl -sS -X POST "$api/invocation/$id/response" -d "{\\"event\\":$event}" > /dev/null
    fi
done
"""

shell = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


@shell
def test_an_executable_bootstrap(lab: Lab) -> None:
    function = lab.function("provided.al2023", "my.handler", {"bootstrap": BASH})
    result = lab.invoke(function, {"n": 1})
    assert json.loads(result.payload) == {"event": {"n": 1}}
    assert b"handling my.handler" in result.log_tail
    assert lab.failure(function, "fail") == {"errorType": "Shell.Sad", "errorMessage": "as asked"}
    assert lab.value(function, "stranger")["errorType"] == "InvalidRequestID"


def test_a_package_without_bootstrap(lab: Lab) -> None:
    failure = lab.failure(lab.function("provided.al2023", "x", {"other": ""}))
    assert failure["errorType"] == "Runtime.InvalidEntrypoint"
    assert "bootstrap" in failure["errorMessage"]
