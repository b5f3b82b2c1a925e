"""Templates of thread keys, which are filled with values of a request, such as the user's id."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtypes.live.templates import checked_template, is_key_of, rendered_key
from memtypes.model.errors import InvalidRequest

TEMPLATES = (
    "{{ user.id }}:{{ session.id }}",
    "{{ user.id }}-{{ session.id }}",
    "a{{ user.id }} aa {{ session.id }}a",
    "%{{ user.id }}-%20{{ session.id }}%20",
    "{{ user.id }}::{{ session.id }}-{{ user.id }}",
)


@settings(deadline=None, max_examples=400)
@given(
    st.sampled_from(TEMPLATES),
    st.lists(st.text("ab:.@-_ %2D{}/é\x00\u2003", max_size=4), min_size=4, max_size=4),
)
def test_different_values_never_give_the_same_key(template: str, ids: list[str]) -> None:
    keys = []
    for user, session in (ids[:2], ids[2:]):
        variables = {"user": {"id": user}, "session": {"id": session}}
        if not user or not session:
            with pytest.raises(InvalidRequest):
                rendered_key(template, variables)
            return
        keys.append(rendered_key(template, variables))
    assert (keys[0] == keys[1]) == (ids[:2] == ids[2:])
    assert all(key.isprintable() and key == key.strip() for key in keys)


@pytest.mark.parametrize(
    ("template", "user", "session", "key"),
    [
        ("support:{{ user.id }}", "auth0|123", "s", "support:auth0|123"),
        ("{{ user.id }}", "josé@x.org", "s", "josé@x.org"),
        (
            "{{ user.id }}-{{ session.id }}",
            "550e8400-e29b",
            "41d4-a716",
            "550e8400%2De29b-41d4-a716",
        ),
        ("{{ user.id }}:{{ session.id }}", "550e8400-e29b", "a:b", "550e8400-e29b:a:b"),
        ("{{ user.id }}:{{ session.id }}", "a:b", "100%", "a%3Ab:100%25"),
        ("{{ user.id }}", " a\n", "s", "%20a%0A"),
        ("__{{ user.id }}", "bob__", "s", "__bob__"),
    ],
)
def test_only_ambiguous_or_unprintable_characters_of_ids_are_encoded(
    template: str, user: str, session: str, key: str
) -> None:
    """An id's characters are percent-encoded only where they would make the key ambiguous or
    unprintable.
    """
    assert rendered_key(template, {"user": {"id": user}, "session": {"id": session}}) == key


@pytest.mark.parametrize(
    ("template", "variables", "message"),
    [
        (
            "{{ user.id }}",
            {"user": {}},
            r'no user\.id; send variables \{"user": \{"id": "\.\.\."\}\}$',
        ),
        (
            "{{ user.id }}",
            {"user": {"id": True}},
            "must be a string that is not empty, or an integer",
        ),
        (
            "{{ user.id }}",
            {"user": {"id": ""}},
            "must be a string that is not empty, or an integer",
        ),
        ("{{ user.id }}", {"user": "ann"}, "must be an object"),
        ("{{ user.id }}", {"user": {"id": "a" * 257}}, "a key has 1 to 256 characters, not 257"),
        ("a\x07b", {}, "no control characters"),
    ],
)
def test_values_that_give_no_valid_key_are_refused(
    template: str, variables: dict[str, object], message: str
) -> None:
    """The error for values that give no valid key names the missing variable, or says what is wrong
    with the key.
    """
    with pytest.raises(InvalidRequest, match=message):
        rendered_key(template, variables)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(
        ["{{ agent.id }}:{{ user.id }}", "{{ user.id }}-{{ agent.id }}", "x{{ agent.id }}"]
    ),
    st.text("ab:-%2DA", min_size=1, max_size=4),
    st.text("ab:-%2DA", min_size=1, max_size=4),
    st.text("ab:-%2DA", min_size=1, max_size=4),
)
def test_a_key_belongs_to_one_agent_only(template: str, agent: str, other: str, user: str) -> None:
    key = rendered_key(template, {"agent": {"id": agent}, "user": {"id": user}})
    assert is_key_of(template, key, agent)
    assert is_key_of(template, key, other) == (agent == other)


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
def test_templates_with_anything_but_text_and_members_are_refused(
    template: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        checked_template(template)


def test_members_may_be_named_like_methods() -> None:
    """`{{ user.items }}` gives the member `items` of the request's variable `user`, not the method
    of Python's dict.
    """
    assert (
        rendered_key("{{ user.items }}-{{ user.a.b }}", {"user": {"items": 1, "a": {"b": "c"}}})
        == "1-c"
    )
