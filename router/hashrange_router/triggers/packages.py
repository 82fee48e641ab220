"""Deployment packages: unpacked safely, once, and kept while a worker uses them.

    packages = Packages(directory, code_store, cache_bytes)
    root = await packages.use(sha256)      # unpacked; counted as used until packages.leave(sha256)

A package lies in a directory named by its SHA-256, read-only for everyone but the pool's user. It is unpacked beside
its place and renamed, so what is there is complete.
"""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

from hashrange.errors import ApiError
from hashrange_router.triggers.contracts import CodeStore

UNPACKED_BYTES_MAX = 250 * 1024 * 1024
"""All files of a package, unpacked."""
_FILES_MAX = 100_000
_PIECE = 1024 * 1024
_COMPILE_FROM_BYTES = 200_000


def _bad(message: str) -> ApiError:
    return ApiError(
        "InvalidZipFileException", f"Could not unzip the code: {message}", status=502, fields={"Type": "User"}
    )


def check_names(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files and directories of an archive, when all are harmless. ApiError InvalidZipFileException else.

    Refused: paths that are absolute or lead out, links and devices, encryption, more than 250 MiB or 100,000 names.
    """
    entries = archive.infolist()
    if len(entries) > _FILES_MAX:
        raise _bad("too many files")
    if sum(entry.file_size for entry in entries) > UNPACKED_BYTES_MAX:
        raise _bad(f"larger than {UNPACKED_BYTES_MAX} bytes")
    for entry in entries:
        path = PurePosixPath(entry.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in entry.filename or "\0" in entry.orig_filename:
            raise _bad(f"the name {entry.filename!r} leads out of the package")
        mode = entry.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _bad(f"{entry.filename!r} is neither a file nor a directory")
        if entry.flag_bits & 0x1:
            raise _bad("it is encrypted")
    return entries


def unpack(package: bytes, target: Path) -> None:
    """Unpack into a directory that must not exist. ApiError InvalidZipFileException; nothing is left behind then."""
    try:
        with zipfile.ZipFile(io.BytesIO(package)) as archive:
            entries = check_names(archive)
            target.mkdir(mode=0o755, parents=True)
            try:
                written = 0
                for entry in entries:
                    written += _extract(archive, entry, target, UNPACKED_BYTES_MAX - written)
            except BaseException:
                shutil.rmtree(target, ignore_errors=True)
                raise
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise _bad(str(error)) from None
    except OSError as error:
        raise _bad(error.strerror or str(error)) from None


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, room: int) -> int:
    """One entry; the bytes written. Sizes that an archive states are not believed."""
    path = target / entry.filename
    if entry.is_dir():
        _make_directories(path, target)
        return 0
    _make_directories(path.parent, target)
    executable = (entry.external_attr >> 16) & 0o111
    size = 0
    with archive.open(entry) as source, path.open("wb") as file:
        while piece := source.read(_PIECE):
            size += len(piece)
            if size > room:
                raise _bad(f"larger than {UNPACKED_BYTES_MAX} bytes")
            file.write(piece)
    path.chmod(0o755 if executable else 0o644)
    return size


def _make_directories(path: Path, target: Path) -> None:
    """Directories that everyone can read, whatever the umask."""
    missing = []
    while path != target and not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        directory.mkdir()
        directory.chmod(0o755)


class Packages:
    """The unpacked packages of one pool."""

    def __init__(self, directory: Path, code: CodeStore, cache_bytes: int) -> None:
        self._directory = directory
        self._code = code
        self._cache_bytes = cache_bytes
        self._uses: dict[str, int] = {}
        self._unpacking: dict[str, asyncio.Task[None]] = {}
        self._compilers: set[subprocess.Popen[bytes]] = set()

    def prepare(self) -> None:
        """Make the directory; drop what was being unpacked when the pool was killed."""
        self._directory.mkdir(parents=True, exist_ok=True)
        # Who knows what a package is called may read it, as workers must; others cannot find out.
        self._directory.chmod(0o711)
        for path in self._directory.glob("*.part"):
            shutil.rmtree(path, ignore_errors=True)

    async def use(self, sha256: str) -> Path:
        """The directory of a package, unpacked if need be. ApiError when it is not there, or bad."""
        self._uses[sha256] = self._uses.get(sha256, 0) + 1
        root = self._directory / sha256
        try:
            if not root.is_dir():
                task = self._unpacking.get(sha256)
                if task is None:
                    task = asyncio.get_running_loop().create_task(self._fetch(sha256, root))
                    self._unpacking[sha256] = task
                    task.add_done_callback(lambda _: self._unpacking.pop(sha256, None))
                await asyncio.shield(task)
            os.utime(root)
        except BaseException:
            self.leave(sha256)
            raise
        return root

    def leave(self, sha256: str) -> None:
        """One use has ended."""
        left = self._uses.get(sha256, 0) - 1
        if left > 0:
            self._uses[sha256] = left
        else:
            self._uses.pop(sha256, None)

    async def _fetch(self, sha256: str, root: Path) -> None:
        package = await self._code.get(sha256)
        part = root.with_name(sha256 + ".part")

        def work() -> None:
            shutil.rmtree(part, ignore_errors=True)
            unpack(package, part)
            part.chmod(0o755)
            part.rename(root)

        await asyncio.to_thread(work)
        self._compile(root)
        for path in self._surplus(await asyncio.to_thread(self._sizes)):
            # Renamed on the event loop, where uses are counted: nobody takes it into use between the two.
            gone = path.with_name(path.name + ".part")
            path.rename(gone)
            await asyncio.to_thread(shutil.rmtree, gone, True)

    async def close(self) -> None:
        """End what is still compiling."""
        for compiler in self._compilers:
            compiler.kill()
            await asyncio.to_thread(compiler.wait)
        self._compilers.clear()

    def _compile(self, root: Path) -> None:
        """Compile the Python modules of a large package, beside its first start: workers cannot write there, so that
        each of them would compile all that it imports."""
        self._compilers = {compiler for compiler in self._compilers if compiler.poll() is None}
        if sum(path.stat().st_size for path in root.rglob("*.py")) >= _COMPILE_FROM_BYTES:
            self._compilers.add(
                subprocess.Popen(
                    [sys.executable, "-m", "compileall", "-q", str(root)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )

    def _sizes(self) -> list[tuple[float, int, Path]]:
        """When each package was last taken into use, its bytes, and where it is."""
        found = []
        for path in self._directory.iterdir():
            if path.suffix != ".part":
                size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
                found.append((path.stat().st_mtime, size, path))
        return sorted(found)

    def _surplus(self, sizes: list[tuple[float, int, Path]]) -> list[Path]:
        """Packages that are not used, least recently used first, without which the rest fits."""
        total = sum(size for _, size, _ in sizes)
        surplus = []
        for _, size, path in sizes:
            if total > self._cache_bytes and path.name not in self._uses:
                surplus.append(path)
                total -= size
        return surplus
