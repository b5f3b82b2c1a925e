"""Thread keys made from templates and the values of a request."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtypes.live.templates import checked_template, rendered_key
from memtypes.model.errors import InvalidRequest


@settings(deadline=None)
@given(st.lists(st.text("ab:.@-_ {}/é", max_size=3), min_size=4, max_size=4))
def test_different_values_never_give_the_same_key(ids: list[str]) -> None:
    """Different values of a template give different keys or are refused."""
    template = "{{ user.id }}:{{ session.id }}"
    keys = []
    for user, session in (ids[:2], ids[2:]):
        try:
            keys.append(rendered_key(template, {"user": {"id": user}, "session": {"id": session}}))
        except InvalidRequest:
            return
    assert (keys[0] == keys[1]) == (ids[:2] == ids[2:])


@pytest.mark.parametrize(
    ("template", "variables", "message"),
    [
        ("{{ user.id }}:{{ session.id }}", {"user": {"id": "a:b"}, "session": {"id": "c"}}, "must not contain ':'"),
        ("{{ user.id }}", {"user": {}}, "does not resolve"),
        ("{{ user.id }}", {"user": {"id": True}}, r"variables\.user\.id must be a string or an integer"),
        ("{{ user.id }}", {"user": "ann"}, "must be an object"),
        ("__{{ user.id }}", {"user": {"id": "a"}}, "must not begin or end with __"),
        ("{{ user.id }}", {"user": {"id": "a b"}}, "a key has 1 to 256 letters"),
    ],
)
def test_values_that_give_no_valid_key_are_refused(template: str, variables: dict[str, object], message: str) -> None:
    """A value must not contain the separator that follows it: "a:b" and "c" would read as "a" and "b:c"."""
    with pytest.raises(InvalidRequest, match=message):
        rendered_key(template, variables)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ user.__class__ }}", "must not read '__class__'"),
        ("{% for x in user %}x{% endfor %}", "not for"),
        ("{{ secret.id }}", "not 'secret'"),
        ("{{ session }}", "not a whole variable"),
        ("{{ user.id }}{{ session.id }}", "needs text between two members"),
        ("{{ session.id ", "is not a valid template"),
        ("", "must have 1 to 2000 characters"),
    ],
)
def test_templates_with_anything_but_members_are_refused(template: str, message: str) -> None:
    """The error says that a template may contain only text and members."""
    with pytest.raises(ValueError, match=message):
        checked_template(template)


def test_members_may_be_named_like_methods() -> None:
    """A member such as "items" is the value in the request, not the method of Python's dict."""
    assert rendered_key("{{ user.items }}-{{ user.a.b }}", {"user": {"items": 1, "a": {"b": "c"}}}) == "1-c"
