"""The Lambda API of a program: what all of them have of it, and that of a router, which has no pool of its own.

    functions = RouterFunctions(host)       # Invoke goes to the pools that are alive
    await functions.stop()

What has a pool is composed in `triggers.py`; a router loads nothing of that.
"""

from __future__ import annotations

import random

from hashrange_router.functions.directory import Directory
from hashrange_router.functions.packages import TablePackages
from hashrange_router.functions.service import lambda_service
from hashrange_router.local import InProcessClient
from hashrange_router.triggers.contracts import Invoker
from hashrange_router.triggers.events.queue import DurableEventQueue
from hashrange_router.triggers.events.store import EventStore
from hashrange_router.triggers.forwarding import Forwarder
from hashrange_router.triggers.registry import PoolList

from hashrange.cli.trigger_host import Host
from hashrange.cli.trigger_pages import FunctionPages, PagesOfPools, PagesService


class FunctionsBase:
    """What every program with the Lambda API has: its client, and its view of functions."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.client = InProcessClient(host.entries, host.context, host.transport)
        self.directory = Directory(host.context, random.Random().random)
        self.packages = TablePackages(self.client, now=host.context.now)
        self.store = EventStore(self.client, host.clock)
        self.events = DurableEventQueue(self.store)

    def serve(self, invoker: Invoker, pages: FunctionPages) -> None:
        """Serve the Lambda API and the pages."""
        host = self.host
        host.dispatcher.serve_rest(
            lambda_service(
                host.context,
                self.client,
                directory=self.directory,
                packages=self.packages,
                invoker=invoker,
                events=self.events,
            )
        )
        self.pages = PagesService(pages, self._name_of)
        host.dispatcher.serve_rest(self.pages)

    def _name_of(self, name_or_arn: str) -> str:
        return self.directory.resolve(name_or_arn).name


class RouterFunctions(FunctionsBase):
    """The Lambda API of a router: it invokes functions at the pools that are alive."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.pools = PoolList(self.client, host.clock)
        credentials = host.credentials
        self.forwarder = Forwarder(self.pools, credentials.access_key, credentials.secret)
        self.serve(self.forwarder, PagesOfPools(self.pools.refresh, credentials, host.context.site.region))

    async def stop(self) -> None:
        """Let nobody wait any longer, and let go of connections to pools."""
        self.pages.stop()
        await self.forwarder.stop()
