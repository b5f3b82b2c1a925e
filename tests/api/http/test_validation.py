"""Errors of invalid input: paths of fields, and the values that messages quote."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.problems import MAX_QUOTED, InvalidInput, path_text, quoted, validated
from api.http.shapes.memories import MemoryPost

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON | st.text(st.characters(categories=["Cs"]), min_size=1))
def test_shown_values_are_short_json(value: Any) -> None:
    """An error message quotes any invalid value as JSON of limited length."""
    text = json.dumps(quoted(value), allow_nan=False, ensure_ascii=False).encode()
    assert len(text) < 12 * MAX_QUOTED


@given(JSON)
def test_invalid_values_have_encodable_errors(value: Any) -> None:
    """The error for any invalid value can be encoded as UTF-8."""
    with pytest.raises(InvalidInput) as caught:
        validated(MemoryPost, value)
    assert all(error.model_dump_json().encode() for error in caught.value.errors)


def test_path_text_joins_names_and_indices() -> None:
    """The path of a field, such as "items[3].tags[0]", joins names by dots and has indices in
    brackets.
    """
    assert path_text(["items", 3, "tags", 0]) == "items[3].tags[0]"
    assert path_text([2, "content"]) == "[2].content"
    assert path_text([]) == ""
