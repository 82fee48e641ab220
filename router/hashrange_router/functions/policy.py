"""The policies of functions: who may invoke them. They are kept and shown; nobody is refused by them here."""

from __future__ import annotations

import re
from typing import Any

import orjson

from hashrange_router.functions.errors import conflict, not_found, policy_too_long
from hashrange_router.functions.requests import (
    Change,
    Document,
    Request,
    Setting,
    check_qualifier,
    check_revision,
    existing,
)

POLICY_BYTES_MAX = 20 * 1024
"""Bytes of one policy as JSON (AWS Lambda Developer Guide, Lambda quotas)."""
_ACCOUNT = re.compile(r"\d{12}\Z")


def add_permission(request: Request, before: Document | None, setting: Setting) -> Change:
    """AddPermission."""
    document, at = _place(request, before, setting)
    policy = document["Policy"].get(at, {"RevisionId": None, "Statement": []})
    check_revision(request, policy["RevisionId"])
    sid = request["StatementId"]
    if any(statement["Sid"] == sid for statement in policy["Statement"]):
        raise conflict(
            f"The statement id ({sid}) provided already exists. Please provide a new statement id, "
            "or remove the existing statement."
        )
    statement = _statement(request, setting.names.arn(document["Name"], at or None))
    after = {"RevisionId": setting.new_id(), "Statement": [*policy["Statement"], statement]}
    if len(_render(after)) > POLICY_BYTES_MAX:
        raise policy_too_long(POLICY_BYTES_MAX)
    changed = {**document, "Policy": {**document["Policy"], at: after}}
    return Change(changed, {"Statement": orjson.dumps(statement).decode()})


def remove_permission(request: Request, before: Document | None, setting: Setting) -> Change:
    """RemovePermission."""
    document, at = _place(request, before, setting)
    policy = document["Policy"].get(at)
    if policy is None:
        raise not_found("No policy is associated with the given resource.")
    check_revision(request, policy["RevisionId"])
    sid = request["StatementId"]
    kept = [statement for statement in policy["Statement"] if statement["Sid"] != sid]
    if len(kept) == len(policy["Statement"]):
        raise not_found(f"Statement {sid} is not found in resource policy.")
    policies = {key: value for key, value in document["Policy"].items() if key != at}
    if kept:
        policies[at] = {"RevisionId": setting.new_id(), "Statement": kept}
    return Change({**document, "Policy": policies})


def get_policy(request: Request, before: Document | None, setting: Setting) -> dict[str, Any]:
    """GetPolicy."""
    document, at = _place(request, before, setting)
    policy = document["Policy"].get(at)
    if policy is None:
        raise not_found("The resource you requested does not exist.")
    return {"Policy": _render(policy).decode(), "RevisionId": policy["RevisionId"]}


def _place(request: Request, before: Document | None, setting: Setting) -> tuple[Document, str]:
    """The function, and the qualifier that its policies are kept under."""
    named = setting.names.parse(request["FunctionName"], request.get("Qualifier") or None)
    document = existing(before, named.name, setting)
    check_qualifier(document, named.qualifier, setting)
    return document, named.qualifier or ""


def _render(policy: dict[str, Any]) -> bytes:
    return orjson.dumps({"Version": "2012-10-17", "Id": "default", "Statement": policy["Statement"]})


def _statement(request: Request, arn: str) -> dict[str, Any]:
    principal = request["Principal"]
    who: Any
    if principal == "*":
        who = "*"
    elif _ACCOUNT.match(principal):
        who = {"AWS": f"arn:aws:iam::{principal}:root"}
    elif principal.startswith("arn:"):
        who = {"AWS": principal}
    else:
        who = {"Service": principal}
    statement = {
        "Sid": request["StatementId"],
        "Effect": "Allow",
        "Principal": who,
        "Action": request["Action"],
        "Resource": arn,
    }
    equals = {
        key: request[member]
        for member, key in (
            ("SourceAccount", "AWS:SourceAccount"),
            ("PrincipalOrgID", "aws:PrincipalOrgID"),
            ("EventSourceToken", "lambda:EventSourceToken"),
            ("FunctionUrlAuthType", "lambda:FunctionUrlAuthType"),
        )
        if member in request
    }
    condition: dict[str, Any] = {"StringEquals": equals} if equals else {}
    if "SourceArn" in request:
        condition["ArnLike"] = {"AWS:SourceArn": request["SourceArn"]}
    return {**statement, "Condition": condition} if condition else statement
