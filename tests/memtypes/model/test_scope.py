"""Scopes: valid and invalid names of tenant, namespace, session and agent."""

from __future__ import annotations

import pytest

from memtypes.model.errors import InvalidRequest
from memtypes.model.scope import Scope


@pytest.mark.parametrize("name", ["a", "a&b=c%d:e/f,g h", "名前空間", "x" * 256, "-", "a\u0301"])
def test_a_namespace_may_contain_any_script_and_punctuation(name: str) -> None:
    """A name in any script, with spaces and punctuation, is stored exactly as it was written."""
    assert Scope("t", name).namespace == name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "1 to 256 characters, has 0"),
        ("x" * 257, "1 to 256 characters, has 257"),
        (" a", "must not begin or end with a blank"),
        ("a\u00a0", "must not begin or end with a blank"),
        ("a\nb", "must not contain control characters"),
        ("a\x00", "must not contain control characters"),
        ("\ud800", "must not contain control characters"),
    ],
)
def test_an_invalid_namespace_name_is_refused(name: str, why: str) -> None:
    """The error for a name that is empty, too long, padded or has control characters names the
    field.
    """
    with pytest.raises(InvalidRequest, match=why) as caught:
        Scope("t", name)
    assert caught.value.path == "namespace"


def test_a_scope_needs_a_tenant() -> None:
    with pytest.raises(InvalidRequest, match="tenant must have"):
        Scope("", "n")


def test_the_session_of_a_scope_is_optional_but_not_blank() -> None:
    assert Scope("t", "n").session_id is None
    with pytest.raises(InvalidRequest, match="session_id"):
        Scope("t", "n", session_id=" ")
