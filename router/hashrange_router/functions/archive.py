"""Deployment packages: what a zip file must be before it is kept, so that it can be unpacked anywhere without harm.

    size = check_archive(package)         # bytes unzipped; ApiError when it is refused

Every member is inflated once, in pieces: one that holds more, or less, than the directory of the archive declares is
found out. Refused are members that would be written elsewhere (absolute paths, drives, "..", backslashes), links and
devices, encrypted members, methods of compression that unpackers need not know, names given twice.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from base64 import b64encode
from hashlib import sha256
from io import BytesIO

from hashrange_router.functions.errors import invalid, too_large

ZIPPED_MAX = 50 * 1024 * 1024
"""Bytes of a package that is uploaded directly (AWS Lambda Developer Guide, Lambda quotas)."""
UNZIPPED_MAX = 250 * 1024 * 1024
"""Bytes of all members (the same)."""
MEMBERS_MAX = 100_000
"""Files and folders of a package: each costs the unpacker more than its bytes."""
REQUEST_MAX = 70_167_211
"""Bytes of a request with a package in it, as the service words its refusal."""
_PIECE_BYTES = 1 << 20
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_NOT_A_ZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."


def code_sha256(package: bytes) -> str:
    """CodeSha256: base64 of the SHA-256 of the zip file."""
    return b64encode(sha256(package).digest()).decode()


def check_archive(package: bytes, operation: str = "CreateFunction") -> int:
    """The bytes that a package has unzipped; InvalidParameterValueException when it is refused. Takes a while."""
    if len(package) > ZIPPED_MAX:
        raise too_large(REQUEST_MAX, operation)
    if not package:
        raise invalid("Uploaded file must be a non-empty zip")
    try:
        with zipfile.ZipFile(BytesIO(package)) as archive:
            members = archive.infolist()
            if not members:
                raise invalid("Uploaded file must be a non-empty zip")
            _check_members(members)
            return _count(archive, members)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError, RuntimeError):
        raise invalid(_NOT_A_ZIP) from None


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    """Names and kinds, before anything is inflated."""
    if len(members) > MEMBERS_MAX:
        raise invalid(f"The deployment package must have at most {MEMBERS_MAX} members")
    seen: set[str] = set()
    for member in members:
        # zipfile cuts names at a NUL and turns separators: the name as written is what others may follow.
        name = member.orig_filename
        if _leads_elsewhere(name):
            raise invalid(f"The deployment package has a member with an unsafe path: {name!r}")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise invalid(f"The deployment package has a member that is neither file nor folder: {name!r}")
        if member.flag_bits & _ENCRYPTED:
            raise invalid(f"The deployment package has an encrypted member: {name!r}")
        if member.compress_type not in _METHODS:
            raise invalid(
                f"The deployment package has a member that is neither stored nor deflated: {name!r}"
            )
        plain = name.rstrip("/")
        if plain in seen:
            raise invalid(f"The deployment package has a member twice: {name!r}")
        seen.add(plain)
    if sum(member.file_size for member in members) > UNZIPPED_MAX:
        raise invalid(f"Unzipped size must be smaller than {UNZIPPED_MAX} bytes")


def _leads_elsewhere(name: str) -> bool:
    """Whether a path would leave the folder that it is unpacked in, or is spelled so that systems disagree."""
    if not name or name.startswith("/") or "\\" in name or "\0" in name or name[1:2] == ":":
        return True
    return ".." in name.split("/")


def _count(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> int:
    """Inflate every member, which checks its sum. zipfile stops at the length declared, so no bomb goes off here."""
    total = 0
    for member in members:
        with archive.open(member) as content:
            while piece := content.read(_PIECE_BYTES):
                total += len(piece)
    return total
