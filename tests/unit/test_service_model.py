"""The committed service model is what the generator makes of the installed botocore, and loads right."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
from hashrange_router.api import generate
from hashrange_router.api.context import RouterContext
from hashrange_router.api.model import service_model, table_of_operations
from hashrange_router.api.validate import Validation
from hashrange_router.api.validate_constraints import python_pattern
from hashrange_router.dax import generate as dax
from hashrange_router.dax.model import TARGET_PREFIX as DAX_PREFIX
from hashrange_router.dax.model import dax_model
from hashrange_router.dax.service import SUPPORTED as DAX
from hashrange_router.dax.service import dax_service
from hashrange_router.scaling import generate as scaling
from hashrange_router.scaling.model import TARGET_PREFIX, scaling_model
from hashrange_router.scaling.service import SUPPORTED, scaling_service

from hashrange.errors import ApiError
from tests.unit.table_support import SITE


def test_the_committed_model_is_current() -> None:
    botocore = pytest.importorskip("botocore")
    assert generate.MODEL_PATH.read_text() == generate.render(generate.build()), (
        f"service_model.json is not what botocore {botocore.__version__} gives: "
        "run `python -m hashrange_router.api.generate` and look at the difference"
    )


def test_the_committed_model_of_auto_scaling_is_current() -> None:
    pytest.importorskip("botocore")
    assert scaling.main(["--check"]) == 0


def test_the_model_of_auto_scaling_compiles() -> None:
    validation = Validation(scaling_model(), "classic")
    for name, operation in scaling_model().operations.items():
        with pytest.raises(ApiError, match="validation error"):
            validation.compile_validator(name)({})
        assert scaling_model().by_target(f"{TARGET_PREFIX}.{name}") is operation


def test_the_committed_model_of_dax_is_current_and_compiles() -> None:
    pytest.importorskip("botocore")
    assert dax.main(["--check"]) == 0
    validation = Validation(dax_model(), "classic")
    for name, operation in dax_model().operations.items():
        validation.compile_validator(name)
        assert dax_model().by_target(f"{DAX_PREFIX}.{name}") is operation


def test_the_list_of_supported_operations_is_that_of_the_handlers() -> None:
    context = RouterContext(SITE, "2026", lambda: 0.0, lambda: "id")
    of_dax = dax_service(context, None).entries
    assert {target.decode().partition(".")[2] for target in of_dax} == DAX and len(DAX) == 21
    targets = scaling_service(context).entries
    assert {target.decode().partition(".")[2] for target in targets} == SUPPORTED


def test_check_tells_a_stale_file(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "service_model.json"
    monkeypatch.setattr(generate, "MODEL_PATH", path)
    path.write_text("{}")
    assert generate.main(["--check"]) == 1
    assert "service_model.json is stale" in capsys.readouterr().err
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0


def test_a_printed_enum_order_must_hold_every_value() -> None:
    class Enum:
        name = "Select"
        type_name = "string"
        enum = ("COUNT", "SOMETHING_NEW")
        metadata: dict[str, Any] = {}  # noqa: RUF012

    with pytest.raises(ValueError, match="the printed order of Select lacks a value"):
        generate._describe(Enum())


def test_a_server_does_not_import_botocore() -> None:
    program = (
        "import sys; from hashrange_router.api.validate import Validation;"
        "Validation().validate('GetItem', {'TableName': 't', 'Key': {}}); print('botocore' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "False"


def test_operations_are_found_by_target() -> None:
    model = service_model()
    get = model.by_target("DynamoDB_20120810.GetItem")
    assert get is not None and (get.name, get.service) == ("GetItem", "dynamodb")
    records = model.by_target("DynamoDBStreams_20120810.GetRecords")
    assert records is not None and records.service == "dynamodbstreams"
    assert model.by_target("DynamoDB_20120810.GetRecords") is None
    assert model.by_target("DynamoDB_20111205.GetItem") is None


def test_the_table_of_operations_names_each_once() -> None:
    table = table_of_operations()
    names = [name for _, name in table]
    assert len(names) == len(set(names)) == len(service_model().operations)
    assert ("dynamodb", "PutItem") in table and ("dynamodbstreams", "DescribeStream") in table


def test_every_operation_compiles_in_both_wordings() -> None:
    for wording in ("2026", "classic"):
        validation = Validation(wording=wording)
        for name in service_model().operations:
            validator = validation.compile_validator(name)
            assert validation.compile_validator(name) is validator


def test_every_pattern_of_the_model_is_understood() -> None:
    for operation in service_model().operations.values():
        for shape in operation.shapes.values():
            if shape.pattern is not None:
                re.compile(python_pattern(shape.pattern))
    assert re.fullmatch(python_pattern(r"\p{Print}+"), "a b~")
    assert not re.fullmatch(python_pattern(r"\p{Print}+"), "a\n")
    surrogates = r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*"
    assert re.fullmatch(python_pattern(surrogates), "emoji \U0001f600")
    assert not re.fullmatch(python_pattern(surrogates), "\x00")
