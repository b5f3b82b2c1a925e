"""Parsing and validation of filters, before any store gets them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from memtypes.model.errors import InvalidRequest
from memtypes.model.filters import (
    FIELD_KINDS,
    MAX_CONDITIONS,
    Absent,
    All,
    AnyOf,
    Compare,
    Kind,
    Not,
    Op,
    all_of,
    kind_of_field,
    parse_filter,
)


def test_one_operator_on_one_field_is_one_comparison() -> None:
    """A filter with one operator on one field becomes a comparison, not a conjunction with one
    member.
    """
    assert parse_filter({"importance": {"gte": 7}}) == Compare("importance", Op.GTE, 7)


def test_several_fields_and_operators_must_all_hold() -> None:
    assert parse_filter({"importance": {"gte": 2, "lt": 9}, "speaker": {"eq": "Ana"}}) == All(
        (
            All((Compare("importance", Op.GTE, 2), Compare("importance", Op.LT, 9))),
            Compare("speaker", Op.EQ, "Ana"),
        )
    )


def test_and_or_and_not_can_be_nested() -> None:
    """`and`, `or` and `not` may contain filters that again contain `and`, `or` or `not`."""
    tree = {"or": [{"not": {"tags": {"any": ["a", "b"]}}}, {"and": [{"pinned": {"eq": True}}]}]}
    assert parse_filter(tree) == AnyOf(
        (Not(Compare("tags", Op.ANY, ("a", "b"))), All((Compare("pinned", Op.EQ, True),)))
    )


def test_spellings_of_the_same_instant_are_equal() -> None:
    """Two spellings of the same instant are parsed to the same value."""
    tree = {"created_at": {"between": ["2026-01-01T01:00:00+01:00", "2026-01-02T00:00:00Z"]}}
    expected = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    assert parse_filter(tree) == Compare("created_at", Op.BETWEEN, expected)


@pytest.mark.parametrize("value", ["x", 3, 2.5, True])
def test_metadata_can_be_compared_with_any_scalar(value: object) -> None:
    """A metadata field can be compared with a string, a number or a boolean."""
    assert parse_filter({"metadata.ticket": {"eq": value}}) == Compare(
        "metadata.ticket", Op.EQ, value
    )


@pytest.mark.parametrize(
    ("tree", "path", "why"),
    [
        ({}, "filters", "at least one field"),
        ([], "filters", "at least one field"),
        ("x", "filters", "at least one field"),
        ({"tenant": {"eq": "other"}}, "filters", "unknown field 'tenant'"),
        ({"gives_value": {"gt": 1}}, "filters", "unknown field 'gives_value'"),
        ({"metadata.": {"eq": 1}}, "filters", "unknown field"),
        ({"importance": 7}, "filters.importance", "object of operators"),
        ({"importance": {}}, "filters.importance", "object of operators"),
        ({"importance": {"like": 7}}, "filters.importance.like", "unknown operator 'like'"),
        ({"importance": {"gt": "7"}}, "filters.importance.gt", "a number"),
        ({"importance": {"gt": True}}, "filters.importance.gt", "a number"),
        ({"confidence": {"gt": float("nan")}}, "filters.confidence.gt", "a number"),
        ({"speaker": {"gt": "a"}}, "filters.speaker.gt", "needs a number or a time"),
        ({"metadata.x": {"gt": "a"}}, "filters.metadata.x.gt", "needs a number or a time"),
        (
            {"metadata.x": {"between": ["a", "b"]}},
            "filters.metadata.x.between",
            "two numbers or two times",
        ),
        ({"metadata.x": {"eq": []}}, "filters.metadata.x.eq", "a text, a number, true or false"),
        ({"importance": {"gt": None}}, "filters.importance.gt", "a number"),
        ({"tags": {"any": [None]}}, "filters.tags.any[0]", "needs a text"),
        (
            {"status": {"eq": "done"}},
            "filters.status.eq",
            "needs one of active, cancelled, completed, lapsed, pending",
        ),
        ({"links.type": {"ne": "x"}}, "filters.links.type.ne", "needs one of contradicts"),
        (
            {"category": {"any": ["fact", "x"]}},
            "filters.category.any[1]",
            "needs one of domain_knowledge, fact",
        ),
        ({"pinned": {"eq": 1}}, "filters.pinned.eq", "needs true or false"),
        ({"tags": {"any": []}}, "filters.tags.any", "list of 1 to 1000"),
        ({"tags": {"any": "a"}}, "filters.tags.any", "list of 1 to 1000"),
        ({"tags": {"all": [1]}}, "filters.tags.all[0]", "needs a text"),
        ({"importance": {"between": [1]}}, "filters.importance.between", "list of two"),
        ({"importance": {"between": [5, 1]}}, "filters.importance.between", "must not be above"),
        ({"created_at": {"gt": "2026-01-01T00:00:00"}}, "filters.created_at.gt", "RFC 3339"),
        ({"created_at": {"gt": 5}}, "filters.created_at.gt", "RFC 3339"),
        ({"and": []}, "filters.and", "at least one filter"),
        ({"or": {"pinned": {"eq": True}}}, "filters.or", "at least one filter"),
        ({"or": [{"pinned": {"eq": True}}, {}]}, "filters.or[1]", "at least one field"),
        ({"not": []}, "filters.not", "at least one field"),
    ],
)
def test_the_error_for_an_invalid_filter_has_its_path_and_reason(
    tree: Any, path: str, why: str
) -> None:
    with pytest.raises(InvalidRequest, match=why.replace("(", r"\(")) as caught:
        parse_filter(tree)
    assert caught.value.path == path


def test_a_comparison_with_null_checks_whether_the_field_has_a_value() -> None:
    """`eq` null matches memories without a value in the field, `ne` null memories with a value."""
    assert parse_filter({"due_at": {"eq": None}}) == Absent("due_at")
    assert parse_filter({"metadata.x": {"ne": None}}) == Not(Absent("metadata.x"))


def test_a_field_of_several_types_takes_the_values_of_each() -> None:
    """`category` is a field of facts and of procedures, and can be compared with a category of
    either.
    """
    assert parse_filter({"category": {"any": ["fact", "tool_usage"]}})


def test_the_depth_of_a_filter_is_limited() -> None:
    """A filter nested too deeply is refused, so that a request cannot exhaust the stack."""
    tree: dict[str, Any] = {"pinned": {"eq": True}}
    for _ in range(50):
        tree = {"not": tree}
    with pytest.raises(InvalidRequest, match="nest at most 8 levels"):
        parse_filter(tree)


def test_the_number_of_conditions_in_a_filter_is_limited() -> None:
    with pytest.raises(InvalidRequest, match=f"at most {MAX_CONDITIONS} conditions"):
        parse_filter({"or": [{"importance": {"eq": 5}}] * (MAX_CONDITIONS + 1)})


def test_the_values_in_all_lists_of_a_filter_are_limited() -> None:
    """A filter with ten lists of 1,000 values is accepted, one with eleven is refused."""
    values = [str(number) for number in range(1_000)]
    assert parse_filter({"or": [{"tags": {"any": values}}] * 10})
    with pytest.raises(InvalidRequest, match="at most 10000 values together"):
        parse_filter({"or": [{"tags": {"any": values}}] * 11})


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("created_at", Kind.TIME),
        ("due_at", Kind.TIME),
        ("importance", Kind.INTEGER),
        ("confidence", Kind.NUMBER),
        ("pinned", Kind.FLAG),
        ("tags", Kind.TEXT),
        ("status", Kind.TEXT),
        ("session_id", Kind.TEXT),
        ("content", Kind.TEXT),
        ("metadata.a.b", Kind.METADATA),
    ],
)
def test_the_kind_of_a_filterable_field_follows_from_its_type(field: str, kind: Kind) -> None:
    assert kind_of_field(field) is kind


def test_internal_fields_can_not_be_filtered_by() -> None:
    """A filter on the tenant or an internal field is refused, and no error lists such a field as
    allowed.
    """
    assert not {"tenant", "gives_value"} & set(FIELD_KINDS)


def test_all_of_skips_filters_that_are_none() -> None:
    """`all_of()` skips filters that are None. Without any filter it returns a condition that always
    holds.
    """
    pinned = Compare("pinned", Op.EQ, True)
    assert all_of(None, pinned, None) == pinned
    assert all_of(pinned, Absent("valid_to")) == All((pinned, Absent("valid_to")))
    assert all_of() == All(())
