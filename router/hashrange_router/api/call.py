"""One API call in progress: an operation written as a generator, driven by the answers to its messages.

An operation takes the validated request and yields messages for the nodes (one, a list for a fan-out, or `Each`);
it is resumed with the answer (or the list of answers) and returns the body of the reply. What nobody waits for it
yields as `Behind`, and goes on at once. It knows nothing
of HTTP, of the event loop or of where a node is. When a transport answers at once, as the embedded one does
for reads, the whole call runs within the tick it arrived in, with no task and no future.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from hashrange.errors import ApiError
from hashrange.model.item_state import ItemState
from hashrange.wire.messages import Message, Transport


class Each(list[Message]):
    """A fan-out whose messages may fail one by one: the answers hold an ApiError where one did."""


class Behind:
    """Steps that run by themselves, behind the call that yields this; it is resumed at once, with None.

    `steps` yields messages as an operation does. `failed` is told the error that ended it, if one did.
    """

    __slots__ = ("failed", "steps")

    def __init__(
        self, steps: Generator[Any, Any, Any], failed: Callable[[Exception], None] = lambda error: None
    ) -> None:
        self.steps = steps
        self.failed = failed


class Elsewhere:
    """A question to somebody who is no node. `start` begins it; it calls what it is given with the answer, once.

    The answer is told as it is, also one that is an exception; only an ApiError is raised.
    """

    __slots__ = ("start",)

    def __init__(self, start: Callable[[Callable[[Any], None]], None]) -> None:
        self.start = start


Operation = Generator["Message | list[Message] | Behind | Elsewhere", Any, bytes]

_SEVERAL = frozenset((list, Each))
_RARE = frozenset((Behind, Elsewhere))


class Call:
    """The state of one call: what drives it, and what is told to the metrics at its end.

    Units are half units, so that they stay integers; a call that fails may have consumed some too.
    `finish(call, body or error)` is called exactly once.
    `request` is whatever the front needs to answer; the call itself never looks at it.
    `states` is a list for a caller that wants to be told what the call has read or left of each item (the operations
    on single items and on batches tell it), and None for all others.
    """

    __slots__ = (
        "_answer",
        "_failed",
        "_finish",
        "_generator",
        "_inside",
        "_keep",
        "_left",
        "_transport",
        "entry",
        "operation",
        "read_units_half",
        "request",
        "returned_items",
        "started",
        "states",
        "table",
        "write_units_half",
    )

    def __init__(
        self, operation: str, request: Any, transport: Transport, finish: Callable[[Call, Any], None]
    ) -> None:
        self.operation = operation
        self.request = request
        self.entry: Any = None
        self.table = ""
        self.started = 0.0
        self.read_units_half = 0
        self.write_units_half = 0
        self.returned_items = 0
        self.states: list[ItemState] | None = None
        self._transport = transport
        self._finish = finish
        self._generator: Operation | None = None
        self._inside = False
        self._left = 0
        self._answer: Any = None
        self._failed: ApiError | None = None

    def run(self, generator: Operation) -> None:
        """Drive the operation to its end, now or as answers come in."""
        self._generator = generator
        self._advance(None)

    def _advance(self, answer: Any) -> None:
        generator = self._generator
        assert generator is not None
        while True:
            try:
                if isinstance(answer, ApiError):
                    message = generator.throw(answer)
                else:
                    message = generator.send(answer)
            except StopIteration as end:
                self._finish(self, end.value)
                return
            except ApiError as error:
                self._finish(self, error)
                return
            except Exception as error:
                self._finish(self, error)
                return
            self._inside = True
            if message.__class__ in _RARE:
                if message.__class__ is Behind:
                    self._inside = False
                    self._leave_behind(message)
                    answer = None
                    continue
                self._left = 1
                message.start(self._answered)  # type: ignore[union-attr]
            elif message.__class__ in _SEVERAL:
                self._fan_out(message)
            else:
                self._left = 1
                self._transport.send(message, self._answered)  # type: ignore[arg-type]
            self._inside = False
            if self._left:
                return
            answer = self._answer
            self._answer = None

    def _leave_behind(self, behind: Behind) -> None:
        """Run steps as a call of their own, of which nobody hears but `failed`."""

        def finish(call: Call, outcome: Any) -> None:
            if isinstance(outcome, Exception):
                behind.failed(outcome)

        Call(self.operation, None, self._transport, finish).run(behind.steps)

    def _answered(self, answer: Any) -> None:
        self._left = 0
        if self._inside:
            self._answer = answer
        else:
            self._advance(answer)

    def _fan_out(self, messages: list[Message]) -> None:
        """Send several messages; go on with all answers in order, or with the first failure (not for `Each`)."""
        answers: list[Any] = [None] * len(messages)
        self._keep = messages.__class__ is Each
        self._answer = answers
        self._failed = None
        self._left = len(messages)
        for number, message in enumerate(messages):
            self._transport.send(message, self._collector(answers, number))

    def _collector(self, answers: list[Any], number: int) -> Callable[[Any], None]:
        def collect(answer: Any) -> None:
            if isinstance(answer, ApiError) and not self._keep:
                if self._failed is None:
                    self._failed = answer
            else:
                answers[number] = answer
            self._left -= 1
            if self._left == 0:
                outcome = self._failed if self._failed is not None else answers
                if self._inside:
                    self._answer = outcome
                else:
                    self._advance(outcome)

        return collect
