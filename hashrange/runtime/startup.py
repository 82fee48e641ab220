"""Why a program could not start, said to the person who started it."""

from __future__ import annotations


class StartupError(Exception):
    """A program cannot start for a reason its user can act on.

    The text is one sentence: what is the matter and what to do about it. Commands print it without a
    traceback and end with exit code 1.
    """
