"""Primary keys of the DAX protocol: all shapes, other spellings of the same key, and what is no key."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_dax.codec import keys
from hashrange_dax.codec.cbor import CodecError
from hashrange_dax.codec.keys import wire_keys

from hashrange.model.key import KeyCodec, KeyPart

STRING = KeyCodec((KeyPart("pk", "S"),), ())
NUMBER = KeyCodec((KeyPart("pk", "N"),), ())
BINARY = KeyCodec((KeyPart("pk", "B"),), ())


def with_range(hash_type: Any, range_type: Any) -> KeyCodec:
    return KeyCodec((KeyPart("pk", hash_type),), (KeyPart("sk", range_type),))


@pytest.mark.parametrize(
    ("codec", "key", "encoded"),
    [
        (STRING, {"pk": {"S": "0"}}, "30"),
        (BINARY, {"pk": {"B": "AP8="}}, "00ff"),
        (NUMBER, {"pk": {"N": "1.5"}}, "c482200f"),
        (NUMBER, {"pk": {"N": "100"}}, "1864"),
        (with_range("S", "N"), {"pk": {"S": "a"}, "sk": {"N": "-1.5"}}, "61613ed77fe0"),
        (with_range("S", "S"), {"pk": {"S": "a"}, "sk": {"S": "bc"}}, "61616263"),
        (with_range("B", "B"), {"pk": {"B": "AA=="}, "sk": {"B": "AQ=="}}, "410001"),
        (with_range("N", "S"), {"pk": {"N": "-1"}, "sk": {"S": "x"}}, "2078"),
    ],
)
def test_keys_as_the_clients_write_them(codec: KeyCodec, key: dict[str, Any], encoded: str) -> None:
    data = bytes.fromhex(encoded)
    wire = wire_keys(codec)
    assert wire.encode({**key, "other": {"S": "x"}}) == data
    assert wire.decode(data) == key
    assert wire.key_of(data) == codec.encode(key)


@pytest.mark.parametrize("spelled", ["c482200f", "c482211896", "fb3ff8000000000000", "c48222c24205dc"])
def test_a_number_is_one_key_however_it_is_spelled(spelled: str) -> None:
    wire = wire_keys(NUMBER)
    assert wire.key_of(bytes.fromhex(spelled)) == NUMBER.encode({"pk": {"N": "1.5"}})


def test_zeros_at_the_end_of_a_range_key_make_no_other_key() -> None:
    codec = with_range("S", "N")
    assert wire_keys(codec).decode(bytes.fromhex("6161c1288020")) == {"pk": {"S": "a"}, "sk": {"N": "1.5"}}


@pytest.mark.parametrize(
    ("codec", "data"),
    [
        (STRING, "ff"),
        (NUMBER, ""),
        (NUMBER, "6161"),
        (NUMBER, "0101"),
        (NUMBER, "f6"),
        (with_range("S", "S"), "4161"),
        (with_range("S", "S"), "61"),
        (with_range("S", "S"), "6161ff"),
        (with_range("S", "N"), "6161"),
        (with_range("S", "N"), "6161c1"),
        (with_range("N", "S"), "616161"),
    ],
)
def test_what_is_no_key_is_refused(codec: KeyCodec, data: str) -> None:
    with pytest.raises(CodecError):
        wire_keys(codec).decode(bytes.fromhex(data))


def test_the_keys_of_a_codec_are_made_once() -> None:
    assert wire_keys(STRING) is wire_keys(STRING)


def test_a_schema_says_the_hash_key_first() -> None:
    assert keys.key_schema_reply(KeyCodec((KeyPart("k", "S"),), ())).hex() == "a1616b6153"
    assert (
        keys.key_schema_reply(KeyCodec((KeyPart("z", "S"),), (KeyPart("a", "N"),))).hex()
        == "a2617a61536161614e"
    )


INDEX_KEY = {"gpk": {"S": "g"}, "pk": {"N": "1.5"}}


def test_start_keys_of_an_index_have_names() -> None:
    data = bytes.fromhex("bf6367706b616762706bc482200fff")
    assert keys.encode_start_key(NUMBER, INDEX_KEY, of_index=True) == data
    assert keys.decode_start_key(NUMBER, data, of_index=True) == INDEX_KEY
    assert keys.decode_compound(bytes.fromhex("a1") + data[1:7]) == {"gpk": {"S": "g"}}


def test_start_keys_of_a_table_are_keys() -> None:
    key = {"pk": {"S": "x"}}
    assert keys.encode_start_key(STRING, key, of_index=False) == b"x"
    assert keys.decode_start_key(STRING, b"x", of_index=False) == key


@pytest.mark.parametrize(
    "data", ["", "01", "bf", "bf0101ff", "bf6161ff", "bf6161", "a16161", "bfff00", "bf416101ff"]
)
def test_what_is_no_start_key_of_an_index(data: str) -> None:
    with pytest.raises(CodecError):
        keys.decode_compound(bytes.fromhex(data))
