"""The log of changes, what is known to be missing, and what nodes say to one another as bytes."""

from __future__ import annotations

import msgpack
import pytest
from hashrange_dax.coherence import messages as wire
from hashrange_dax.coherence.changes import ChangeLog
from hashrange_dax.coherence.handshake import DIALLED, DIALLER, challenge, holds, proof
from hashrange_dax.coherence.inbound import Inbound
from hashrange_dax.contracts import BackendReply, Change
from hypothesis import given
from hypothesis import strategies as st

from hashrange.errors import ApiError, validation
from hashrange.expr.compiled import Compiled
from hashrange.expr.tree import UPDATE
from hashrange.model.item_state import ItemState
from hashrange.wire.fields import FrameError
from tests.unit.dax_peers_support import TABLE, change

# ---- the log


def log_of(count: int, bytes_max: int = 1_000_000, width: int = 3) -> ChangeLog:
    log = ChangeLog(bytes_max)
    for number in range(1, count + 1):
        log.append(b"%0*d" % (width, number), dispensable=False)
    return log


def test_the_log_gives_what_follows_a_number() -> None:
    log = log_of(5)
    assert (log.first, log.head) == (1, 5)
    assert log.after(0, 1000) == (b"001002003004005", 5)
    assert log.after(3, 1000) == (b"004005", 5)
    assert log.after(5, 1000) == (b"", 5)
    assert log.after(0, 4) == (b"001002", 2)


def test_the_log_forgets_and_says_so() -> None:
    log = log_of(5)
    log.forget(3)
    assert (log.first, log.head, log.bytes) == (4, 5, 6)
    assert log.after(2, 1000) is None
    assert log.after(3, 1000) == (b"004005", 5)
    log.forget(9)
    assert (log.first, log.head, log.bytes) == (6, 5, 0)
    log.append(b"006", dispensable=False)
    assert log.after(5, 1000) == (b"006", 6)


