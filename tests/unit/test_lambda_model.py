"""The model of the Lambda API: it is what botocore says, every route is found, names are read in all their forms."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hashrange_router.api.context import RouterContext
from hashrange_router.api.validate import Validation
from hashrange_router.functions import generate
from hashrange_router.functions.directory import Directory
from hashrange_router.functions.model import lambda_model
from hashrange_router.functions.names import FunctionName, Names
from hashrange_router.functions.service import SUPPORTED, lambda_service, refused

from hashrange.errors import ApiError
from tests.unit.table_support import SITE

NAMES = Names("us-east-1", "000000000000")
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"


def test_the_committed_model_is_current() -> None:
    pytest.importorskip("botocore")
    assert generate.main(["--check"]) == 0


def test_every_operation_is_found_by_its_route() -> None:
    model = lambda_model()
    for name, route in model.routes.items():
        path = "/" + "/".join("x%3Ay" if part[0] == "{" else part for part in route.segments)
        query = {key: [value] for key, value in route.fixed}
        for spelled in (path, path + "/"):
            found = model.match(route.method, spelled, query)
            assert found is not None, name
            assert found[0].operation == name
            assert set(found[1].values()) <= {"x:y"}
    assert model.match("PATCH", "/2015-03-31/functions", {}) is None
    assert model.match("GET", "/2015-03-31/functions//code", {}) is None
    assert model.serves("/2015-03-31/anything")
    assert not model.serves("/2016-01-01/functions")


def test_every_input_compiles() -> None:
    model = lambda_model()
    validation = Validation(model.service, "classic")
    for name in model.routes:
        if model.input(name).required:
            with pytest.raises(ApiError, match="validation error"):
                validation.compile_validator(name)({})
        else:
            validation.compile_validator(name)({})


@pytest.mark.parametrize(
    ("text", "qualifier", "expected"),
    [
        ("hello", None, ("hello", None)),
        ("hello", "1", ("hello", "1")),
        ("hello:live", None, ("hello", "live")),
        ("hello:$LATEST", None, ("hello", "$LATEST")),
        ("function:hello", None, ("hello", None)),
        ("000000000000:function:hello:2", None, ("hello", "2")),
        ("000000000000:hello", None, ("hello", None)),
        (ARN + "hello", None, ("hello", None)),
        (ARN + "hello", "live", ("hello", "live")),
        (ARN + "hello:live", "live", ("hello", "live")),
    ],
)
def test_names(text: str, qualifier: str | None, expected: tuple[str, str | None]) -> None:
    assert NAMES.parse(text, qualifier) == FunctionName(*expected)


@pytest.mark.parametrize(
    ("text", "qualifier", "kind"),
    [
        ("hello:1", "2", "InvalidParameterValueException"),
        ("111111111111:function:hello", None, "ResourceNotFoundException"),
        ("arn:aws:lambda:eu-west-1:000000000000:function:hello", None, "ResourceNotFoundException"),
        ("arn:aws:lambda:us-east-1:111111111111:function:hello", None, "ResourceNotFoundException"),
        ("arn:aws:s3:::bucket", None, "ValidationException"),
        ("a/b", None, "ValidationException"),
        ("", None, "ValidationException"),
        ("a" * 65, None, "ValidationException"),
        ("hello", "a b", "ValidationException"),
        ("hello", "$OTHER", "ValidationException"),
    ],
)
def test_names_that_are_refused(text: str, qualifier: str | None, kind: str) -> None:
    with pytest.raises(ApiError) as raised:
        NAMES.parse(text, qualifier)
    assert raised.value.type_name == kind


def test_patterns_of_the_model_compile() -> None:
    shapes: dict[str, Any] = lambda_model().service.operations["Invoke"].shapes._raw  # type: ignore[attr-defined]
    for shape in shapes.values():
        if "pattern" in shape:
            re.compile(shape["pattern"])


def test_the_list_of_supported_operations_is_that_of_the_handlers() -> None:
    context = RouterContext(SITE, "2026", lambda: 0.0, lambda: "id")
    nothing: Any = None
    service = lambda_service(
        context,
        nothing,
        directory=Directory(context, lambda: 0.0),
        packages=nothing,
        invoker=nothing,
        events=nothing,
    )
    assert service.supported == SUPPORTED
    for operation in lambda_model().routes.keys() - SUPPORTED:
        assert refused(operation)
