"""Scopes: valid and invalid names of tenant, namespace, session and agent."""

from __future__ import annotations

import pytest

from memtypes.model.errors import InvalidRequest
from memtypes.model.scope import Scope


@pytest.mark.parametrize("name", ["a", "a&b=c%d:e/f,g h", "名前空間", "x" * 256, "-", "a\u0301"])
def test_any_script_and_sign_may_name_a_namespace(name: str) -> None:
    """A namespace is stored exactly as it is written."""
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
def test_an_ambiguous_name_is_refused(name: str, why: str) -> None:
    """The error for an ambiguous name in a scope names the field and what is expected."""
    with pytest.raises(InvalidRequest, match=why) as caught:
        Scope("t", name)
    assert caught.value.path == "namespace"


def test_a_scope_needs_a_tenant() -> None:
    """A scope with an empty tenant is refused, as is one with an empty namespace."""
    with pytest.raises(InvalidRequest, match="tenant must have"):
        Scope("", "n")


def test_session_and_agent_are_checked_where_they_are_given() -> None:
    """Session and agent of a scope are optional; a blank session or agent is refused."""
    assert Scope("t", "n").session_id is None
    with pytest.raises(InvalidRequest, match="session_id"):
        Scope("t", "n", session_id=" ")
