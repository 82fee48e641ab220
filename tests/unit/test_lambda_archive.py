"""Which deployment packages are kept: everything that would do harm where it is unpacked is refused."""

from __future__ import annotations

import io
import stat
import struct
import zipfile

import pytest
from hashrange_router.functions import archive
from hashrange_router.functions.archive import check_archive, code_sha256

from hashrange.errors import ApiError

INVALID = "InvalidParameterValueException"


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        for name, content in members:
            made.writestr(name, content, None if isinstance(name, zipfile.ZipInfo) else method)
    return out.getvalue()


def special(kind: int) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("special")
    member.create_system = 3
    member.external_attr = (kind | 0o777) << 16
    return member


def refusal(package: bytes) -> ApiError:
    with pytest.raises(ApiError) as refused:
        check_archive(package)
    return refused.value


def test_the_size_unzipped_is_counted() -> None:
    folder = zipfile.ZipInfo("pkg/")
    folder.external_attr = (stat.S_IFDIR | 0o755) << 16
    package = zipped(("app.py", b"x" * 1000), (folder, b""), ("pkg/data", b"y" * 500))
    assert check_archive(package) == 1500
    assert check_archive(zipped(("a..b/..c", b"1"), (".hidden", b"2"))) == 2
    assert check_archive(zipped(("bootstrap", b"1"), method=zipfile.ZIP_STORED)) == 1


def test_the_hash_is_that_of_the_zip_file() -> None:
    assert code_sha256(b"abc") == "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../up",
        "a/../../up",
        "a/..",
        "..",
        "a\\..\\up",
        "\\\\host\\share",
        "C:evil",
        "c:/evil",
    ],
)
def test_members_that_would_be_written_elsewhere(name: str) -> None:
    refused = refusal(zipped(("app.py", b"1"), (name, b"x")))
    assert (refused.type_name, "unsafe path" in str(refused.message)) == (INVALID, True)


def test_a_name_that_is_cut_at_a_nul() -> None:
    package = zipped(("app.py?evil", b"1")).replace(b"app.py?evil", b"app.py\0evil")
    assert "unsafe path" in str(refusal(package).message)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_links_and_devices(kind: int) -> None:
    refused = refusal(zipped((special(kind), b"/etc/passwd")))
    assert "neither file nor folder" in str(refused.message)


def test_encrypted_members() -> None:
    package = bytearray(zipped(("app.py", b"1")))
    central = package.index(b"PK\x01\x02")
    package[6] |= 1
    package[central + 8] |= 1
    assert "encrypted" in str(refusal(bytes(package)).message)


def test_methods_that_unpackers_need_not_know() -> None:
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert "deflated" in str(refusal(zipped(("app.py", b"1" * 100), method=method)).message)


def test_a_name_given_twice() -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        package = zipped(("app.py", b"1"), ("app.py", b"2"))
    assert "twice" in str(refusal(package).message)


@pytest.mark.parametrize(
    ("package", "said"),
    [
        (b"", "non-empty"),
        (zipped(), "non-empty"),
        (b"PK", "Could not unzip"),
        (b"x" * 1000, "Could not unzip"),
        (zipped(("app.py", b"1" * 1000))[:-10], "Could not unzip"),
    ],
)
def test_what_is_no_zip(package: bytes, said: str) -> None:
    refused = refusal(package)
    assert (refused.type_name, said in str(refused.message)) == (INVALID, True)


def test_damaged_content() -> None:
    package = bytearray(zipped(("app.py", b"some text"), method=zipfile.ZIP_STORED))
    package[package.index(b"some text")] ^= 1
    assert "Could not unzip" in str(refusal(bytes(package)).message)


def test_damaged_compression() -> None:
    package = bytearray(zipped(("app.py", b"some text" * 100)))
    start = package.index(b"app.py") + len(b"app.py")
    package[start : start + 4] = b"\xff" * 4
    assert "Could not unzip" in str(refusal(bytes(package)).message)


def test_a_bomb_that_says_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "UNZIPPED_MAX", 100_000)
    assert "Unzipped size" in str(refusal(zipped(("a", b"\0" * 60_000), ("b", b"\0" * 60_000))).message)


def test_a_bomb_that_declares_less_than_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "UNZIPPED_MAX", 100_000)
    content = b"\0" * 1_000_000
    package = bytearray(zipped(("bomb", content)))
    central = package.index(b"PK\x01\x02")
    for at in (22, central + 24):
        assert struct.unpack_from("<I", package, at)[0] == len(content)
        struct.pack_into("<I", package, at, 10)
    assert refusal(bytes(package)).type_name == INVALID


def test_too_many_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MEMBERS_MAX", 3)
    assert check_archive(zipped(*((f"f{number}", b"") for number in range(3)))) == 0
    assert "3 members" in str(refusal(zipped(*((f"f{number}", b"") for number in range(4)))).message)


def test_a_package_over_fifty_megabytes() -> None:
    refused = refusal(bytes(archive.ZIPPED_MAX + 1))
    assert (refused.type_name, refused.status) == ("RequestTooLargeException", 413)
