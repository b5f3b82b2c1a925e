"""Errors of invalid input: their paths, and the values that they quote."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.routes.memory_shapes import MemoryPost
from api.http.validation import MAX_SHOWN, InvalidInput, checked, path_text, shown

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON | st.text(st.characters(categories=["Cs"]), min_size=1))
def test_what_is_shown_is_short_and_plain(value: Any) -> None:
    """Anything can be quoted in a problem."""
    text = json.dumps(shown(value), allow_nan=False, ensure_ascii=False).encode()
    assert len(text) < 12 * MAX_SHOWN


@given(JSON)
def test_anything_wrong_is_an_invalid_input_with_paths(value: Any) -> None:
    """Whatever is validated, the errors can be sent."""
    with pytest.raises(InvalidInput) as caught:
        checked(MemoryPost, value)
    assert json.dumps([one.members() for one in caught.value.errors], allow_nan=False, ensure_ascii=False).encode()


def test_a_path_reads_like_the_body() -> None:
    """Dots for names, brackets for places in a list."""
    assert path_text(["items", 3, "tags", 0]) == "items[3].tags[0]"
    assert path_text([2, "content"]) == "[2].content"
    assert path_text([]) == ""
