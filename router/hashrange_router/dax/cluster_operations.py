"""The operations on clusters, nodes and their tags: plans (`clusters`), committed, noted, and answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from hashrange.model import dax
from hashrange.model.dax import DEFAULT_PARAMETERS, ClusterDocument
from hashrange_router.api.context import RouterContext
from hashrange_router.dax import clusters, pages, tags
from hashrange_router.dax.describe import SUBNETS, described
from hashrange_router.dax.errors import (
    HOW_TO_START,
    cluster_exists,
    cluster_state,
    no_capacity,
    no_cluster,
    no_group,
    no_subnet_group,
)
from hashrange_router.dax.events import CLUSTER
from hashrange_router.dax.lifecycle import NO_NODE_SLOTS, forget_if_gone, setting_of
from hashrange_router.dax.names import cluster_name, cluster_of_arn, group_name
from hashrange_router.dax.setting import DaxSite, Request, Seen, cluster_document, seen
from hashrange_router.dax.setting import clusters as all_clusters
from hashrange_router.dax.steps import Steps, change, record_event, releasing, reserve_slots

Reply = Steps[dict[str, Any]]


class ClusterOperations:
    """The operations of one router. `site` is None where nobody starts nodes."""

    def __init__(self, context: RouterContext, site: DaxSite | None) -> None:
        self._context = context
        self._controls = context.controls
        self._site = site

    def create(self, request: Request) -> Reply:
        """CreateCluster: the document of a cluster as it is wanted. The rest is up to the supervisor."""
        name = cluster_name(request["ClusterName"])
        count = clusters.check_create(request)
        group = self._parameter_group(request) or DEFAULT_PARAMETERS
        self._check_subnets(request)
        if cluster_document(self._controls, name) is not None:
            raise cluster_exists(name)
        site = self._running_site()
        slots = yield from reserve_slots(self._context, site.base_port, 1 + count, NO_NODE_SLOTS)
        made = clusters.create(request, name, group, slots, setting_of(self._context, site))

        def plan(known: ClusterDocument | None) -> ClusterDocument:
            if known is not None and known != made:
                raise cluster_exists(name)
            return made

        yield from releasing(self._context, slots, change(self._controls, dax.CLUSTER, name, plan))
        return self._reply(made)

    def delete(self, request: Request) -> Reply:
        """DeleteCluster. Where no supervisor would see to it, a cluster without nodes goes at once."""
        after = yield from self._change(request, lambda before, found: clusters.delete(before))
        reply = self._reply(after)
        if self._site is None:
            yield from forget_if_gone(self._context, after["ClusterName"])
        return reply

    def update(self, request: Request) -> Reply:
        """UpdateCluster."""
        group = self._parameter_group(request)
        after = yield from self._change(
            request, lambda before, found: clusters.update(request, before, found, group)
        )
        if group is not None:
            yield from self._note(after, f"Parameter group {group} is in force.")
        return self._reply(after)

    def describe(self, request: Request) -> Reply:
        """DescribeClusters: those named, or all."""
        names = [cluster_name(each) for each in request.get("ClusterNames") or ()]
        known = {each["ClusterName"]: each for each in all_clusters(self._controls)}
        for name in names:
            if name not in known:
                raise no_cluster(name)
        found = [(name, document) for name, document in known.items() if not names or name in names]
        return pages.page(request, "Clusters", found, self._described)
        yield  # makes this a generator, like every operation

    def increase(self, request: Request) -> Reply:
        """IncreaseReplicationFactor."""
        before = self._known(request)
        count = clusters.added_nodes(request, before, seen(self._controls, before["ClusterName"]))
        site = self._running_site()
        slots = yield from reserve_slots(self._context, site.base_port, count, NO_NODE_SLOTS)
        setting = setting_of(self._context, site)
        committing = self._change(
            request, lambda known, found: clusters.increase(request, known, found, slots, setting)
        )
        after = yield from releasing(self._context, slots, committing)
        return self._reply(after)

    def decrease(self, request: Request) -> Reply:
        """DecreaseReplicationFactor."""
        after = yield from self._change(
            request, lambda before, found: clusters.decrease(request, before, found)
        )
        return self._reply(after)

    def reboot(self, request: Request) -> Reply:
        """RebootNode."""
        after = yield from self._change(
            request, lambda before, found: clusters.reboot(request, before, found)
        )
        yield from self._note(after, f"Rebooting node {request['NodeId']}.")
        return self._reply(after)

    def list_tags(self, request: Request) -> Reply:
        """ListTags."""
        found = _tags(self._by_arn(request))
        return pages.page(request, "Tags", list(enumerate(found)), dict)
        yield  # makes this a generator, like every operation

    def tag(self, request: Request) -> Reply:
        """TagResource."""
        return (yield from self._on_tags(request, lambda known: tags.merged(known, request["Tags"])))

    def untag(self, request: Request) -> Reply:
        """UntagResource."""
        return (yield from self._on_tags(request, lambda known: tags.without(known, request["TagKeys"])))

    def _on_tags(self, request: Request, plan: Callable[[tags.Tags], tags.Tags]) -> Reply:
        name = self._by_arn(request)["ClusterName"]

        def planned(before: ClusterDocument, found: Seen) -> ClusterDocument:
            if before["Deleting"]:
                raise cluster_state(f"Cluster {name} is being deleted.")
            return {**before, "Told": {**before["Told"], "Tags": plan(_tags(before))}}

        after = yield from self._change({"ClusterName": name}, planned)
        return {"Tags": _tags(after)}

    def _by_arn(self, request: Request) -> ClusterDocument:
        site = self._context.site
        name = cluster_of_arn(request["ResourceName"], site.region, site.account)
        found = cluster_document(self._controls, name)
        if found is None:
            raise no_cluster()
        return found

    def _known(self, request: Request) -> ClusterDocument:
        found = cluster_document(self._controls, cluster_name(request["ClusterName"]))
        if found is None:
            raise no_cluster()
        return found

    def _change(
        self, request: Request, plan: Callable[[ClusterDocument, Seen], ClusterDocument]
    ) -> Steps[ClusterDocument]:
        """Change the cluster that a request names; ClusterNotFoundFault."""
        name = cluster_name(request["ClusterName"])

        def planned(known: ClusterDocument | None) -> ClusterDocument:
            if known is None:
                raise no_cluster()
            return plan(known, seen(self._controls, name))

        after = yield from change(self._controls, dax.CLUSTER, name, planned)
        return cast(ClusterDocument, after)

    def _note(self, cluster: ClusterDocument, message: str) -> Steps[None]:
        yield from record_event(self._context, cluster["ClusterName"], CLUSTER, message)

    def _reply(self, cluster: ClusterDocument) -> dict[str, Any]:
        return {"Cluster": self._described(cluster)}

    def _described(self, cluster: ClusterDocument) -> dict[str, Any]:
        found = seen(self._controls, cluster["ClusterName"])
        return described(cluster, found, setting_of(self._context, self._site))

    def _running_site(self) -> DaxSite:
        if self._site is None:
            raise no_capacity(HOW_TO_START)
        return self._site

    def _parameter_group(self, request: Request) -> str | None:
        """The parameter group that a request names; ParameterGroupNotFoundFault."""
        given = request.get("ParameterGroupName")
        if not given:
            return None
        name = group_name(given, "parameter group")
        if name != DEFAULT_PARAMETERS and self._controls.get(dax.PARAMETERS, name) is None:
            raise no_group(name)
        return name

    def _check_subnets(self, request: Request) -> None:
        given = request.get("SubnetGroupName")
        if given and given.lower() != SUBNETS and self._controls.get(dax.SUBNETS, given.lower()) is None:
            raise no_subnet_group(given)


def _tags(cluster: ClusterDocument) -> tags.Tags:
    return cast("tags.Tags", cluster["Told"].get("Tags", []))
