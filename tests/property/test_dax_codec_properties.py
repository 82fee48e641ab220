"""The DAX codec over random data: against the official client, against cbor2, and against garbage."""

from __future__ import annotations

from typing import Any

import cbor2
from amazondax import AttributeValueDecoder
from amazondax.CborSExprGenerator import encode_expressions
from amazondax.DocumentPath import DocumentPath
from hashrange_dax.codec import cbor, expressions, items, keys, lexdecimal, projections, values
from hashrange_dax.codec.cbor import CodecError, Scanner
from hypothesis import given, settings
from hypothesis import strategies as st

from hashrange.errors import ApiError
from hashrange.expr.compiled import Compiled
from hashrange.expr.parser import parse
from hashrange.expr.projection import Projection
from hashrange.expr.tree import CONDITION, UPDATE, Tree
from hashrange.model import number
from hashrange.model.value import normalise_item, normalise_value
from tests.dax import codec_against_client as client
from tests.property import model_expr, model_values
from tests.property.model_values import base64_text, binaries, numbers, texts

SIZE = 1 << 20

plain = st.recursive(
    st.one_of(
        st.integers(-(2**70), 2**70),
        st.text(max_size=30),
        st.binary(max_size=300),
        st.booleans(),
        st.none(),
        st.floats(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=30),
        st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), inner, max_size=4),
    ),
    max_leaves=10,
)
"""Data as cbor2 has it."""


def dumps(value: Any, stream: bool = False) -> bytes:
    return cbor2.dumps(value, indefinite_containers=stream)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**64), st.sampled_from(client.SHAPES))
def test_the_client_agrees_on_everything_drawn(seed: int, shape: tuple[str, str | None]) -> None:
    client.check_all(seed, shape)


@given(model_values.values)
def test_the_client_agrees_on_any_value(value: dict[str, Any]) -> None:
    client.check_value(value)


@given(numbers)
def test_the_client_agrees_on_any_number_in_a_range_key(text: str) -> None:
    if len(text.strip("-").replace(".", "")) <= 38:
        client.check_number(text, text)
    assert lexdecimal.decode(lexdecimal.encode(text)) == text


@given(numbers, numbers)
def test_numbers_in_range_keys_order_as_numbers(a: str, b: str) -> None:
    left, right = lexdecimal.encode(a), lexdecimal.encode(b)
    assert (left > right) - (left < right) == (number.compare(a, b) > 0) - (number.compare(a, b) < 0)


@given(model_values.items)
def test_items_come_back_as_they_were(item: dict[str, Any]) -> None:
    client.check_item(item)


@given(plain, st.booleans())
def test_what_cbor2_writes_is_read(value: Any, stream: bool) -> None:
    data = dumps(value, stream)
    read, end = cbor.decode(data)
    assert end == len(data)
    assert repr(read) == repr(value)


@given(st.integers(-(2**300), 2**300), st.text(), st.binary(max_size=70_000), st.floats())
def test_cbor2_reads_what_is_written(whole: int, text: str, raw: bytes, real: float) -> None:
    assert cbor2.loads(cbor.integer(whole)) == whole
    assert cbor2.loads(cbor.text(text)) == text
    assert cbor2.loads(cbor.byte_string(raw)) == raw
    assert repr(cbor2.loads(cbor.double(real))) == repr(real)
    assert cbor.decode_all(cbor.integer(whole) + cbor.text(text) + cbor.byte_string(raw)) == [
        whole,
        text,
        raw,
    ]


@given(
    st.lists(st.tuples(plain, st.booleans()), max_size=6),
    st.lists(st.integers(1, 40), min_size=1),
    st.booleans(),
)
def test_values_are_counted_however_they_come_in(
    drawn: list[tuple[Any, bool]], pieces: list[int], discarding: bool
) -> None:
    encoded = [dumps(value, stream) for value, stream in drawn]
    data = b"".join(encoded)
    scanner = Scanner(SIZE)
    buffer = bytearray()
    taken: list[bytes] = []
    position = step = 0
    while position < len(data):
        piece = pieces[step % len(pieces)]
        buffer += data[position : position + piece]
        position += piece
        step += 1
        ends = list(scanner.scan(buffer))
        assert ends == sorted(ends)
        if discarding and ends:
            start = 0
            for end in ends:
                taken.append(bytes(buffer[start:end]))
                start = end
            del buffer[: ends[-1]]
            scanner.discard(ends[-1])
    start = 0
    for end in scanner.ends:
        taken.append(bytes(buffer[start:end]))
        start = end
    assert taken == encoded


READERS = [
    lambda data: cbor.decode(data),
    lambda data: cbor.decode_all(data),
    lambda data: values.decode_value(data),
    lambda data: items.decode_values(data, ("a", "b")),
    lambda data: items.decode_updated(data, ("a", "b")),
    lambda data: keys.decode_compound(data),
    lambda data: expressions.condition(data),
    lambda data: expressions.update(data),
    lambda data: expressions.projection(data),
    lambda data: lexdecimal.decode(data),
    *[keys.wire_keys(client.key_of_shape(shape)[0]).decode for shape in client.SHAPES],
]