def test_the_log_has_a_limit() -> None:
    log = log_of(10_000, bytes_max=30, width=5)
    assert (log.first, log.head) == (10_000 - 30 // 5 + 1, 10_000) and log.bytes <= 30
    assert log.after(log.first - 2, 1000) is None
    assert not log.append(b"fill", dispensable=True)
    assert log.head == 10_000 and log.dropped == 1
    assert log.append(b"x" * 31, dispensable=False)
    assert (log.head, log.first, log.bytes) == (10_001, 10_002, 0)


def test_a_change_that_nobody_hears_has_a_number() -> None:
    log = ChangeLog(100)
    log.skip()
    log.skip()
    assert (log.first, log.head) == (3, 2)
    assert log.after(0, 10) is None
    assert log.after(2, 10) == (b"", 2)


# ---- what is missing


def test_changes_that_follow_on_miss_nothing() -> None:
    inbound = Inbound()
    assert inbound.admit("n2", "p", writes=False) == (0, False)
    assert inbound.take("n2", 1) == (0, False)
    inbound.taken("n2", 3, wrote=False)
    assert inbound.take("n2", 4) == (0, False)
    inbound.taken("n2", 4, wrote=False)
    assert inbound.last("n2") == 4


def test_changes_that_came_before_are_known() -> None:
    inbound = Inbound()
    inbound.admit("n2", "p", writes=False)
    inbound.taken("n2", 5, wrote=False)
    assert inbound.take("n2", 3) == (3, False)
    inbound.taken("n2", 4, wrote=False)
    assert inbound.last("n2") == 5


def test_a_gap_is_told_once() -> None:
    inbound = Inbound()
    inbound.admit("n2", "p", writes=False)
    assert inbound.take("n2", 3) == (0, True)
    inbound.taken("n2", 2, wrote=False)  # nothing was in it
    assert inbound.take("n2", 3) == (0, False)


@pytest.mark.parametrize("wrote", [False, True])
@pytest.mark.parametrize("primary", [False, True])
@pytest.mark.parametrize("complete", [False, True])
def test_the_dead_may_have_kept_something_back(wrote: bool, primary: bool, complete: bool) -> None:
    inbound = Inbound()
    inbound.admit("n2", "p", writes=False)
    inbound.taken("n2", 1, wrote)
    if primary:
        inbound.writes("n2")
    inbound.ended("n2", complete)
    assert inbound.died("n2") is ((wrote or primary) and not complete)
    assert not inbound.died("n2")


def test_a_new_process_of_a_node_means_that_the_old_one_is_dead() -> None:
    inbound = Inbound()
    inbound.admit("n2", "p", writes=True)
    inbound.taken("n2", 7, wrote=True)
    inbound.ended("n2", complete=False)
    assert inbound.admit("n2", "q", writes=True) == (0, True)
    assert not inbound.died("n2", successor="q")


def test_the_same_process_goes_on_where_it_was() -> None:
    inbound = Inbound()
    inbound.admit("n2", "p", writes=True)
    inbound.taken("n2", 7, wrote=True)
    inbound.ended("n2", complete=False)
    assert inbound.admit("n2", "p", writes=True) == (7, False)


# ---- bytes

changes = st.builds(
    Change,
    st.text(max_size=8),
    st.binary(max_size=8),
    st.none() | st.binary(max_size=20),
    st.integers(0, 2**63),
    st.booleans(),
)
keys = st.tuples(st.text(max_size=8), st.binary(max_size=8))


@given(st.lists(changes | keys, max_size=12), st.integers(0, 12))
def test_what_is_told_arrives_in_order(told: list[Change | tuple[str, bytes]], skip: int) -> None:
    data = b"".join(
        wire.encode_change(each) if isinstance(each, Change) else wire.encode_invalid(each) for each in told
    )
    count, runs = wire.decode_tell(wire.encode_tell(data, len(told)), skip)
    assert count == len(told)
    assert [each for run in runs for part in run for each in part] == told[skip:]


@given(st.binary(max_size=60))
def test_bytes_that_are_none_raise_frame_errors_alone(data: bytes) -> None:
    for decode in (
        lambda: wire.decode_tell(data, 0),
        lambda: wire.decode_forward(data),
        lambda: wire.decode_answer(data, lambda name, table_id: TABLE),
        lambda: wire.decode_hello(data),
        lambda: wire.decode_challenge(data),
        lambda: wire.decode_names(data),
        lambda: wire.unpack(data, str),
    ):
        try:
            decode()
        except FrameError:
            pass


def test_changes_cut_off_are_no_changes() -> None:
    data = wire.encode_tell(wire.encode_change(change(b"a")) + wire.encode_change(change(b"b")), 2)
    for end in range(len(data)):
        with pytest.raises(FrameError):
            wire.decode_tell(data[:end], 0)
    with pytest.raises(FrameError):
        wire.decode_tell(data + b"\0", 0)


def test_a_write_arrives_as_it_was() -> None:
    update = Compiled.of(
        UPDATE, ("update", (("SET", ((("path", ("n", 3)), ("value", ":0")),)),)), [{"L": [{"N": "1"}]}]
    )
    request = {
        "TableName": "tbl",
        "Key": {"pk": {"B": "AAE="}},
        "UpdateExpression": update,
        "ExpressionAttributeNames": {"#a": "b"},
        "Nothing": None,
        "Flag": True,
        "Segment": 7,
        "Deep": [[[{"M": {}}]]],
    }
    operation, arrived = wire.decode_forward(wire.encode_forward("UpdateItem", request))
    assert (operation, arrived) == ("UpdateItem", request)
    made = arrived["UpdateExpression"]
    assert type(made) is Compiled
    assert (made.kind, made.tree, made.values, made.size) == (
        update.kind,
        update.tree,
        update.values,
        update.size,
    )


def test_answers_arrive_as_they_were() -> None:
    states = [ItemState(TABLE, b"k", b"{}", 5), ItemState(TABLE, b"l", None, 1 << 60)]
    data = wire.encode_answer(BackendReply(b"{}", states))
    assert wire.decode_answer(data, lambda name, table_id: TABLE) == BackendReply(b"{}", states)
    assert wire.decode_answer(data, lambda name, table_id: None) == BackendReply(b"{}", [])
    assert wire.decode_answer(wire.encode_answer(None), lambda name, table_id: TABLE) is None


@pytest.mark.parametrize(
    "error",
    [
        validation("no"),
        ApiError("UnknownOperationException", None),
        ApiError(
            "TransactionCanceledException",
            "cancelled",
            fields={"CancellationReasons": [{"Code": "None"}, {"Code": "X", "Item": {"a": {"S": "ö"}}}]},
        ),
    ],
)
def test_errors_arrive_as_they_were(error: ApiError) -> None:
    arrived = wire.decode_answer(wire.encode_answer(error), lambda name, table_id: TABLE)
    assert isinstance(arrived, ApiError)
    assert arrived.body() == error.body()
    assert (arrived.status, arrived.message) == (error.status, error.message)


# ---- the handshake

HELLO = wire.Hello(1, "dax", "n1", "p", "n2", b"nonce")


def test_both_sides_prove_that_they_know_the_key() -> None:
    made = challenge(b"key", HELLO, "n2", "q", b"other")
    assert holds(made.proof, b"key", DIALLED, HELLO, made)
    shown = proof(b"key", DIALLER, HELLO, "n2", "q", b"other")
    assert holds(shown, b"key", DIALLER, HELLO, made)


def test_a_proof_is_good_for_nothing_else() -> None:
    made = challenge(b"key", HELLO, "n2", "q", b"other")
    assert not holds(made.proof, b"guess", DIALLED, HELLO, made)
    assert not holds(made.proof, b"key", DIALLER, HELLO, made)
    assert not holds(made.proof, b"key", DIALLED, HELLO._replace(nonce=b"again"), made)
    assert not holds(made.proof, b"key", DIALLED, HELLO._replace(cluster="other"), made)
    assert not holds(made.proof, b"key", DIALLED, HELLO, made._replace(nonce=b"again"))
    assert not holds(made.proof, b"key", DIALLED, HELLO, made._replace(node_id="n3"))


def test_a_hello_is_read_back() -> None:
    assert wire.decode_hello(wire.pack(*HELLO)) == HELLO
    with pytest.raises(FrameError):
        wire.decode_hello(msgpack.packb([True, *HELLO[1:]]))
