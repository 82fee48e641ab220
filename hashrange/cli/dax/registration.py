"""A cache node makes itself known: its document, and that of its cluster where nobody else has made one.

    registration = Registration(context, transport, cluster, document, replaced)
    await registration.join("NONE")         # the cluster there is, or a new one without a supervisor
    await registration.enter()             # once it serves
    await registration.leave()

A document that somebody has removed by mistake is written again. One that another process of the same name has
written ends this one (`replaced`): two nodes under one name would both be told of half of what there is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from hashrange_router.api.context import RouterContext
from hashrange_router.dax.lifecycle import ensure_cluster, forget_if_gone
from hashrange_router.dax.setting import cluster_document

from hashrange.cli.dax.sending import carry_out, change
from hashrange.errors import ApiError, internal
from hashrange.model import dax
from hashrange.model.dax import ClusterDocument, NodeDocument, node_name
from hashrange.runtime.logging import get_logger
from hashrange.runtime.startup import StartupError
from hashrange.wire.messages import Transport

AGAIN_S = 1.0
LEAVE_S = 3.0


class Registration:
    """The document of one node."""

    def __init__(
        self,
        context: RouterContext,
        transport: Transport,
        cluster: str,
        document: NodeDocument,
        replaced: Callable[[str], None],
    ) -> None:
        self._context = context
        self._controls = controls = context.controls
        self._transport = transport
        self._cluster = cluster
        self._replaced = replaced
        self._name = node_name(cluster, document["NodeId"])
        self._log = get_logger("dax")
        self._here = False
        self._writing: asyncio.Task[None] | None = None
        self.document = document
        controls.watch(dax.NODE, self._changed)

    async def join(self, encryption: str) -> ClusterDocument:
        """The cluster's document; makes that of a cluster without a supervisor, with an encryption of NONE or TLS.

        StartupError for a cluster that this node is no part of; ApiError without a control plane.
        """
        name, node = self._cluster, self.document["NodeId"]
        making = ensure_cluster(self._context, None, name, 0, managed=False, encryption=encryption)
        await carry_out(self._transport, making)
        found = cluster_document(self._controls, name)
        if found is None:
            raise internal(f"the cache cluster {name} went away")
        if found["Managed"] and node not in {each["NodeId"] for each in found["Nodes"]}:
            raise StartupError(
                f"the cache cluster {name} has a supervisor that starts its nodes, and {node} is none of them; give "
                "another cluster, or let it grow (IncreaseReplicationFactor)"
            )
        return found

    async def enter(self) -> None:
        """Write the document, in the place of whatever there is; ApiError without a control plane."""
        self._here = True
        await self._write(cast("dict[str, Any]", self.document))

    async def leave(self) -> None:
        """Remove the document if it is still this process's; at most for some seconds.

        A cluster without a supervisor goes with its last node.
        """
        if not self._here:
            return
        self._here = False
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        try:
            async with asyncio.timeout(LEAVE_S):
                await self._write(None)
                await self._forget_cluster()
        except (ApiError, TimeoutError) as error:
            self._log.warning(
                "the node could not be taken from the list of nodes", reason=str(error) or "no answer"
            )

    async def _forget_cluster(self) -> None:
        found = cluster_document(self._controls, self._cluster)
        if found is not None and not found["Managed"]:
            await carry_out(self._transport, forget_if_gone(self._context, self._cluster))

    async def _write(self, document: dict[str, Any] | None) -> None:
        def plan(known: dict[str, Any] | None) -> dict[str, Any] | None:
            if document is None and known is not None and known["Process"] != self.document["Process"]:
                return known
            return document

        await change(self._transport, self._controls, dax.NODE, self._name, plan)

    def _changed(self, name: str) -> None:
        if name != self._name or not self._here:
            return
        known = self._controls.get(dax.NODE, name)
        if known is None:
            self._write_again()
        elif known["document"]["Process"] != self.document["Process"]:
            self._here = False
            self._replaced(
                f"another process is node {self.document['NodeId']} of cluster {self._cluster} now"
            )

    def _write_again(self) -> None:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._keep())

    async def _keep(self) -> None:
        while self._here and self._controls.get(dax.NODE, self._name) is None:
            await asyncio.sleep(AGAIN_S)
            if self._here:
                try:
                    await self.enter()
                except ApiError as error:
                    self._log.warning("the node could not be listed again yet", reason=str(error))