SAMPLES = [
    bytes.fromhex(sample)
    for sample in (
        "83018300821262706b821100816171",
        "83018183138212616e82110081" + "06",
        "83018306830082126161821100830a82126162828211018210821261638301fb3ff8000000000000",
        "8301830683008212616182110082088201fb3ff80000000000006161",
        "820182821261768312616102d90cfc03",
        "0782c4822105d90cf982616161624161f6f5a161619f01ffbf616101ff",
        "bf03006162fb3ff800000000000001ff",
        "61613ed77fe0",
    )
]


@settings(max_examples=300)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.builds(
            lambda sample, cut, at, byte: (sample[:at] + bytes([byte]) + sample[at + 1 :])[:cut],
            st.sampled_from(SAMPLES),
            st.integers(0, 60),
            st.integers(0, 40),
            st.integers(0, 255),
        ),
    )
)
def test_garbage_is_refused_or_read_and_nothing_else(data: bytes) -> None:
    for read in READERS:
        try:
            read(data)
        except (CodecError, ApiError):
            pass
    scanner = Scanner(1000)
    try:
        scanner.scan(data)
    except CodecError:
        return
    # What is complete for the scanner can be read or is refused, and ends where the scanner says.
    start = 0
    for end in scanner.ends:
        try:
            _, behind = cbor.decode(data, start)
        except CodecError:
            pass
        else:
            assert behind == end
        start = end


def resolved(tree: Any, order: dict[str, int]) -> Any:
    """A tree of a text as a client's would be: values numbered, chains of one operator in one piece."""
    if not isinstance(tree, tuple):
        return tree
    if tree and tree[0] == "value":
        return ("value", f":{order.setdefault(tree[1], len(order))}")
    if tree and tree[0] in ("and", "or"):
        members: list[Tree] = []
        for member in tree[1]:
            inner = resolved(member, order)
            members.extend(inner[1] if inner[0] == tree[0] else (inner,))
        return (tree[0], tuple(members))
    return tuple(resolved(branch, order) for branch in tree)


def as_clients_have_them(found: dict[str, Any]) -> dict[str, Any]:
    return {name: client.native(value) for name, value in found.items()}


def check_expression(kind: str, text: str, found: dict[str, Any], compiled: Compiled) -> None:
    order: dict[str, int] = {}
    assert compiled.tree == resolved(parse(kind, text), order)
    for value in found.values():
        normalise_value(value)
    for value in compiled.values:
        normalise_value(value)
    assert list(compiled.values) == [found[name] for name in order]


# The client's parser takes milliseconds.
@settings(max_examples=40, deadline=None)
@given(model_expr.conditions)
def test_conditions_are_those_of_the_text(node: model_expr.Node) -> None:
    writer = model_expr.Writer()
    text = writer.condition(node)
    blob = encode_expressions(
        text, None, None, None, None, None, as_clients_have_them(writer.values)
    ).Condition
    check_expression(CONDITION, text, writer.values, expressions.condition(blob))


@settings(max_examples=40, deadline=None)
@given(model_expr.actions)
def test_updates_are_those_of_the_text(actions: list[model_expr.Node]) -> None:
    writer = model_expr.Writer()
    text = writer.update(actions)
    blob = encode_expressions(None, None, None, text, None, None, as_clients_have_them(writer.values)).Update
    check_expression(UPDATE, text, writer.values, expressions.update(blob))


@settings(max_examples=60, deadline=None)
@given(model_expr.items, model_expr.path_lists)
def test_clients_put_a_projected_item_together(item: dict[str, Any], paths: list[model_expr.Node]) -> None:
    normalise_item(item)
    text = ", ".join(model_expr.path_text(path[1]) for path in paths)
    blob = encode_expressions(None, None, None, None, text, None, None).Projection
    projection = expressions.projection(blob)
    assert projection.paths == tuple(path[1] for path in paths)
    data = projections.encode_projected(projections.project(item, projection.paths))
    ordinals = [DocumentPath(list(path)) for path in projection.paths]
    built = AttributeValueDecoder._decode_projection(client.reader(data), ordinals)
    built = {name: client.from_native(value) for name, value in built.items()}
    assert built == Projection.of(projection.paths).apply(item)


@given(texts, numbers, binaries)
def test_a_lone_hash_key_may_be_any_bytes(text: str, whole: str, raw: bytes) -> None:
    for kind, content in (("S", text), ("N", whole), ("B", base64_text(raw))):
        wire = keys.wire_keys(client.key_of_shape((kind, None))[0])
        key = {"h": {kind: content}}
        assert wire.decode(wire.encode(key)) == key
