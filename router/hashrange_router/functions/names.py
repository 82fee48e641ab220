"""How requests name functions: by name, partial ARN or full ARN, with a qualifier in it or beside it.

site = Names("us-east-1", "000000000000")
site.parse("arn:aws:lambda:us-east-1:000000000000:function:hello:live")     # FunctionName("hello", "live")
site.parse("000000000000:function:hello")
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hashrange_router.functions.errors import function_not_found, invalid, validation

LATEST = "$LATEST"
NAME_MAX = 64

_FULL = re.compile(r"arn:aws[a-zA-Z-]*:lambda:([a-z0-9-]+):(\d{12}):function:([^:]+)(?::([^:]+))?\Z")
_PARTIAL = re.compile(r"(?:(\d{12}):)?(?:function:)?([^:]+)(?::([^:]+))?\Z")
_NAME = re.compile(r"[a-zA-Z0-9_-]+\Z")
_QUALIFIER = re.compile(r"\$LATEST\Z|[a-zA-Z0-9_-]+\Z")


@dataclass(frozen=True, slots=True)
class FunctionName:
    """A function, and the version or alias of it that is meant; None where none was named."""

    name: str
    qualifier: str | None


class Names:
    """Names and ARNs of one region and account."""

    def __init__(self, region: str, account: str) -> None:
        self.region = region
        self.account = account
        self._prefix = f"arn:aws:lambda:{region}:{account}"

    def arn(self, name: str, qualifier: str | None = None) -> str:
        """The ARN of a function, of a version or alias with a qualifier."""
        unqualified = f"{self._prefix}:function:{name}"
        return unqualified if qualifier is None else f"{unqualified}:{qualifier}"

    def mapping_arn(self, uuid: str) -> str:
        """The ARN of an event source mapping."""
        return f"{self._prefix}:event-source-mapping:{uuid}"

    def parse(self, text: str, qualifier: str | None = None) -> FunctionName:
        """What a request names. A qualifier beside the name must not differ from one within.

        InvalidParameterValueException when it does, ResourceNotFoundException for another region or account,
        ValidationException for what is no name at all.
        """
        if _NAME.match(text):
            name, inner = text, None
        else:
            name, inner = self._split(text)
        if inner is not None and qualifier is not None and inner != qualifier:
            raise invalid(
                "The derived qualifier from the function name does not match the specified qualifier."
            )
        found = inner if inner is not None else qualifier
        if found is not None and not _QUALIFIER.match(found):
            raise validation(f"'{found}' is not a valid qualifier")
        if len(name) > NAME_MAX:
            raise validation(
                f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: "
                f"Member must have length less than or equal to {NAME_MAX}"
            )
        return FunctionName(name, found)

    def _split(self, text: str) -> tuple[str, str | None]:
        full = _FULL.match(text)
        if full is not None:
            region, account, name, qualifier = full.groups()
            if region != self.region or account != self.account:
                raise function_not_found(text)
        else:
            partial = _PARTIAL.match(text)
            if partial is None:
                raise validation(f"'{text}' is not a valid function name")
            account, name, qualifier = partial.groups()
            if account is not None and account != self.account:
                raise function_not_found(text)
        if not _NAME.match(name):
            raise validation(f"'{text}' is not a valid function name")
        return name, qualifier

    def is_function(self, arn: str) -> bool:
        """Whether an ARN is that of a function here."""
        return arn.startswith(f"{self._prefix}:function:") and _FULL.match(arn) is not None
