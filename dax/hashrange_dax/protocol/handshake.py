"""What a client says first: who it is. Nothing is answered.

    "J7yne5G" . 0 . session id . {"UserAgent": text} . 0

The session id is a byte string, a text or null, depending on the client, and means nothing here.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from hashrange_dax.codec.cbor import CodecError

from .errors import CLIENT, FINAL

MAGIC: Final = "J7yne5G"
MAGIC_BYTES: Final = b"\x67J7yne5G"
VALUES: Final = 5
"""How many values a handshake has."""

_USER_AGENT_MAX: Final = 256


class Client(NamedTuple):
    """Who is at the other end. `final` is the first code of errors that it shall not try again.

    `selects_all` says that it sends Select=ALL_ATTRIBUTES with every Query and Scan for which it was told nothing: the
    Go client does, also on an index or with a projection, where that is another thing.
    """

    user_agent: str
    final: int
    selects_all: bool = False


def client_of(values: list[Any]) -> Client:
    """The client of a handshake; `CodecError` if it is none."""
    magic, layering, _, headers, mode = values
    if magic != MAGIC or layering != 0 or mode != 0 or not isinstance(headers, dict):
        raise CodecError("the connection does not begin with the handshake of the DAX protocol")
    user_agent = headers.get("UserAgent")
    if not isinstance(user_agent, str):
        user_agent = ""
    return Client(
        user_agent[:_USER_AGENT_MAX],
        FINAL if user_agent.startswith("DaxPythonClient-") else CLIENT,
        user_agent.startswith("DaxGoClient-"),
    )
