"""Deployment packages: what is refused, how the rest is unpacked, and which are kept."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import stat
import zipfile
from pathlib import Path

import pytest
from hashrange_router.triggers import packages
from hashrange_router.triggers.packages import Packages, unpack

from hashrange.errors import ApiError, resource_not_found


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return buffer.getvalue()


def entry(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def test_files_directories_and_modes(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        unpack(
            zipped(
                ("a/b/c.txt", b"deep"),
                (entry("bootstrap", stat.S_IFREG | 0o700), b"#!/bin/sh\n"),
                (entry("empty/", stat.S_IFDIR | 0o755), b""),
                (entry("plain", stat.S_IFREG | 0o600), b""),
            ),
            tmp_path / "x",
        )
    finally:
        os.umask(before)
    root = tmp_path / "x"
    assert (root / "a/b/c.txt").read_bytes() == b"deep"
    modes = {
        name: stat.S_IMODE((root / name).stat().st_mode)
        for name in ("a", "a/b", "bootstrap", "empty", "plain")
    }
    assert modes == {"a": 0o755, "a/b": 0o755, "bootstrap": 0o755, "empty": 0o755, "plain": 0o644}


REFUSED = {
    "up": zipped(("../evil", b"x")),
    "inside": zipped(("a/../../evil", b"x")),
    "absolute": zipped(("/evil", b"x")),
    "backslash": zipped(("..\\evil", b"x")),
    "link": zipped((entry("link", stat.S_IFLNK | 0o777), b"/etc/passwd")),
    "device": zipped((entry("null", stat.S_IFCHR | 0o666), b"")),
    "file as directory": zipped(("a", b"x"), ("a/b", b"x")),
    "no zip": b"PK\x03\x04 nothing",
    "empty": b"",
    "cut": zipped(("a", os.urandom(5000)))[:3000],
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_packages_that_are_refused(tmp_path: Path, case: str) -> None:
    target = tmp_path / "inner" / "x"
    with pytest.raises(ApiError) as caught:
        unpack(REFUSED[case], target)
    assert caught.value.type_name == "InvalidZipFileException"
    assert not target.exists()
    assert [path for path in tmp_path.rglob("*") if path.name == "evil"] == []


def test_a_package_may_not_grow_beyond_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "UNPACKED_BYTES_MAX", 1000)
    with pytest.raises(ApiError, match="larger than 1000 bytes"):
        unpack(zipped(("a", bytes(600)), ("b", bytes(600))), tmp_path / "x")
    honest = zipped(("a", bytes(2000)))
    lying = honest.replace((2000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lying != honest
    with pytest.raises(ApiError):
        unpack(lying, tmp_path / "y")
    assert list(tmp_path.iterdir()) == []


class Store:
    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.reads = 0

    async def put(self, package: bytes) -> str:
        sha256 = hashlib.sha256(package).hexdigest()
        self.kept[sha256] = package
        return sha256

    async def get(self, sha256: str) -> bytes:
        self.reads += 1
        if sha256 not in self.kept:
            raise resource_not_found()
        return self.kept[sha256]

    async def remove(self, sha256: str) -> None:
        self.kept.pop(sha256)


def test_packages_in_use_are_kept_and_others_make_room(tmp_path: Path) -> None:
    async def work() -> None:
        store = Store()
        shelf = Packages(tmp_path / "code", store, cache_bytes=2500)
        shelf.prepare()
        names = [await store.put(zipped((f"file-{number}", bytes(1000)))) for number in range(4)]
        roots = await asyncio.gather(*(shelf.use(names[0]) for _ in range(3)))
        assert (len(set(roots)), store.reads) == (1, 1)
        for name in names[1:]:
            await shelf.use(name)
            shelf.leave(name)
        assert roots[0].is_dir(), "it is in use"
        assert not (tmp_path / "code" / names[1]).exists(), "it was not used for the longest"
        assert (tmp_path / "code" / names[3]).is_dir()
        with pytest.raises(ApiError):
            await shelf.use("0" * 64)
        for _ in range(3):
            shelf.leave(names[0])
        await shelf.use(names[1])
        assert not roots[0].exists()

    asyncio.run(work())


def test_what_was_half_unpacked_is_dropped(tmp_path: Path) -> None:
    part = tmp_path / "code" / ("0" * 64 + ".part")
    part.mkdir(parents=True)
    Packages(tmp_path / "code", Store(), 1).prepare()
    assert not part.exists()


def test_large_packages_are_compiled(tmp_path: Path) -> None:
    async def work() -> None:
        store = Store()
        shelf = Packages(tmp_path / "code", store, cache_bytes=10**9)
        shelf.prepare()
        small = await shelf.use(await store.put(zipped(("a.py", b"x = 1\n"))))
        large = await shelf.use(await store.put(zipped(("b.py", b"x = 1\n" * 40_000))))
        for compiler in shelf._compilers:
            await asyncio.to_thread(compiler.wait)
        await shelf.close()
        assert [path.name for path in large.rglob("*.pyc")] != []
        assert list(small.rglob("*.pyc")) == []

    asyncio.run(work())
