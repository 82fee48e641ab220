"""The service's words for what happens to an invocation."""

from __future__ import annotations

import json
import signal

from hashrange_router.triggers import reports
from hashrange_router.triggers.contracts import FunctionVersion

ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
RID = "0f5b8f0e-0000-4000-8000-000000000001"


def lines(log_format: str = "Text") -> reports.Lines:
    return reports.Lines(
        FunctionVersion("f", ARN, "7", "python3.11", "a.b", "c", "r", 3, 128, 512, log_format=log_format)
    )


def test_text() -> None:
    text = lines()
    assert text.start(RID, 0) == f"START RequestId: {RID} Version: 7"
    assert text.end(RID) == f"END RequestId: {RID}"
    assert text.report(RID, 0, 12.3456, 40, None) == (
        f"REPORT RequestId: {RID}\tDuration: 12.35 ms\tBilled Duration: 13 ms\tMemory Size: 128 MB\t"
        "Max Memory Used: 40 MB\t"
    )
    cold = text.report(RID, 0, 1.0, 40, 99.5)
    assert cold.endswith("Max Memory Used: 40 MB\tInit Duration: 99.50 ms\t")
    assert "Billed Duration: 101 ms" in cold
    failed = text.report(RID, 0, 3000.0, 40, None, "timeout")
    assert failed.endswith("\tStatus: timeout\t")
    assert text.failed_init(0, 5.0, "error", "Runtime.X") == (
        "INIT_REPORT Init Duration: 5.00 ms\tPhase: init\tStatus: error\tError Type: Runtime.X"
    )


def test_json() -> None:
    text = lines("JSON")
    start = json.loads(text.start(RID, 1_700_000_000_123))
    assert start == {
        "time": "2023-11-14T22:13:20.123Z",
        "type": "platform.start",
        "record": {"requestId": RID, "version": "7"},
    }
    assert text.end(RID) is None
    report = json.loads(text.report(RID, 0, 12.5, 40, 3.25, "error", "Runtime.ExitError"))
    assert report["record"] == {
        "requestId": RID,
        "status": "error",
        "errorType": "Runtime.ExitError",
        "metrics": {
            "durationMs": 12.5,
            "billedDurationMs": 16,
            "memorySizeMB": 128,
            "maxMemoryUsedMB": 40,
            "initDurationMs": 3.25,
        },
    }
    assert json.loads(text.failed_init(0, 5.0, "timeout", ""))["type"] == "platform.initReport"


def test_ends_of_processes() -> None:
    start = f"RequestId: {RID} Error: Runtime exited "
    assert reports.exit_message(RID, 0) == start + "without providing a reason"
    assert reports.exit_message(RID, 2 << 8) == start + "with error: exit status 2"
    assert reports.exit_message(RID, signal.SIGKILL) == start + "with error: signal: killed"
    assert (
        reports.exit_message(RID, signal.SIGSEGV | 0x80) == start + "with error: signal: segmentation fault"
    )
    assert (
        reports.exit_message(RID, signal.SIGUSR1)
        == start + f"with error: signal: signal {int(signal.SIGUSR1)}"
    )


def test_timeouts() -> None:
    assert reports.timed_out(1_700_000_000_007, RID, 3) == (
        f"2023-11-14T22:13:20.007Z {RID} Task timed out after 3.00 seconds"
    )


def test_request_ids_of_errors_that_had_none() -> None:
    document = reports.with_request_id(b'{"errorMessage": "m", "requestId": ""}', RID)
    assert json.loads(document) == {"errorMessage": "m", "requestId": RID}
    assert json.loads(reports.with_request_id(b'{"requestId": "x"}', RID))["requestId"] == "x"
    assert json.loads(reports.with_request_id(b"not json", RID)) == {
        "errorType": "Runtime.Unknown",
        "errorMessage": "not json",
    }
