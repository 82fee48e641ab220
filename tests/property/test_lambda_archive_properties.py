"""Damaged deployment packages: every one is refused in the service's words, or stays in its folder when unpacked."""

from __future__ import annotations

import io
import zipfile
from pathlib import PurePosixPath

from hashrange_router.functions.archive import check_archive
from hypothesis import given, settings
from hypothesis import strategies as st

from hashrange.errors import ApiError


def _package() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("app.py"), b"x" * 50)
        archive.writestr(zipfile.ZipInfo("a/bc.txt"), b"hello world" * 5)
        archive.writestr(zipfile.ZipInfo("ü..x"), b"1")
        archive.comment = b"abc"
    return out.getvalue()


PACKAGE = _package()
MEMBERS = (b"app.py", b"a/bc.txt")
NAMES = (b"../../", b"..\\..\\..", b"/etc", b"C:\\", b"\0", b"//", b"./../", b"a/../../")


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """The package with some bytes changed, a name written over, or its end cut off."""
    content = bytearray(PACKAGE)
    for _ in range(draw(st.integers(0, 6))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        name, over = draw(st.sampled_from(MEMBERS)), draw(st.sampled_from(NAMES))
        content = bytearray(content.replace(name, over[: len(name)].ljust(len(name), b"x")))
    return bytes(content[: draw(st.sampled_from((len(content), len(content) - 1, len(content) // 2)))])


@settings(max_examples=1500, deadline=None)
@given(damaged())
def test_what_is_kept_stays_in_its_folder(content: bytes) -> None:
    try:
        size = check_archive(content)
    except ApiError as refused:
        assert refused.type_name == "InvalidParameterValueException"
        return
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert size == sum(len(archive.read(member)) for member in archive.infolist())
        for name in archive.namelist():
            path = PurePosixPath(name)
            assert not path.is_absolute()
            assert ".." not in path.parts
            assert "\\" not in name
