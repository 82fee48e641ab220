"""Rules on the parameters of Query and Scan, before values and expressions are parsed and the table is known.

Whether an index exists, may be read consistently, or projects what is asked for depends on the table and is
decided later. Source of the texts: observed behaviour of the real service. All raise ValidationException.
"""

from __future__ import annotations

from typing import Any, Final

from hashrange.errors import validation
from hashrange_router.api.prefix import ONE_ERROR, Wording
from hashrange_router.api.rules_common import (
    NAMES,
    VALUES,
    Parameters,
    check_attributes_to_get,
    check_conditional_operator,
    check_empty_maps,
    check_expressions,
)

QUERY: Final = Parameters(
    "Query",
    ("ProjectionExpression", "FilterExpression", "KeyConditionExpression"),
    ("AttributesToGet", "QueryFilter", "ConditionalOperator", "KeyConditions"),
    ("FilterExpression", "KeyConditionExpression"),
    "QueryFilter",
)
SCAN: Final = Parameters(
    "Scan",
    ("ProjectionExpression", "FilterExpression"),
    ("AttributesToGet", "ScanFilter", "ConditionalOperator"),
    ("FilterExpression",),
    "ScanFilter",
)

SCAN_WITH_RULES: Final = frozenset({NAMES, VALUES, "Select", "Segment", "TotalSegments", *SCAN.legacy})

NO_KEY_CONDITION: Final = (
    "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
)
EMPTY_KEY_CONDITIONS: Final = "Conditions must be at least length 1"
NOTHING_SELECTED: Final = (
    "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"
)
NO_INDEX: Final = "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"
SEGMENT_ALONE: Final = (
    "The TotalSegments parameter is required but was not present in the request "
    "when Segment parameter is present"
)
SEGMENTS_ALONE: Final = (
    "The Segment parameter is required but was not present in the request "
    "when parameter TotalSegments is present"
)


def check_query(request: dict[str, Any], wording: Wording) -> None:
    """Rules on the parameters of Query."""
    if (
        "KeyConditionExpression" in request
        and "KeyConditions" not in request
        and "QueryFilter" not in request
        and "ConditionalOperator" not in request
        and "AttributesToGet" not in request
        and "Select" not in request
        and request.get(VALUES, True)
        and request.get(NAMES, True)
    ):
        return
    check_expressions(request, QUERY, wording)
    check_conditional_operator(request, QUERY, wording)
    check_attributes_to_get(request.get("AttributesToGet"))
    conditions = request.get("KeyConditions")
    if "KeyConditionExpression" not in request:
        if conditions is None:
            raise validation(NO_KEY_CONDITION)
        if not conditions:
            raise validation(EMPTY_KEY_CONDITIONS)
    check_empty_maps(request, QUERY, wording)
    check_select(request, ONE_ERROR)


def check_scan(request: dict[str, Any], wording: Wording) -> None:
    """Rules on the parameters of Scan."""
    if SCAN_WITH_RULES.isdisjoint(request):
        return
    check_expressions(request, SCAN, wording)
    check_attributes_to_get(request.get("AttributesToGet"))
    check_conditional_operator(request, SCAN, wording)
    check_segments(request)
    check_empty_maps(request, SCAN, wording)
    check_select(request, "")


def check_select(request: dict[str, Any], prefix: str) -> None:
    """What Select asks for must fit the projection given; Query answers with a prefix, Scan without."""
    selected = request.get("Select")
    if selected is None:
        return
    projection = "ProjectionExpression" if "ProjectionExpression" in request else "AttributesToGet"
    if projection in request:
        if selected != "SPECIFIC_ATTRIBUTES":
            wanted = "only the Count" if selected == "COUNT" else selected
            raise validation(f"{prefix}Cannot specify the {projection} when choosing to get {wanted}")
    elif selected == "SPECIFIC_ATTRIBUTES":
        raise validation(prefix + NOTHING_SELECTED)
    elif selected == "ALL_PROJECTED_ATTRIBUTES" and "IndexName" not in request:
        raise validation(prefix + NO_INDEX)


def check_segments(request: dict[str, Any]) -> None:
    """Segment and TotalSegments come together, and the segment is one of them, counted from 0."""
    segment, total = request.get("Segment"), request.get("TotalSegments")
    if total is None:
        if segment is not None:
            raise validation(SEGMENT_ALONE)
    elif segment is None:
        raise validation(SEGMENTS_ALONE)
    elif segment >= total:
        raise validation(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            f"Segment: {segment} is not less than TotalSegments: {total}"
        )
