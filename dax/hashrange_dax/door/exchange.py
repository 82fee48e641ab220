"""One request from its arguments to its reply.

Both ends may have to wait for attribute lists: a request names one by an id that was given out elsewhere a moment ago,
a reply needs the id of one that nobody has defined yet. Then the request is read again, or the reply made again, when
the registry has answered.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from hashrange.errors import ApiError, internal, validation
from hashrange_dax.codec.cbor import CodecError, array_head, byte_string, integer, map_head, text
from hashrange_dax.codec.items import EMPTY_LIST, UnknownNames
from hashrange_dax.codec.keys import key_schema_reply
from hashrange_dax.protocol import methods as m
from hashrange_dax.protocol.asked import Asked, UnknownList
from hashrange_dax.protocol.errors import error_reply, not_implemented, table_missing
from hashrange_dax.protocol.handshake import Client
from hashrange_dax.protocol.options import list_of, name_of
from hashrange_dax.protocol.replies import SUCCESS
from hashrange_dax.protocol.requests import REQUESTS
from hashrange_dax.tier.answer import Answer

from .unprocessed import Unprocessed

if TYPE_CHECKING:
    from .connection import WireConnection
    from .listener import WireDoor


class Endpoint(NamedTuple):
    """A node as clients are told of it. `address` has 4 or 16 bytes; `role` is 1 for the primary, else 2."""

    node_number: int
    host: str
    address: bytes
    port: int
    role: int
    az: str
    session: int


class Exchange:
    """A request of a connection until it is answered, which happens exactly once. `data` are its bytes, if known."""

    __slots__ = (
        "_arguments",
        "_asked",
        "_began",
        "_client",
        "_connection",
        "_data",
        "_door",
        "_method",
        "_names",
        "_waited_for",
    )

    def __init__(
        self,
        door: WireDoor,
        connection: WireConnection,
        client: Client,
        method: int,
        arguments: list[Any],
        data: bytes | None = None,
    ) -> None:
        self._door = door
        self._connection = connection
        self._client = client
        self._method = method
        self._arguments = arguments
        self._data = data
        self._asked: Asked | None = None
        self._waited_for: int | None = None
        self._names: tuple[str, ...] | None = None
        self._began = perf_counter()

    def start(self) -> None:
        """Answer the request, now or later."""
        method = self._method
        if method in REQUESTS:
            self._operate()
            return
        name = m.OTHERS.get(method)
        if name is not None:
            # How many arguments it has is not known, and so not where the next request would begin.
            self._reply(self._error(not_implemented(name), None), last=True)
            return
        try:
            _CONTROL[method](self)
        except ApiError as error:
            self.fail(error)
        except CodecError as error:
            self.fail(_malformed(error))
        except Exception:
            self._broken()

    # What clients ask for beside operations

    def _endpoints(self) -> None:
        nodes = self._door.endpoints()
        parts = [SUCCESS, array_head(len(nodes))]
        for node in nodes:
            values = (
                integer(node.node_number),
                text(node.host),
                byte_string(node.address),
                integer(node.port),
                integer(node.role),
                text(node.az),
                integer(node.session),
            )
            parts.append(map_head(len(values)))
            parts += [integer(key) + value for key, value in enumerate(values)]
        self._reply(b"".join(parts))

    def _key_schema(self) -> None:
        name = name_of(self._arguments[0], "TableName")
        try:
            table = self._door.backend.table(name)
        except ApiError as error:
            if error.type_name != "ResourceNotFoundException":
                raise
            self._door.metrics.failed(error)
            self._reply(self._error(error, table_missing(self._client.final)))
            return
        self._reply(SUCCESS + key_schema_reply(table.codec))

    def _list_id(self) -> None:
        names = tuple(list_of(self._arguments[0], "attribute names"))
        if not all(name.__class__ is str for name in names):
            raise validation("Names of attributes are texts")
        if len(set(names)) != len(names):
            raise validation("An attribute list has each name once")
        lists = self._door.attribute_lists
        list_id = lists.id_of(names) if names else EMPTY_LIST
        if list_id is not None:
            self._list_id_found(list_id)
        else:
            lists.define(names, self._list_id_found)

    def _list_id_found(self, found: int | ApiError) -> None:
        if isinstance(found, ApiError):
            self.fail(found)
        else:
            self._reply(SUCCESS + integer(found))

    def _list(self) -> None:
        [list_id] = self._arguments
        if list_id.__class__ is not int:
            raise validation("The id of an attribute list is a number")
        lists = self._door.attribute_lists
        names = () if list_id == EMPTY_LIST else lists.names_of(list_id)
        if names is not None:
            self._list_found(names)
        else:
            lists.fetch(list_id, self._list_found)

    def _list_found(self, found: tuple[str, ...] | ApiError) -> None:
        if isinstance(found, ApiError):
            self.fail(found)
        else:
            self._reply(SUCCESS + array_head(len(found)) + b"".join(map(text, found)))

    # Operations

    def _operate(self) -> None:
        try:
            asked = self._asked = REQUESTS[self._method](
                self._door.readers[self._client.selects_all], self._arguments
            )
        except UnknownList as unknown:
            self._fetch(unknown.list_id)
            return
        except ApiError as error:
            self._refuse(error)
            return
        except CodecError as error:
            self._refuse(_malformed(error))
            return
        except Exception:
            self._broken()
            return
        self._arguments = []
        done = self._answered
        if asked.operation == "BatchWriteItem":
            unprocessed = Unprocessed(self._door.tier.run, asked.request, done)
            done = unprocessed.answered
        try:
            self._door.tier.run(asked.operation, asked.request, done)
        except Exception:
            self._broken()

    def _fetch(self, list_id: int) -> None:
        """Learn of an attribute list that the request uses, then read it again."""
        if self._waited_for == list_id:
            self._refuse(internal(f"The attribute list {list_id} is not known after it was fetched"))
            return
        self._waited_for = list_id

        def done(found: tuple[str, ...] | ApiError) -> None:
            if isinstance(found, ApiError):
                self._refuse(found)
            else:
                self._operate()

        self._door.attribute_lists.fetch(list_id, done)

    def _refuse(self, error: ApiError) -> None:
        """Fail a request that has not come as far as the tier, which would have counted it."""
        metrics = self._door.metrics
        metrics.requests[m.NAMES[self._method]] += 1
        metrics.failed(error)
        self.fail(error)

    def _answered(self, answer: Answer | ApiError) -> None:
        if isinstance(answer, ApiError):
            self.fail(answer)
            return
        asked = self._asked
        assert asked is not None
        replies = self._door.replies
        if answer.query is not None and self._data is not None:
            self._door.quick_query.remember(self._data, asked, answer.query, self._client.selects_all)
        self._render(lambda: replies.reply(asked, answer))

    def fail(self, error: ApiError) -> None:
        """Answer with an error."""
        self._render(lambda: self._error(error, None))

    def _error(self, error: ApiError, codes: tuple[int, ...] | None) -> bytes:
        reasons = self._door.replies.reasons(self._asked, error) if self._asked is not None else None
        return error_reply(error, self._client.final, uuid4().hex.upper(), reasons, codes)

    def _render(self, make: Callable[[], bytes]) -> None:
        """Make a reply and send it; define the attribute lists that it needs, one after the other."""
        while True:
            try:
                data = make()
            except UnknownNames as unknown:
                if not self._define(unknown.names, make):
                    return
                continue
            except ApiError as error:
                self._without_reasons(error)
                return
            except Exception:
                self._broken()
                return
            self._reply(data)
            return

    def _define(self, names: tuple[str, ...], make: Callable[[], bytes]) -> bool:
        """Whether a list has been defined at once; else the reply goes on when it is, or has failed."""
        if names == self._names:
            self._without_reasons(internal("An attribute list is not known after it was defined"))
            return False
        self._names = names
        answers: list[int | ApiError] = []
        later = False

        def done(found: int | ApiError) -> None:
            answers.append(found)
            if not later:
                return
            if isinstance(found, ApiError):
                self._without_reasons(found)
            else:
                self._render(make)

        self._door.attribute_lists.define(names, done)
        later = True
        if not answers:
            return False
        if isinstance(answers[0], ApiError):
            self._without_reasons(answers[0])
            return False
        return True

    def _without_reasons(self, error: ApiError) -> None:
        """Answer with an error that needs no attribute list, come what may."""
        self._door.metrics.failed(error)
        self._reply(error_reply(error, self._client.final, uuid4().hex.upper()))

    def _broken(self) -> None:
        self._door.log.exception("a request failed", method=m.NAMES.get(self._method, str(self._method)))
        self._without_reasons(internal())

    def _reply(self, data: bytes, last: bool = False) -> None:
        name = m.NAMES.get(self._method)
        if name is not None:
            self._door.latencies[name].observe(perf_counter() - self._began)
        self._connection.reply(data, last)


def _malformed(error: CodecError) -> ApiError:
    return validation(f"The request is not in the form of the protocol: {error}")


_CONTROL: dict[int, Callable[[Exchange], None]] = {
    m.ENDPOINTS: Exchange._endpoints,
    m.KEY_SCHEMA: Exchange._key_schema,
    m.LIST_ID: Exchange._list_id,
    m.LIST: Exchange._list,
}
