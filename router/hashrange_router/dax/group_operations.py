"""The operations on parameter groups and subnet groups, and DescribeEvents."""

from __future__ import annotations

from typing import Any, cast

from hashrange.model import dax
from hashrange.model.dax import DEFAULT_PARAMETERS, EventsDocument, ParameterDocument
from hashrange_router.api.context import RouterContext
from hashrange_router.dax import events, parameters, subnets
from hashrange_router.dax.errors import no_group
from hashrange_router.dax.names import group_name
from hashrange_router.dax.setting import Request, clusters
from hashrange_router.dax.steps import ALL, Steps, change, record_event

Reply = Steps[dict[str, Any]]


class GroupOperations:
    """The operations of one router."""

    def __init__(self, context: RouterContext) -> None:
        self._context = context
        self._controls = context.controls

    def create_parameters(self, request: Request) -> Reply:
        """CreateParameterGroup."""
        name = _parameters(request)
        made = parameters.create(request, name, self._parameter_groups())

        def plan(known: ParameterDocument | None) -> ParameterDocument:
            return made if known is None else parameters.create(request, name, self._parameter_groups())

        yield from change(self._controls, dax.PARAMETERS, name, plan)
        yield from self._note(name, events.PARAMETER_GROUP, "Parameter group created.")
        return {"ParameterGroup": parameters.described(name, made)}

    def update_parameters(self, request: Request) -> Reply:
        """UpdateParameterGroup."""
        name = _parameters(request)
        after = yield from change(
            self._controls, dax.PARAMETERS, name, lambda known: parameters.update(request, name, known)
        )
        yield from self._note(name, events.PARAMETER_GROUP, "Parameter group updated.")
        return {"ParameterGroup": parameters.described(name, cast(ParameterDocument, after))}

    def delete_parameters(self, request: Request) -> Reply:
        """DeleteParameterGroup."""
        name = _parameters(request)

        def plan(known: ParameterDocument | None) -> None:
            parameters.check_unused(name, known, clusters(self._controls))

        yield from change(self._controls, dax.PARAMETERS, name, plan)
        yield from self._note(name, events.PARAMETER_GROUP, "Parameter group deleted.")
        return {"DeletionMessage": f"Parameter group {name} has been deleted."}

    def describe_parameter_groups(self, request: Request) -> Reply:
        """DescribeParameterGroups."""
        names = [group_name(each, "parameter group") for each in request.get("ParameterGroupNames") or ()]
        return parameters.describe_groups(request, names, self._parameter_groups())
        yield  # makes this a generator, like every operation

    def describe_parameters(self, request: Request) -> Reply:
        """DescribeParameters."""
        name = _parameters(request)
        document = self._parameter_groups().get(name)
        if document is None and name != DEFAULT_PARAMETERS:
            raise no_group(name)
        return parameters.describe_parameters(request, document)
        yield  # makes this a generator, like every operation

    def describe_default_parameters(self, request: Request) -> Reply:
        """DescribeDefaultParameters."""
        return parameters.describe_parameters(request, None)
        yield  # makes this a generator, like every operation

    def create_subnets(self, request: Request) -> Reply:
        """CreateSubnetGroup."""
        name = _subnets(request)
        made = subnets.create(request, name, self._subnet_groups())

        def plan(known: subnets.SubnetDocument | None) -> subnets.SubnetDocument:
            return made if known is None else subnets.create(request, name, self._subnet_groups())

        yield from change(self._controls, dax.SUBNETS, name, plan)
        yield from self._note(name, events.SUBNET_GROUP, "Subnet group created.")
        return {"SubnetGroup": subnets.described(name, made)}

    def update_subnets(self, request: Request) -> Reply:
        """UpdateSubnetGroup."""
        name = _subnets(request)
        after = yield from change(
            self._controls, dax.SUBNETS, name, lambda known: subnets.update(request, name, known)
        )
        yield from self._note(name, events.SUBNET_GROUP, "Subnet group updated.")
        return {"SubnetGroup": subnets.described(name, cast(subnets.SubnetDocument, after))}

    def delete_subnets(self, request: Request) -> Reply:
        """DeleteSubnetGroup."""
        name = _subnets(request)

        def plan(known: subnets.SubnetDocument | None) -> None:
            subnets.check_unused(name, known, clusters(self._controls))

        yield from change(self._controls, dax.SUBNETS, name, plan)
        yield from self._note(name, events.SUBNET_GROUP, "Subnet group deleted.")
        return {"DeletionMessage": f"Subnet group {name} has been deleted."}

    def describe_subnet_groups(self, request: Request) -> Reply:
        """DescribeSubnetGroups."""
        names = [group_name(each, "subnet group") for each in request.get("SubnetGroupNames") or ()]
        return subnets.describe_groups(request, names, self._subnet_groups())
        yield  # makes this a generator, like every operation

    def describe_events(self, request: Request) -> Reply:
        """DescribeEvents."""
        stored = self._controls.get(dax.EVENTS, ALL)
        document = cast(EventsDocument, stored["document"]) if stored is not None else None
        return events.describe(request, document, self._context.now())
        yield  # makes this a generator, like every operation

    def _note(self, name: str, kind: str, message: str) -> Steps[None]:
        yield from record_event(self._context, name, kind, message)

    def _parameter_groups(self) -> parameters.Groups:
        return {
            name: cast(ParameterDocument, stored["document"])
            for name, stored in self._controls.of(dax.PARAMETERS).items()
        }

    def _subnet_groups(self) -> subnets.Groups:
        return {
            name: cast(subnets.SubnetDocument, stored["document"])
            for name, stored in self._controls.of(dax.SUBNETS).items()
        }


def _parameters(request: Request) -> str:
    return group_name(request["ParameterGroupName"], "parameter group")


def _subnets(request: Request) -> str:
    return group_name(request["SubnetGroupName"], "subnet group")
