"""The operations on functions: what each answers, on top of the plans that say how documents change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from hashrange_router.functions import aliases, invoke_settings, plans, policy, tags
from hashrange_router.functions.archive import UNZIPPED_MAX, ZIPPED_MAX
from hashrange_router.functions.configuration import check_settings, new_configuration
from hashrange_router.functions.destinations import DestinationRules
from hashrange_router.functions.documents import Documents
from hashrange_router.functions.errors import (
    code_storage_exceeded,
    conflict,
    function_not_found,
    invalid,
    not_found,
    unsupported,
)
from hashrange_router.functions.invoke_settings import ACCOUNT_CONCURRENCY
from hashrange_router.functions.names import LATEST, Names
from hashrange_router.functions.requests import (
    Change,
    Document,
    Request,
    Setting,
    check_qualifier,
    existing,
    packages_of,
    page,
    stored_version,
)
from hashrange_router.triggers.contracts import FUNCTION

CODE_STORAGE_MAX = 75 << 30
"""Bytes of the packages of all functions and versions (AWS Lambda Developer Guide, Lambda quotas)."""

Handler = Callable[[dict[str, Any]], Awaitable[Any]]
Plan = Callable[[Request, Document | None, Setting], Change]
Answer = Callable[[Request, Document | None, Setting], Any]


class FunctionOperations:
    """The operations of one process. `location` makes the URL that a package is downloaded from."""

    def __init__(self, documents: Documents, names: Names, rules: DestinationRules) -> None:
        self._documents = documents
        self._names = names
        self._rules = rules

    def handlers(self) -> dict[str, Handler]:
        """Every operation here, by its name."""
        rules = self._rules
        changing: dict[str, Plan] = {
            "UpdateFunctionConfiguration": self._update_configuration,
            "PublishVersion": plans.publish,
            "DeleteFunction": plans.delete,
            "CreateAlias": aliases.create_alias,
            "UpdateAlias": aliases.update_alias,
            "DeleteAlias": aliases.delete_alias,
            "AddPermission": policy.add_permission,
            "RemovePermission": policy.remove_permission,
            "PutFunctionConcurrency": self._put_concurrency,
            "DeleteFunctionConcurrency": invoke_settings.delete_concurrency,
            "PutFunctionEventInvokeConfig": partial(invoke_settings.put_event_invoke, rules=rules),
            "UpdateFunctionEventInvokeConfig": partial(invoke_settings.update_event_invoke, rules=rules),
            "DeleteFunctionEventInvokeConfig": invoke_settings.delete_event_invoke,
        }
        answers: dict[str, Answer] = {
            "GetFunctionConfiguration": _get_configuration,
            "ListVersionsByFunction": _list_versions,
            "GetAlias": _get_alias,
            "ListAliases": _list_aliases,
            "GetPolicy": policy.get_policy,
            "GetFunctionConcurrency": _get_concurrency,
            "GetFunctionEventInvokeConfig": invoke_settings.get_event_invoke,
            "ListFunctionEventInvokeConfigs": _list_event_invoke,
            "GetFunctionCodeSigningConfig": _no_code_signing,
            "GetFunctionRecursionConfig": _recursion,
            "GetRuntimeManagementConfig": _runtime_management,
            "ListFunctionUrlConfigs": _none_of("FunctionUrlConfigs"),
            "ListProvisionedConcurrencyConfigs": _none_of("ProvisionedConcurrencyConfigs"),
            "GetFunctionUrlConfig": _no_url,
        }
        found: dict[str, Handler] = {
            "CreateFunction": self.create,
            "UpdateFunctionCode": self.update_code,
            "ListFunctions": self.list_functions,
            "GetAccountSettings": self.account_settings,
            "ListLayers": _no_layers,
        }
        found.update((name, partial(self._change, plan)) for name, plan in changing.items())
        found.update((name, partial(self._answer, answer)) for name, answer in answers.items())
        return found

    async def create(self, request: dict[str, Any]) -> Any:
        """CreateFunction. What can be refused is refused before the package is looked at."""
        setting = self._documents.setting()
        named = self._names.parse(request["FunctionName"])
        if named.qualifier is not None:
            raise invalid("A function is created without a qualifier in its name")
        if self._documents.get(FUNCTION, named.name) is not None:
            raise conflict(f"Function already exist: {named.name}")
        new_configuration(request, named.name, setting)
        tags.check_tags(request.get("Tags") or {})
        self._rules.check_dead_letter(request.get("DeadLetterConfig"))
        package = await self._package(request["Code"], "CreateFunction")

        def plan(before: Document | None) -> Change:
            return plans.create(request, package, before, self._documents.setting())

        return await self._with_package(named.name, package, plan)

    async def update_code(self, request: dict[str, Any]) -> Any:
        """UpdateFunctionCode."""
        setting = self._documents.setting()
        named = self._names.parse(request["FunctionName"])
        existing(self._documents.get(FUNCTION, named.name), named.name, setting)
        check_settings(request)
        package = await self._package(request, "UpdateFunctionCode")

        def plan(before: Document | None) -> Change:
            return plans.update_code(request, package, before, self._documents.setting())

        return await self._with_package(named.name, package, plan)

    async def _package(self, code: dict[str, Any], operation: str) -> plans.Package:
        """The package in a request, kept."""
        if any(code.get(member) for member in ("S3Bucket", "S3Key", "S3ObjectVersion")):
            raise unsupported("Code in S3, other than as ZipFile,")
        if code.get("ImageUri"):
            raise unsupported("Code in a container image")
        if code.get("SourceKMSKeyArn"):
            raise unsupported("Encryption with a key of KMS")
        if "ZipFile" not in code:
            raise invalid("Please provide a source for function code.")
        return await self._documents.upload(code["ZipFile"], operation)

    async def _with_package(
        self, name: str, package: plans.Package, plan: Callable[[Document | None], Change]
    ) -> Any:
        """Commit a change that may refer to a package; whatever becomes of it, none is left behind for nothing."""
        documents = self._documents
        try:
            used = sum(plans.code_size(document) for document in documents.all(FUNCTION))
            if used + package.size > CODE_STORAGE_MAX:
                raise code_storage_exceeded(CODE_STORAGE_MAX)
            reply = await documents.commit(FUNCTION, name, plan)
        except BaseException:
            documents.release([package.code])
            raise
        if reply["CodeSha256"] == package.sha256 and _refers(documents.get(FUNCTION, name), package.code):
            await documents.confirm(package.code)
        else:
            documents.release([package.code])
        return reply

    async def get_function(self, request: dict[str, Any], location: Callable[[str], str]) -> Any:
        """GetFunction. `location` makes the URL that a package is downloaded from, of its SHA-256."""
        setting = self._documents.setting()
        name = self._names.parse(request["FunctionName"]).name
        document, qualifier = _found(request, self._documents.get(FUNCTION, name), setting)
        found = plans.configuration_of(document, qualifier, setting)
        stored = stored_version(document, found["Version"], setting)
        reply = {
            "Configuration": found,
            "Code": {"RepositoryType": "S3", "Location": location(stored["Code"])},
        }
        if document["Tags"]:
            reply["Tags"] = document["Tags"]
        if "ReservedConcurrency" in document:
            reply["Concurrency"] = {"ReservedConcurrentExecutions": document["ReservedConcurrency"]}
        return reply

    async def list_functions(self, request: dict[str, Any]) -> Any:
        """ListFunctions."""
        documents = self._documents.all(FUNCTION)
        if request.get("FunctionVersion") != "ALL":
            entries = [(document["Name"], plans.listed(document["Latest"])) for document in documents]
        else:
            setting = self._documents.setting()
            entries = [
                (f"{document['Name']}:{key}", version)
                for document in documents
                for key, version in plans.versions_of(document, setting)
            ]
        return page(request, "Functions", entries)

    async def account_settings(self, request: dict[str, Any]) -> Any:
        """GetAccountSettings."""
        documents = self._documents.all(FUNCTION)
        return {
            "AccountLimit": {
                "TotalCodeSize": CODE_STORAGE_MAX,
                "CodeSizeUnzipped": UNZIPPED_MAX,
                "CodeSizeZipped": ZIPPED_MAX,
                "ConcurrentExecutions": ACCOUNT_CONCURRENCY,
                "UnreservedConcurrentExecutions": ACCOUNT_CONCURRENCY - self._reserved(),
            },
            "AccountUsage": {
                "TotalCodeSize": sum(plans.code_size(document) for document in documents),
                "FunctionCount": len(documents),
            },
        }

    def _update_configuration(self, request: Request, before: Document | None, setting: Setting) -> Change:
        self._rules.check_dead_letter(request.get("DeadLetterConfig"))
        return plans.update_configuration(request, before, setting)

    def _put_concurrency(self, request: Request, before: Document | None, setting: Setting) -> Change:
        others = self._reserved() - (before or {}).get("ReservedConcurrency", 0)
        return invoke_settings.put_concurrency(request, before, setting, others)

    def _reserved(self) -> int:
        """What all functions reserve."""
        return sum(document.get("ReservedConcurrency", 0) for document in self._documents.all(FUNCTION))

    async def _change(self, plan: Plan, request: dict[str, Any]) -> Any:
        """An operation that changes the function that it names."""
        name = self._names.parse(request["FunctionName"]).name
        return await self._documents.commit(
            FUNCTION, name, lambda before: plan(request, before, self._documents.setting())
        )

    async def _answer(self, answer: Answer, request: dict[str, Any]) -> Any:
        """An operation that needs nothing but the document of the function that it names."""
        name = self._names.parse(request["FunctionName"]).name
        return answer(request, self._documents.get(FUNCTION, name), self._documents.setting())


def _refers(document: Document | None, code: str) -> bool:
    return code in packages_of(document)


def _found(request: Request, before: Document | None, setting: Setting) -> tuple[Document, str | None]:
    """The function that a request names, and the qualifier."""
    named = setting.names.parse(request["FunctionName"], request.get("Qualifier"))
    if before is None:
        raise function_not_found(setting.names.arn(named.name, named.qualifier))
    return before, named.qualifier


def _get_configuration(request: Request, before: Document | None, setting: Setting) -> Any:
    document, qualifier = _found(request, before, setting)
    return plans.configuration_of(document, qualifier, setting)


def _list_versions(request: Request, before: Document | None, setting: Setting) -> Any:
    document, _ = _found(request, before, setting)
    return page(
        request, "Versions", [(f"v{key}", kept) for key, kept in plans.versions_of(document, setting)]
    )


def _get_alias(request: Request, before: Document | None, setting: Setting) -> Any:
    document, _ = _found(request, before, setting)
    return aliases.find_alias(document, request["Name"], setting)


def _list_aliases(request: Request, before: Document | None, setting: Setting) -> Any:
    document, _ = _found(request, before, setting)
    version = request.get("FunctionVersion")
    chosen = [
        (name, alias)
        for name, alias in document["Aliases"].items()
        if version is None or alias["FunctionVersion"] == version
    ]
    return page(request, "Aliases", chosen)


def _get_concurrency(request: Request, before: Document | None, setting: Setting) -> Any:
    document, _ = _found(request, before, setting)
    reserved = document.get("ReservedConcurrency")
    return {} if reserved is None else {"ReservedConcurrentExecutions": reserved}


def _list_event_invoke(request: Request, before: Document | None, setting: Setting) -> Any:
    document, _ = _found(request, before, setting)
    return page(request, "FunctionEventInvokeConfigs", list(document["EventInvoke"].items()))


def _no_code_signing(request: Request, before: Document | None, setting: Setting) -> Any:
    document, _ = _found(request, before, setting)
    return {"FunctionName": document["Name"]}


def _recursion(request: Request, before: Document | None, setting: Setting) -> Any:
    _found(request, before, setting)
    return {"RecursiveLoop": "Allow"}


def _runtime_management(request: Request, before: Document | None, setting: Setting) -> Any:
    document, qualifier = _found(request, before, setting)
    check_qualifier(document, qualifier, setting)
    return {
        "UpdateRuntimeOn": "Auto",
        "FunctionArn": setting.names.arn(document["Name"], qualifier or LATEST),
    }


def _no_url(request: Request, before: Document | None, setting: Setting) -> Any:
    _found(request, before, setting)
    raise not_found("The resource you requested does not exist.")


def _none_of(member: str) -> Answer:
    """An operation that lists what this server does not have, for a function that must be there."""

    def answer(request: Request, before: Document | None, setting: Setting) -> Any:
        _found(request, before, setting)
        return {member: []}

    return answer


async def _no_layers(request: dict[str, Any]) -> Any:
    return {"Layers": []}
