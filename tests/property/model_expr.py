"""A slow and simple model of conditions and updates, and strategies for them.

Expressions are trees here too, but of the tests' own kind; a `Writer` writes them out as a client would. The
model works on plain Python values: Decimal for N, bytes for B, frozensets for sets.
"""

from __future__ import annotations

import copy
from base64 import b64decode, b64encode
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

Value = dict[str, Any]
Item = dict[str, Value]
Node = tuple[Any, ...]

# Few names and few values, so that paths often lead somewhere and values often are equal.
NAMES = ("aa", "bb", "cc")
FIELDS = ("xx", "yy")
TYPES = ("S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS")

_numbers = st.sampled_from(["-10", "-1", "0", "0.5", "1", "2", "10"])
_strings = st.sampled_from(["", "a", "ab", "b", "é", "\U0001f600", "\uffff"])
_binaries = st.sampled_from([b"", b"\x00", b"a", b"a\xff", b"\x7f", b"\xff"]).map(
    lambda b: b64encode(b).decode()
)
_ordered = st.one_of(
    _numbers.map(lambda text: {"N": text}),
    _strings.map(lambda text: {"S": text}),
    _binaries.map(lambda text: {"B": text}),
)


def _sets(tag: str, members: st.SearchStrategy[str]) -> st.SearchStrategy[Value]:
    return st.lists(members, min_size=1, max_size=3, unique=True).map(lambda chosen: {tag: chosen})


sets = st.one_of(_sets("NS", _numbers), _sets("SS", _strings), _sets("BS", _binaries))
_scalars = st.one_of(_ordered, st.booleans().map(lambda flag: {"BOOL": flag}), st.just({"NULL": True}), sets)
values: st.SearchStrategy[Value] = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda elements: {"L": elements}),
        st.dictionaries(st.sampled_from(FIELDS), inner, max_size=2).map(lambda members: {"M": members}),
    ),
    max_leaves=6,
)
_lists = st.lists(_scalars, max_size=4).map(lambda elements: {"L": elements})
items = st.dictionaries(st.sampled_from(NAMES), st.one_of(values, _ordered, sets), max_size=3)

_steps = st.one_of(
    st.just([]), st.just([]), st.lists(st.one_of(st.sampled_from(FIELDS), st.integers(0, 4)), max_size=2)
)
paths = st.builds(lambda head, steps: ("path", (head, *steps)), st.sampled_from(NAMES), _steps)


def _value(strategy: st.SearchStrategy[Value]) -> st.SearchStrategy[Node]:
    return strategy.map(lambda value: ("value", value))


# Conditions

_operands = st.one_of(paths, _value(_ordered), _value(values), paths.map(lambda path: ("size", path)))
_between = st.tuples(st.just("between"), _operands, _value(_ordered), _value(_ordered))
_tests = st.one_of(
    st.tuples(st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), _operands, _operands),
    st.tuples(st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), paths, _value(_ordered)),
    _between,
    st.tuples(st.sampled_from(["begins_with", "contains"]), paths, paths),
    st.tuples(st.just("in"), paths, st.lists(_operands, min_size=1, max_size=3)),
    st.tuples(st.sampled_from(["attribute_exists", "attribute_not_exists"]), paths),
    st.tuples(st.just("attribute_type"), paths, st.sampled_from(TYPES)),
    st.tuples(st.just("begins_with"), paths, _value(_ordered)),
    st.tuples(st.just("contains"), paths, st.one_of(_value(_ordered), _value(values), paths)),
)
conditions: st.SearchStrategy[Node] = st.recursive(
    _tests,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["AND", "OR"]), st.lists(inner, min_size=2, max_size=3)),
        st.tuples(st.just("NOT"), inner),
    ),
    max_leaves=5,
)


