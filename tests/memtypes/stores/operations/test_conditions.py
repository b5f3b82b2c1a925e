"""Translation of filters and scopes to Qdrant's JSON conditions, which both Qdrant libraries
accept.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.model.errors import InvalidRequest
from memtypes.model.filters import Absent, All, AnyOf, Compare, Filter, Not, Op
from memtypes.model.scope import Scope
from memtypes.stores.edge.engine.vendor import Translator
from memtypes.stores.edge.sidecar.slots import SlotFile
from memtypes.stores.operations import conditions
from memtypes.stores.operations.conditions import (
    EVERYTHING,
    NOTHING,
    Condition,
    equals,
    has_ids,
    to_condition,
    within,
)
from memtypes.stores.qdrant.translate import to_filter
from tests.builders import NOW

FIELDS = st.sampled_from(
    ["importance", "confidence", "tags", "pinned", "created_at", "metadata.a.b c", "tokens.count"]
)
SCALARS = st.one_of(
    st.text(max_size=5), st.booleans(), st.integers(), st.floats(allow_nan=False), st.just(NOW)
)
NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False))
LEAVES: st.SearchStrategy[Filter] = st.one_of(
    st.builds(Absent, FIELDS),
    st.builds(Compare, FIELDS, st.sampled_from([Op.EQ, Op.NE]), SCALARS),
    st.builds(
        Compare, FIELDS, st.sampled_from([Op.ANY, Op.ALL]), st.lists(SCALARS, min_size=1).map(tuple)
    ),
    st.builds(Compare, FIELDS, st.sampled_from([Op.GT, Op.GTE, Op.LT, Op.LTE]), NUMBERS),
    st.builds(Compare, FIELDS, st.just(Op.BETWEEN), st.tuples(NUMBERS, NUMBERS)),
)
TREES: st.SearchStrategy[Filter] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(All, st.lists(inner).map(tuple)),
        st.builds(AnyOf, st.lists(inner).map(tuple)),
    ),
)
NAMES = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), min_size=1, max_size=20
)


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory) -> Translator:
    """A translator for a shard without memories."""
    return Translator(SlotFile(tmp_path_factory.mktemp("shard")))


def nested_conditions(where: Condition) -> Iterator[Condition]:
    """The condition `where` and all conditions nested in it."""
    yield where
    for key in ("must", "should", "must_not"):
        for clause in where.get(key, ()):
            yield from nested_conditions(clause)


@given(TREES)
def test_every_filter_is_json_that_both_vendors_accept(
    translator: Translator, tree: Filter
) -> None:
    """The condition for any comparison is finite JSON that both Qdrant libraries accept as a
    filter.
    """
    where = to_condition(tree)
    assert json.loads(json.dumps(where, allow_nan=False)) == where
    assert to_filter(where) is not None
    assert translator.filter(where) is not None


@given(TREES)
def test_no_group_of_alternatives_is_empty(tree: Filter) -> None:
    """No filter is translated to a condition with an empty "should" list, because that would match
    everything.
    """
    assert all(clause.get("should") != [] for clause in nested_conditions(to_condition(tree)))


@given(NAMES, NAMES, TREES)
def test_a_condition_within_a_scope_requires_its_tenant_and_namespace(
    tenant: str, namespace: str, tree: Filter
) -> None:
    where = within(Scope(tenant, namespace), to_condition(tree))
    assert set(where) == {"must"}
    assert where["must"][:2] == [
        {"key": "tenant", "match": {"value": tenant}},
        {"key": "namespace", "match": {"value": namespace}},
    ]


@given(st.integers(), st.sampled_from([Op.GT, Op.GTE, Op.LT, Op.LTE]), st.floats(-1e9, 1e9))
def test_rounded_bounds_match_the_same_integers(value: int, op: Op, end: float) -> None:
    value %= 10_000
    (bound,) = to_condition(Compare("importance", op, end))["range"].values()
    meant = {Op.GT: value > end, Op.GTE: value >= end, Op.LT: value < end, Op.LTE: value <= end}[op]
    got = {
        Op.GT: value > bound,
        Op.GTE: value >= bound,
        Op.LT: value < bound,
        Op.LTE: value <= bound,
    }[op]
    assert got == meant
    assert bound == int(bound)


@pytest.mark.parametrize(
    ("tree", "where"),
    [
        (None, EVERYTHING),
        (All(()), {"must": []}),
        (AnyOf(()), {"should": [NOTHING]}),
        (Absent("due_at"), {"is_empty": {"key": "due_at"}}),
        (Compare("tags", Op.ANY, ("a", "b")), {"key": "tags", "match": {"any": ["a", "b"]}}),
        (Compare("metadata.x.y", Op.EQ, True), {"key": 'metadata."x.y"', "match": {"value": True}}),
        (
            Compare("confidence", Op.GT, float("inf")),
            {"key": "confidence", "range": {"gt": sys.float_info.max}},
        ),
        (Compare("metadata.n", Op.EQ, 2**53), {"key": 'metadata."n"', "match": {"value": 2**53}}),
        (Compare("metadata.n", Op.EQ, 2**63), NOTHING),
        (Compare("tags", Op.EQ, "half \ud800"), NOTHING),
        (
            Compare("tags", Op.ANY, ("a", "\ud800")),
            {"should": [{"key": "tags", "match": {"value": "a"}}, NOTHING]},
        ),
        (
            Compare("created_at", Op.LT, NOW),
            {"key": "created_at", "range": {"lt": "2026-03-01T09:30:00Z"}},
        ),
    ],
)
def test_filters_become_conditions(tree: Filter | None, where: Condition) -> None:
    """Each kind of filter becomes the store condition that selects the same memories."""
    assert to_condition(tree) == where


@pytest.mark.parametrize("key", ['"', 'a"b', "\\", "a\\n", "\ud800"])
def test_metadata_keys_that_can_not_be_quoted_are_refused(key: str) -> None:
    """A metadata key with a quotation mark, a backslash or an unpaired surrogate is refused. The
    error names it.
    """
    with pytest.raises(InvalidRequest) as caught:
        conditions.path_of(f"metadata.{key}")
    assert (caught.value.path, caught.value.got) == (f"filters.metadata.{key}", key)


def test_metadata_keys_are_quoted_in_paths() -> None:
    """In Qdrant's JSON path of a field, a metadata key is in quotation marks and other names are
    not.
    """
    assert [conditions.path_of(field) for field in ("tags", "tokens.count", "metadata.a b")] == [
        "tags",
        "tokens.count",
        'metadata."a b"',
    ]


def test_booleans_stay_booleans_for_the_embedded_engine(translator: Translator) -> None:
    """The embedded engine gets numpy booleans, because its Python binding would convert True to
    1.
    """
    built: Any = translator.filter({"key": "pinned", "match": {"value": True}})
    assert built.must[0].match.value is True


def test_nested_conjunctions_are_flattened_except_for_ids() -> None:
    """The parts of a nested conjunction become parts of the outer one.

    Only a caller's ids stay nested, which marks that they may not exist. Ids that the service has
    found in the scope are not nested.
    """
    memory_id = str(uuid.uuid4())
    named = Compare("session_id", Op.EQ, "s")
    fact = Compare("agent_id", Op.EQ, "a")
    tree = All((named, All((Compare("id", Op.EQ, memory_id), fact))))
    bounds = [equals("tenant", "acme"), equals("namespace", "n")]
    conditions = [
        equals("session_id", "s"),
        {"must": [has_ids([memory_id])]},
        equals("agent_id", "a"),
    ]
    assert within(Scope("acme", "n"), to_condition(tree)) == {"must": [*bounds, *conditions]}
