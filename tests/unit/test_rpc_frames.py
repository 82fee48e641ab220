"""Frames in a stream: cut anywhere, the same frames come out; what is none is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashrange.runtime.rpc.frames import HEADER, FrameReader, encode_frame
from hashrange.wire.fields import FrameError

frames = st.lists(
    st.tuples(st.integers(0, 255), st.integers(0, 2**64 - 1), st.binary(max_size=30)), max_size=6
)


@given(frames, st.data())
def test_frames_come_out_however_the_stream_is_cut(
    sent: list[tuple[int, int, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(encode_frame(*frame) for frame in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reader = FrameReader()
    found = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += reader.feed(stream[start:stop])
    assert found == sent


def test_a_stream_byte_by_byte() -> None:
    reader = FrameReader()
    stream = encode_frame(5, 7, b"abc") + encode_frame(6, 8, b"")
    assert [frame for at in range(len(stream)) for frame in reader.feed(stream[at : at + 1])] == [
        (5, 7, b"abc"),
        (6, 8, b""),
    ]


@pytest.mark.parametrize("length", [0, 8, 1001, 2**32 - 1])
def test_impossible_lengths_are_refused(length: int) -> None:
    with pytest.raises(FrameError, match=f"{length} bytes"):
        FrameReader(frame_bytes_max=1000).feed(HEADER.pack(length, 5, 1))


def test_the_longest_frame_is_taken() -> None:
    reader = FrameReader(frame_bytes_max=1000)
    body = bytes(1000 - 9)
    assert reader.feed(encode_frame(5, 1, body)) == [(5, 1, body)]


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_garbage_is_refused_or_waits_for_more(pieces: list[bytes]) -> None:
    reader = FrameReader(frame_bytes_max=10_000)
    try:
        for piece in pieces:
            reader.feed(piece)
    except FrameError:
        pass