class Writer:
    """Writes trees as text, and collects the values of the request."""

    def __init__(self) -> None:
        self.values: dict[str, Value] = {}

    def condition(self, node: Node) -> str:
        kind = node[0]
        if kind in ("AND", "OR"):
            return f" {kind} ".join(f"({self.condition(child)})" for child in node[1])
        if kind == "NOT":
            return f"NOT ({self.condition(node[1])})"
        if kind == "between":
            return "{} BETWEEN {} AND {}".format(*map(self.operand, node[1:]))
        if kind == "in":
            return f"{self.operand(node[1])} IN ({', '.join(map(self.operand, node[2]))})"
        if kind == "attribute_type":
            return f"attribute_type({self.operand(node[1])}, {self.operand(('value', {'S': node[2]}))})"
        if kind[0] in "=<>":
            return f"{self.operand(node[1])} {kind} {self.operand(node[2])}"
        return self.operand(node)

    def operand(self, node: Node) -> str:
        kind = node[0]
        if kind == "path":
            return path_text(node[1])
        if kind == "value":
            name = f":v{len(self.values)}"
            self.values[name] = copy.deepcopy(node[1])
            return name
        if kind in "+-":
            return f"({self.operand(node[1])} {kind} {self.operand(node[2])})"
        return f"{kind}({', '.join(map(self.operand, node[1:]))})"

    def update(self, actions: list[Node]) -> str:
        clauses = []
        for clause in ("REMOVE", "SET", "ADD", "DELETE"):
            chosen = [action for action in actions if action[0] == clause]
            if chosen:
                clauses.append(f"{clause} " + ", ".join(map(self._action, chosen)))
        return " ".join(clauses)

    def _action(self, action: Node) -> str:
        clause, path, *operand = action
        target = path_text(path)
        if not operand:
            return target
        return f"{target}{' = ' if clause == 'SET' else ' '}{self.operand(operand[0])}"


def path_text(path: tuple[str | int, ...]) -> str:
    """A document path as a client writes it."""
    head, *steps = path
    return str(head) + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def plain(value: Value) -> tuple[str, Any]:
    """A value with its type as plain Python: equal if and only if DynamoDB takes them for equal."""
    [(tag, content)] = value.items()
    one = {"N": Decimal, "B": b64decode}.get(tag[0] if tag != "NULL" else tag, lambda text: text)
    if tag in ("SS", "NS", "BS"):
        return (tag, frozenset(map(one, content)))
    if tag == "L":
        return (tag, [plain(element) for element in content])
    if tag == "M":
        return (tag, {name: plain(member) for name, member in content.items()})
    return (tag, one(content) if tag in "NB" else content)


def look_up(item: Item, path: tuple[str | int, ...]) -> Value | None:
    """The value at a path."""
    value: Value | None = {"M": item}
    for step in path:
        if value is None:
            return None
        if isinstance(step, int):
            elements = value.get("L", [])
            value = elements[step] if step < len(elements) else None
        else:
            value = value.get("M", {}).get(step)
    return value


def holds(node: Node, item: Item) -> bool:
    """Whether an item satisfies a condition."""
    kind = node[0]
    if kind == "AND":
        return all(holds(child, item) for child in node[1])
    if kind == "OR":
        return any(holds(child, item) for child in node[1])
    if kind == "NOT":
        return not holds(node[1], item)
    if kind == "attribute_exists":
        return look_up(item, node[1][1]) is not None
    if kind == "attribute_not_exists":
        return look_up(item, node[1][1]) is None
    if kind == "attribute_type":
        return node[2] in (look_up(item, node[1][1]) or {})
    if kind == "in":
        candidates = [_operand(candidate, item) for candidate in node[2]]
        wanted = _operand(node[1], item)
        return wanted is not None and wanted in candidates
    operands = [_operand(operand, item) for operand in node[1:]]
    if None in operands:
        return bool(kind == "<>")
    return bool(_HOLDS[kind](*operands))


