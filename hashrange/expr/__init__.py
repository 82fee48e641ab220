"""Expressions: conditions, filters, updates, projections and key conditions, and their legacy forms.

A router makes one `ExpressionContext` for a request and compiles its expressions with it; conditions and
updates then travel to the node that leads the item's partition (`to_portable`), which evaluates them. The
way of a text: `tokens`, `parser` (syntax tree), `words` and `binding` (checks; bound tree), then `condition`,
`update`, `projection` or `key_structure` (compiled), all held by a cached `program`. What comes as a tree already
joins in at the checks (`compiled`). `tree` describes the trees.
"""

from hashrange.expr.compiled import Compiled
from hashrange.expr.context import (
    BoundKeyCondition,
    ExpressionContext,
    compile_condition,
    compile_key_condition,
    compile_projection,
    compile_update,
)
from hashrange.expr.errors import ExpressionError
from hashrange.expr.keycondition import Condition, KeyCondition, resolve_key_condition
from hashrange.expr.keypaths import check_filter_names, check_scalar_keys
from hashrange.expr.legacy import (
    check_conditional_operator,
    legacy_expected,
    legacy_filter,
    legacy_key_conditions,
    legacy_update,
)
from hashrange.expr.program import Bound, BoundUpdate, Program
from hashrange.expr.projection import Projection, attributes_to_get, touched_attributes
from hashrange.expr.update import UpdateResult

__all__ = [
    "Bound",
    "BoundKeyCondition",
    "BoundUpdate",
    "Compiled",
    "Condition",
    "ExpressionContext",
    "ExpressionError",
    "KeyCondition",
    "Program",
    "Projection",
    "UpdateResult",
    "attributes_to_get",
    "check_conditional_operator",
    "check_filter_names",
    "check_scalar_keys",
    "compile_condition",
    "compile_key_condition",
    "compile_projection",
    "compile_update",
    "legacy_expected",
    "legacy_filter",
    "legacy_key_conditions",
    "legacy_update",
    "resolve_key_condition",
    "touched_attributes",
]
