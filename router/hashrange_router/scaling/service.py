"""The Application Auto Scaling API on the router's port: its operations, by the target header that names each.

    dispatcher.serve(scaling_service(context))

Requests come as `application/x-amz-json-1.1` with the target `AnyScaleFrontendService.<operation>`, which is what
`boto3.client("application-autoscaling", endpoint_url=...)` sends. What is set up is kept in control documents
(`hashrange.model.scaling`); the scaler, at the control plane's leader, acts on them and writes down what it did.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from hashrange.model.scaling import TARGETS, Scalable, TargetDocument, scalable
from hashrange.wire.documents import ChangeDocument, ControlDocuments
from hashrange.wire.messages import ConflictError
from hashrange_router.api.call import Call, Operation
from hashrange_router.api.context import RouterContext
from hashrange_router.api.dispatch import JsonService, OperationEntry
from hashrange_router.api.validate import Validation
from hashrange_router.scaling import actions, policies, targets
from hashrange_router.scaling.errors import as_service, concurrent_update
from hashrange_router.scaling.model import TARGET_PREFIX, scaling_model
from hashrange_router.scaling.requests import Change, Request, Setting, target_of

SIGNING_NAME = "application-autoscaling"
RACES_MAX = 50
"""Changes planned for one request before it is refused: each time another change was faster."""

SUPPORTED = frozenset(scaling_model().operations) - {"GetPredictiveScalingForecast"}
"""Operations with a handler. A test compares it with the handlers."""

Plan = Callable[[Request, Scalable, TargetDocument | None, Setting], Change]
Answer = Callable[[Request, ControlDocuments, Setting], dict[str, Any]]
Handler = Callable[[Call, dict[str, Any]], Operation]


def scaling_service(context: RouterContext) -> JsonService:
    """The service, to be given to the dispatcher."""
    operations = ScalingOperations(context)
    validation = Validation(scaling_model(), "classic")
    entries: dict[bytes, OperationEntry] = {}
    for name, handler in operations.handlers().items():
        entry = OperationEntry(name, validation.compile_validator(name), handler, as_service)
        entries[f"{TARGET_PREFIX}.{name}".encode()] = entry
    return JsonService(TARGET_PREFIX.encode(), SIGNING_NAME, entries)


class ScalingOperations:
    """The operations of one router."""

    def __init__(self, context: RouterContext) -> None:
        self._context = context

    def handlers(self) -> dict[str, Handler]:
        """Every operation here, by its name."""
        plans: dict[str, Plan] = {
            "DeregisterScalableTarget": targets.deregister,
            "PutScalingPolicy": policies.put,
            "DeleteScalingPolicy": policies.delete,
            "PutScheduledAction": actions.put,
            "DeleteScheduledAction": actions.delete,
        }
        answers: dict[str, Answer] = {
            "DescribeScalableTargets": targets.describe_targets,
            "DescribeScalingPolicies": policies.describe_policies,
            "DescribeScheduledActions": actions.describe_actions,
            "DescribeScalingActivities": actions.describe_activities,
            "ListTagsForResource": self._list_tags,
        }
        found: dict[str, Handler] = {
            "RegisterScalableTarget": self.register,
            "TagResource": self.tag,
            "UntagResource": self.untag,
        }
        for name, plan in plans.items():
            found[name] = self._changing(plan)
        for name, answer in answers.items():
            found[name] = self._answering(answer)
        return found

    def register(self, call: Call, request: dict[str, Any]) -> Operation:
        """RegisterScalableTarget."""
        what = target_of(request)
        if self._context.controls.get(TARGETS, what.document_name) is None:
            targets.check_exists(what, self._context.get(what.table))
        return self._commit(call, what, lambda before: targets.register(request, what, before, self._now()))

    def tag(self, call: Call, request: dict[str, Any]) -> Operation:
        """TagResource."""
        return self._on_tags(call, request, targets.tag)

    def untag(self, call: Call, request: dict[str, Any]) -> Operation:
        """UntagResource."""
        return self._on_tags(call, request, targets.untag)

    def _list_tags(self, request: Request, controls: ControlDocuments, setting: Setting) -> dict[str, Any]:
        return {"Tags": targets.with_arn(request, self._documents())["Target"]["Tags"]}

    def _on_tags(
        self, call: Call, request: dict[str, Any], plan: Callable[[Request, TargetDocument], Change]
    ) -> Operation:
        found = targets.with_arn(request, self._documents())
        what = scalable(found["ResourceId"], found["ScalableDimension"])
        assert what is not None, "it was checked when the target was registered"

        def planned(before: TargetDocument | None) -> Change:
            return plan(request, targets.with_arn(request, [before] if before is not None else []))

        return self._commit(call, what, planned)

    def _documents(self) -> list[TargetDocument]:
        return [stored["document"] for stored in self._context.controls.of(TARGETS).values()]

    def _now(self) -> Setting:
        context = self._context
        return Setting(context.site.region, context.site.account, context.now(), context.new_id())

    def _changing(self, plan: Plan) -> Handler:
        """An operation that changes the target that it names."""

        def handle(call: Call, request: dict[str, Any]) -> Operation:
            what = target_of(request)
            return self._commit(call, what, lambda before: plan(request, what, before, self._now()))

        return handle

    def _answering(self, answer: Answer) -> Handler:
        """An operation that needs nothing but the router's view."""

        def handle(call: Call, request: dict[str, Any]) -> Operation:
            return orjson.dumps(answer(request, self._context.controls, self._now()))
            yield  # makes this a generator, like every operation

        return handle

    def _commit(
        self, call: Call, what: Scalable, plan: Callable[[TargetDocument | None], Change]
    ) -> Operation:
        """Plan and propose until no other change comes between the two.

        A change whose first attempt went through unnoticed loses against itself: it is in the view then.
        """
        call.table = what.table
        name = what.document_name
        for _ in range(RACES_MAX):
            before = self._context.controls.get(TARGETS, name)
            planned = plan(before["document"] if before is not None else None)
            expected = before["generation"] if before is not None else None
            try:
                yield ChangeDocument(TARGETS, name, expected, planned.document)
            except ConflictError:
                after = self._context.controls.get(TARGETS, name)
                if (after["document"] if after is not None else None) != planned.document:
                    continue
            return orjson.dumps(planned.reply)
        raise concurrent_update()