def _operand(node: Node, item: Item) -> tuple[str, Any] | None:
    if node[0] == "value":
        return plain(node[1])
    value = look_up(item, node[1][1] if node[0] == "size" else node[1])
    if value is None:
        return None
    tag, content = plain(value)
    if node[0] == "path":
        return (tag, content)
    if tag in ("N", "BOOL", "NULL"):
        return None
    return ("N", Decimal(len(content.encode("utf-16-le")) // 2 if tag == "S" else len(content)))


def _less(a: tuple[str, Any], b: tuple[str, Any]) -> bool:
    if a[0] != b[0] or a[0] not in ("S", "N", "B"):
        return False
    return bool(a[1].encode() < b[1].encode() if a[0] == "S" else a[1] < b[1])


def _at_most(a: tuple[str, Any], b: tuple[str, Any]) -> bool:
    return _less(a, b) or (a == b and a[0] in ("S", "N", "B"))


def _contains(a: tuple[str, Any], b: tuple[str, Any]) -> bool:
    if a[0] in ("S", "B"):
        return a[0] == b[0] and b[1] in a[1]
    if a[0] == "L":
        return b in a[1]
    return a[0] in ("SS", "NS", "BS") and a[0][0] == b[0] and b[1] in a[1]


_HOLDS = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": _less,
    "<=": _at_most,
    ">": lambda a, b: _less(b, a),
    ">=": lambda a, b: _at_most(b, a),
    "between": lambda a, low, high: _at_most(low, a) and _at_most(a, high),
    "begins_with": lambda a, b: a[0] == b[0] and a[0] in ("S", "B") and a[1].startswith(b[1]),
    "contains": _contains,
}


# Updates

_number_value = _value(_numbers.map(lambda text: {"N": text}))
_terms = st.one_of(paths, _number_value)
_set_values = st.one_of(
    _value(values),
    paths,
    st.tuples(st.sampled_from("+-"), _terms, _terms),
    st.tuples(st.just("if_not_exists"), paths, st.one_of(_value(values), paths)),
    st.tuples(st.just("list_append"), st.one_of(paths, _value(_lists)), st.one_of(paths, _value(_lists))),
)
_targets = paths.map(lambda path: path[1])


def conflict(a: tuple[str | int, ...], b: tuple[str | int, ...]) -> bool:
    """Whether two paths cannot stand in one expression: one begins the other, or they part by kind."""
    for step, other in zip(a, b, strict=False):
        if step != other:
            return type(step) is not type(other)
    return True


def _without_conflicts(todo: list[Node]) -> list[Node]:
    kept: list[Node] = []
    for action in todo:
        if not any(conflict(action[1], other[1]) for other in kept):
            kept.append(action)
    return kept


path_lists = st.lists(paths, min_size=1, max_size=5).map(_without_conflicts)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("SET"), _targets, _set_values),
        st.tuples(st.just("SET"), _targets, _value(values)),
        st.tuples(st.just("REMOVE"), _targets),
        st.tuples(st.just("ADD"), _targets, st.one_of(_number_value, _value(sets))),
        st.tuples(st.just("DELETE"), _targets, _value(sets)),
    ),
    min_size=1,
    max_size=5,
).map(_without_conflicts)

_REMOVED: Value = {}


class Refused(Exception):
    """The model refuses an update."""


def updated(todo: list[Node], item: Item) -> Item:
    """The item after an update, with plain values; raises `Refused`."""
    results = [(action[1], _result(action, item)) for action in todo]
    root: Value = {"M": copy.deepcopy(item)}
    appended: list[tuple[int, list[Value], Value]] = []
    for path, result in results:
        parent = look_up(root["M"], path[:-1]) if len(path) > 1 else root
        step = path[-1]
        if parent is None or ("L" if isinstance(step, int) else "M") not in parent:
            raise Refused
        if isinstance(step, str):
            parent["M"][step] = result
        elif step < len(parent["L"]):
            parent["L"][step] = result
        elif result is not _REMOVED:
            appended.append((step, parent["L"], result))
    for _, elements, result in sorted(appended, key=lambda entry: entry[0]):
        elements.append(result)
    return {name: _compact(value) for name, value in root["M"].items() if value is not _REMOVED}


def _compact(value: Value) -> Value:
    """A value without what was removed from it."""
    if "L" in value:
        return {"L": [_compact(element) for element in value["L"] if element is not _REMOVED]}
    if "M" in value:
        members = value["M"].items()
        return {"M": {name: _compact(member) for name, member in members if member is not _REMOVED}}
    return value


def _result(action: Node, item: Item) -> Value:
    clause, path, *operand = action
    if clause == "REMOVE":
        return _REMOVED
    if clause == "SET":
        return copy.deepcopy(_computed(operand[0], item))
    before, change = look_up(item, path), operand[0][1]
    [(tag, content)] = change.items()
    if before is None:
        return copy.deepcopy(change) if clause == "ADD" else _REMOVED
    if tag not in before:
        raise Refused
    if tag == "N":
        return {"N": str(Decimal(before["N"]) + Decimal(content))}
    if clause == "ADD":
        return {tag: list({*before[tag], *content})}
    left = [member for member in before[tag] if member not in content]
    return {tag: left} if left else _REMOVED


def _computed(node: Node, item: Item) -> Value:
    kind = node[0]
    if kind == "value":
        return dict(node[1])
    if kind == "path":
        value = look_up(item, node[1])
        if value is None:
            raise Refused
        return value
    if kind == "if_not_exists":
        value = look_up(item, node[1][1])
        return value if value is not None else _computed(node[2], item)
    first, second = _computed(node[1], item), _computed(node[2], item)
    tag = "L" if kind == "list_append" else "N"
    if tag not in first or tag not in second:
        raise Refused
    if tag == "L":
        return {"L": first["L"] + second["L"]}
    a, b = Decimal(first["N"]), Decimal(second["N"])
    return {"N": str(a + b if kind == "+" else a - b)}


def plain_item(item: Item) -> dict[str, tuple[str, Any]]:
    """An item with plain values, to compare whatever the order of sets and the form of numbers."""
    return {name: plain(value) for name, value in item.items()}
