"""Where records of invocations go: to a function, a table, or an HTTP endpoint.

    destinations = Deliveries(client, directory, queue)
    await destinations.send("arn:aws:dynamodb:us-east-1:000000000000:table/Failures", document)

They stand in for the queues, topics, buckets and event buses of the service, which are not here:

- the ARN of a function (qualified or not): it is invoked asynchronously with the document;
- the ARN of a table: the document becomes an item (`item_of`). The table's hash key must be a string and is given an
  id; a sort key that is a string is given the time in ISO form, one that is a number the time in epoch milliseconds;
- an http or https URL: the document is POSTed as JSON. Any status of 200 to 299 says that it has been taken.

A document that is sent again, because nobody could say whether it had arrived, makes the same item again.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Final

import orjson

from hashrange.errors import ApiError
from hashrange.model.value import item_size, normalise_item
from hashrange_router.http_client import HttpClient, NoAnswerError, NotSentError
from hashrange_router.triggers.contracts import EventQueue, FunctionDirectory, LocalClient

POST_TIMEOUT_S: Final = 15.0
ITEM_BYTES: Final = 390_000
"""What an item is cut down to: 400 KB are allowed, keys and the system's own attributes included."""
CUT_CHARACTERS: Final = 60_000
PAYLOADS: Final = ("responsePayload", "requestPayload", "body")
"""Members of documents that may be large, in the order in which they are cut."""

Document = dict[str, Any]
Item = dict[str, Any]


class Deliveries:
    """Implements contracts.Destinations."""

    def __init__(self, client: LocalClient, directory: FunctionDirectory, events: EventQueue) -> None:
        self._client = client
        self._directory = directory
        self._events = events
        self._http = HttpClient()
        self._keys: dict[str, list[tuple[str, str]]] = {}
        """Key attributes and their types, by ARN of the table."""

    async def send(self, destination: str, document: Document) -> None:
        """Deliver a document; ApiError when it cannot be: 5xx and 429 where it may be later."""
        if destination.startswith(("http://", "https://")):
            await self._post(destination, document)
        elif destination.startswith("arn:") and destination.split(":")[2:3] == ["lambda"]:
            self._directory.resolve(destination)
            await self._events.put(destination, orjson.dumps(document), str(uuid.uuid4()), None)
        elif destination.startswith("arn:") and destination.split(":")[2:3] == ["dynamodb"]:
            await self._put(destination, document)
        else:
            raise unsupported(destination)

    async def close(self) -> None:
        """Close connections."""
        await self._http.close()

    async def _post(self, url: str, document: Document) -> None:
        headers = {"content-type": "application/json", "user-agent": "hashrange"}
        try:
            reply = await self._http.post(url, headers, orjson.dumps(document), POST_TIMEOUT_S)
        except (NotSentError, NoAnswerError) as error:
            raise _failed(503, f"{url} cannot be reached: {error}") from error
        if not 200 <= reply.status <= 299:
            status = reply.status if reply.status >= 500 or reply.status in (408, 429) else 400
            raise _failed(503 if status == 408 else status, f"{url} answered with the status {reply.status}")

    async def _put(self, arn: str, document: Document) -> None:
        known = self._keys.get(arn)
        keys = known or await self._describe(arn)
        try:
            await self._client.call("PutItem", {"TableName": arn, "Item": item_of(document, keys)})
        except ApiError:
            self._keys.pop(arn, None)  # the table may be another one by now
            if known is None or (keys := await self._describe(arn)) == known:
                raise
            await self._client.call("PutItem", {"TableName": arn, "Item": item_of(document, keys)})

    async def _describe(self, arn: str) -> list[tuple[str, str]]:
        table = (await self._client.call("DescribeTable", {"TableName": arn}))["Table"]
        types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
        order = sorted(table["KeySchema"], key=lambda part: part["KeyType"] != "HASH")
        keys = [(part["AttributeName"], types[part["AttributeName"]]) for part in order]
        self._keys[arn] = keys
        return keys


def item_of(document: Document, keys: list[tuple[str, str]]) -> Item:
    """The item that keeps a document: its keys, `requestId`, `functionArn`, `condition`, `timestamp`, `document`.

    `keys`: hash key first. Raises InvalidParameterValueException for a key schema that it cannot serve. A payload that
    makes the item too large is cut, as text, and the item has `truncated`.
    """
    context = document.get("requestContext") or {}
    request_id = str(context.get("requestId") or document.get("RequestID") or uuid.uuid4())
    is_letter = "RequestID" in document
    moment = str(document["timestamp"])
    about: Item = {
        "requestId": {"S": request_id},
        "functionArn": {"S": str(context.get("functionArn") or document.get("functionArn") or "")},
        "condition": {"S": str(context.get("condition") or document.get("ErrorMessage") or "")},
        "timestamp": {"S": moment},
    }
    (name, kind), *rest = keys
    if kind != "S":
        raise _unfit(f"the hash key {name} must be a string")
    about[name] = {"S": f"{request_id}#dead-letter" if is_letter else request_id}
    for name, kind in rest:
        if kind == "B":
            raise _unfit(f"the sort key {name} must be a string or a number")
        about[name] = {"S": moment} if kind == "S" else {"N": str(_epoch_ms(moment))}
    if "document" in (name for name, _ in keys):
        raise _unfit("no key may be named document")
    whole = dict(document)
    for payload in (None, *PAYLOADS):
        if payload is not None and payload in whole:
            whole[payload] = orjson.dumps(whole[payload]).decode()[:CUT_CHARACTERS]
            about["truncated"] = {"BOOL": True}
        item = {**about, "document": _value_or_text(whole)}
        if item_size(item) <= ITEM_BYTES:
            return item
    raise _unfit("the record is too large for an item")


def _value_or_text(document: Document) -> dict[str, Any]:
    """A document as a map; as its JSON text where it holds what an item cannot (long numbers, too many levels)."""
    value = to_value(document)
    try:
        normalise_item({"document": value})
    except (ApiError, RecursionError):
        return {"S": orjson.dumps(document).decode()}
    return value


def to_value(data: Any) -> dict[str, Any]:
    """JSON as an attribute value."""
    if data is None:
        return {"NULL": True}
    if isinstance(data, bool):
        return {"BOOL": data}
    if isinstance(data, str):
        return {"S": data}
    if isinstance(data, int | float):
        return {"N": repr(data)}
    if isinstance(data, list):
        return {"L": [to_value(each) for each in data]}
    return {"M": {name: to_value(each) for name, each in data.items()}}


def unsupported(destination: str) -> ApiError:
    """What a destination is answered with that is not one of those that there are."""
    return ApiError(
        "InvalidParameterValueException",
        f"The destination {destination} is not supported by this server. Supported are the ARN of a function or of a "
        "table of this server, and http or https URLs",
        message_key="Message",
    )


def _epoch_ms(moment: str) -> int:
    return round(datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp() * 1000)


def _unfit(why: str) -> ApiError:
    return ApiError(
        "InvalidParameterValueException", f"The table cannot be a destination: {why}", message_key="Message"
    )


def _failed(status: int, why: str) -> ApiError:
    return ApiError("DestinationException", why, status=status, message_key="Message")
