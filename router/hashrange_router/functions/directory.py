"""The functions there are, as this process knows them: a view of the control documents, for whoever runs functions.

    directory = Directory(context, random.Random().random)
    version = directory.resolve("hello", "live")
    directory.subscribe(pool.changed)

Resolving costs two look-ups: what a name stands for is kept until the function's document changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hashrange_router.api.context import RouterContext
from hashrange_router.functions.aliases import choose_version
from hashrange_router.functions.errors import conflict, function_not_found
from hashrange_router.functions.invoke_settings import in_force
from hashrange_router.functions.names import LATEST, Names
from hashrange_router.triggers.contracts import FUNCTION, FunctionVersion


class Directory:
    """Implements contracts.FunctionDirectory. `chance` gives numbers from 0 up to 1."""

    def __init__(self, context: RouterContext, chance: Callable[[], float]) -> None:
        self.names = Names(context.site.region, context.site.account)
        self._controls = context.controls
        self._chance = chance
        self._subscribers: list[Callable[[str], None]] = []
        self._versions: dict[str, dict[str, FunctionVersion]] = {}
        context.controls.watch(FUNCTION, self._changed)

    def subscribe(self, changed: Callable[[str], None]) -> None:
        """Be told the name of every function that is made, changed or deleted."""
        self._subscribers.append(changed)

    def _changed(self, name: str) -> None:
        self._versions.pop(name, None)
        for changed in self._subscribers:
            changed(name)

    def document(self, name: str) -> dict[str, Any] | None:
        """The document of a function, None when there is none."""
        stored = self._controls.get(FUNCTION, name)
        return stored["document"] if stored is not None else None

    def resolve(self, name_or_arn: str, qualifier: str | None = None) -> FunctionVersion:
        """The version that a name or ARN stands for, now; see contracts.FunctionDirectory."""
        named = self.names.parse(name_or_arn, qualifier)
        document = self.document(named.name)
        if document is None:
            raise function_not_found(self.names.arn(named.name, named.qualifier))
        number = named.qualifier or LATEST
        alias = document["Aliases"].get(number)
        if alias is not None:
            number = choose_version(alias, self._chance)
        kept = self._versions.setdefault(named.name, {})
        version = kept.get(number)
        if version is None:
            version = kept[number] = self._version(document, number)
        return version

    def event_invoke(self, name_or_arn: str, qualifier: str | None = None) -> dict[str, Any]:
        """The event invoke configuration in force, with the service's defaults where nothing is set."""
        named = self.names.parse(name_or_arn, qualifier)
        document = self.document(named.name)
        if document is None:
            raise function_not_found(self.names.arn(named.name, named.qualifier))
        settings = in_force(document["EventInvoke"].get(named.qualifier or LATEST))
        # An alias may stand for several versions: their letters go where those of $LATEST go.
        version = document["Versions"].get(named.qualifier, document["Latest"])
        letters = version["Configuration"].get("DeadLetterConfig")
        return {**settings, "DeadLetterConfig": letters} if letters else settings

    def _version(self, document: dict[str, Any], number: str) -> FunctionVersion:
        latest = number == LATEST
        stored = document["Latest"] if latest else document["Versions"].get(number)
        name = document["Name"]
        if stored is None:
            raise function_not_found(self.names.arn(name, number))
        found = stored["Configuration"]
        if found["State"] != "Active":
            raise conflict(
                "The operation cannot be performed at this time. The function is currently in the following state: "
                + found["State"]
            )
        logging = found["LoggingConfig"]
        environment = dict((found.get("Environment") or {}).get("Variables") or {})
        if logging["LogFormat"] == "JSON":
            environment["AWS_LAMBDA_LOG_LEVEL"] = logging["ApplicationLogLevel"]
        return FunctionVersion(
            name=name,
            arn=self.names.arn(name, None if latest else number),
            version=number,
            runtime=found["Runtime"],
            handler=found["Handler"],
            code=stored["Code"],
            revision=stored["Revision"],
            timeout_s=found["Timeout"],
            memory_mb=found["MemorySize"],
            ephemeral_mb=found["EphemeralStorage"]["Size"],
            environment=environment,
            reserved=document.get("ReservedConcurrency"),
            log_format=logging["LogFormat"],
            architecture=found["Architectures"][0],
        )
