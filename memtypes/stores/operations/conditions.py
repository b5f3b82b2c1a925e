"""Conditions: filters in Qdrant's JSON form, for both engines. Only this module converts a scope to
a condition.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

from memtypes.model.errors import InvalidRequest
from memtypes.model.filters import FIELD_KINDS, Absent, All, AnyOf, Compare, Filter, Kind, Not, Op
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.stores.operations.uuids import valid_ids

Condition: TypeAlias = dict[str, Any]
"""A dict with `must`, `should` or `must_not` lists of conditions, or a condition on a field or on
ids.
"""

EVERYTHING: Condition = {}
NOTHING: Condition = {"has_id": []}

_EXACT_BELOW = 2**53
"""Whole numbers below this are exact as float64, the type in which engines compare ranges; equality
is always exact.
"""
_INT64 = range(-(2**63), 2**63)
_METADATA = "metadata."
_LISTS = ("links", "rewordings")
"""Payload fields that contain lists of objects. A filter names a field of these objects as in
`links.to`.
"""


def within(scope: Scope, *conditions: Condition) -> Condition:
    """Condition for the memories of the scope's namespace that meet all `conditions`.

    Every operation on memories uses this. If `scope.agents` is not empty, working memories of other
    agents are excluded; those without an agent are excluded too, unless `scope.agents` contains
    None.
    """
    bounds = [equals("tenant", scope.tenant), equals("namespace", scope.namespace)]
    if scope.agents:
        of_agents = {
            "key": "agent_id",
            "match": {"any": [agent for agent in scope.agents if agent is not None]},
        }
        without_agent = [{"is_empty": {"key": "agent_id"}}] if None in scope.agents else []
        bounds.append(
            {"should": [negated(equals("type", MemoryType.WORKING)), of_agents, *without_agent]}
        )
    return {"must": [*bounds, *_flat(conditions)]}


SCOPE_FIELDS = ("tenant", "namespace", "type", "agent_id")
"""The payload fields that `in_scope` reads."""


def in_scope(scope: Scope, payload: Mapping[str, Any]) -> bool:
    """True if a memory with this payload belongs to the scope. Checks memories that were read by id
    alone. payload: with SCOPE_FIELDS.
    """
    if (payload["tenant"], payload["namespace"]) != (scope.tenant, scope.namespace):
        return False
    return payload["type"] != MemoryType.WORKING or scope.reaches(payload.get("agent_id"))


def scope_in(where: Condition) -> tuple[tuple[str, str] | None, list[Condition]]:
    """Split a condition made by `within` into (tenant, namespace) and the others. Any other: None
    and itself.
    """
    match where:
        case {
            "must": [
                {"key": "tenant", "match": {"value": tenant}},
                {"key": "namespace", "match": {"value": name}},
                *narrower,
            ]
        } if len(where) == 1:
            return (tenant, name), narrower
        case _:
            return None, [where]


def of_tenant(tenant: str) -> Condition:
    """Condition for all memories of a tenant. Used only to list the tenant's namespaces."""
    return {"must": [equals("tenant", tenant)]}


def has_ids(ids: Iterable[Any]) -> Condition:
    """Condition for the memories with these ids."""
    return {"has_id": list(ids)}


def negated(condition: Condition) -> Condition:
    """Condition for the memories that do not meet `condition`."""
    return {"must_not": [condition]}


def in_range(field: str, **ends: Any) -> Condition:
    """Condition that the number or time in `field` is in a range. ends: its bounds by name (gt,
    gte, lt, lte).
    """
    return {"key": field, "range": ends}


def to_condition(tree: Filter | None) -> Condition:
    """Convert a caller's filter. Raises InvalidRequest for a metadata key that no JSON path can
    express.
    """
    match tree:
        case None:
            return EVERYTHING
        case All(filters):
            return {"must": _flat(map(to_condition, filters))}
        case AnyOf(filters):
            return {"should": [to_condition(filter_) for filter_ in filters] or [NOTHING]}
        case Not(filter_):
            return negated(to_condition(filter_))
        case Absent(field):
            return {"is_empty": {"key": path_of(field)}}
        case Compare():
            return _compare(tree)


