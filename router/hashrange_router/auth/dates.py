"""The dates of signatures: ISO 8601 basic format, or the HTTP format of a Date header, as Unix seconds.
Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from . import failures

_BASIC = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_BASIC_FORMAT = "%Y%m%dT%H%M%SZ"


def parse_date(text: str) -> float:
    """Unix seconds of `20261001T120000Z` or of an HTTP date. Raises IncompleteSignatureException for
    others."""
    try:
        if _BASIC.fullmatch(text):
            return datetime(
                int(text[:4]),
                int(text[4:6]),
                int(text[6:8]),
                int(text[9:11]),
                int(text[11:13]),
                int(text[13:15]),
                tzinfo=UTC,
            ).timestamp()
        date = parsedate_to_datetime(text)
        # A date without a zone is taken as UTC, never as the machine's own time.
        return (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise failures.incomplete(
            f"Date must be in ISO-8601 'basic format'. Got '{text}'. See http://en.wikipedia.org/wiki/ISO_8601"
        ) from None


def to_basic(unix_s: float) -> str:
    """Unix seconds in ISO 8601 basic format, UTC."""
    return datetime.fromtimestamp(unix_s, tz=UTC).strftime(_BASIC_FORMAT)
