"""The error for an attribute value that no table could take, whatever its schema.

Some operations report these inside the envelope `1 validation error detected: `, others bare, so the API
layer must tell them from rules that depend on the table: it catches `ShapeError` and words the envelope from
`.message`.
"""

from __future__ import annotations

from typing import ClassVar

from hashrange.errors import VALIDATE, ApiError


class ShapeError(ApiError):
    """ValidationException for a bad number, an empty or duplicate set, or a false NULL; `.message` is bare.

    Source of which errors belong here: observed behaviour of the real service (validation layer of 2026).
    """

    __slots__ = ()

    shape: ClassVar[bool] = True

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message, namespace=VALIDATE)