def _flat(conditions: Iterable[Condition]) -> list[Condition]:
    """Replace each nested `must` by the conditions in it, as engines check nested conditions more
    slowly.

    A `must` that contains ids is not replaced: `_has_any_id` marks ids from a caller's filter by
    this nesting.
    """
    flat: list[Condition] = []
    for condition in conditions:
        nested = condition.keys() == {"must"} and not any(
            "has_id" in clause for clause in condition["must"]
        )
        flat += condition["must"] if nested else [condition] if condition else []
    return flat


def path_of(field: str) -> str:
    """Qdrant's JSON path of a field. Quotes a metadata key; raises InvalidRequest if no path can
    express it.
    """
    name, _, member = field.partition(".")
    if name in _LISTS:
        return f"{name}[].{member}"
    if not field.startswith(_METADATA):
        return field
    key = field.removeprefix(_METADATA)
    if '"' in key or "\\" in key or not _encodable(key):
        raise InvalidRequest(
            (
                "can't filter by a metadata key with a quotation mark, a backslash or an "
                "unpaired surrogate"
            ),
            path=f"filters.{field}",
            got=key,
        )
    return f'{_METADATA}"{key}"'


def _compare(leaf: Compare) -> Condition:
    key = path_of(leaf.field)
    integer = FIELD_KINDS.get(leaf.field) is Kind.INTEGER
    match leaf.op:
        case Op.EQ:
            return _equal(key, leaf.value, integer=integer)
        case Op.NE:
            return negated(_equal(key, leaf.value, integer=integer))
        case Op.ANY:
            return _any(key, leaf.value, integer=integer)
        case Op.ALL:
            return {"must": [_equal(key, value, integer=integer) for value in leaf.value]}
        case Op.BETWEEN:
            low, high = leaf.value
            return in_range(
                key,
                gte=_bound(low, Op.GTE, integer=integer),
                lte=_bound(high, Op.LTE, integer=integer),
            )
        case Op.GT | Op.GTE | Op.LT | Op.LTE:
            return in_range(key, **{leaf.op.value: _bound(leaf.value, leaf.op, integer=integer)})


def _has_any_id(ids: Iterable[Any]) -> Condition:
    """Condition for the memories with one of `ids` from a caller's filter. Texts that are not UUIDs
    are left out.

    The ids may not exist in the scope. The condition is nested in a `must` to mark this: an id
    condition that is not nested lists only ids that were found in the scope, so the cache of
    columns need not check them.
    """
    return {"must": [has_ids(valid_ids(ids))]}


def _equal(key: str, value: Any, *, integer: bool) -> Condition:
    """The condition that `key` equals `value`, where 1 equals 1.0. integer: True for a field of
    integers.
    """
    if key == "id":
        return _has_any_id([value])
    if isinstance(value, bool) or (isinstance(value, str) and _encodable(value)):
        return equals(key, value)
    if isinstance(value, str) or (isinstance(value, int) and value not in _INT64):
        return NOTHING
    if isinstance(value, int) and abs(value) >= _EXACT_BELOW:
        return equals(key, value)
    return in_range(
        key, gte=_bound(value, Op.GTE, integer=integer), lte=_bound(value, Op.LTE, integer=integer)
    )


def _any(key: str, values: tuple[Any, ...], *, integer: bool) -> Condition:
    if key == "id":
        return _has_any_id(values)
    if all(isinstance(value, str) and _encodable(value) for value in values):
        return {"key": key, "match": {"any": list(values)}}
    return {"should": [_equal(key, value, integer=integer) for value in values]}


def _encodable(text: str) -> bool:
    """True if `text` can be encoded as UTF-8: it has no unpaired surrogate."""
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def equals(key: str, value: str | int) -> Condition:
    """Condition for points whose field `key` is exactly `value`, or is a list that contains
    `value`.
    """
    return {"key": key, "match": {"value": value}}


def _bound(value: Any, op: Op, *, integer: bool) -> str | float:
    """Convert the value with which `op` compares a field to the end of a range that the engines
    accept.

    integer: True for a field of integers. The value is then rounded up or down so that the range
    has the same whole numbers; the engine would round towards zero. Infinite values become the
    largest float, as JSON has no infinity.
    """
    if isinstance(value, datetime):
        return rfc3339(value)
    number = float(max(-sys.float_info.max, min(sys.float_info.max, value)))
    if not integer:
        return number
    return float(math.ceil(number) if op in (Op.GTE, Op.LT) else math.floor(number))
