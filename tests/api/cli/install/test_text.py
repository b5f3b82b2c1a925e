"""Edits of a JSON file's text that keep comments, layout and all other members."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cli.install.text import JsonText, MalformedSettings, parse_json, revert

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=6)
    | st.sampled_from(["//", "/*", ",}", '"'])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
)
INDENTS = st.sampled_from([None, 1, 2, 4, "\t"])

COMMENTED = """\
{
    // the model
    "model": "opus", /* mine */
    "hooks": {
        "Stop": [
            {"hooks": [1]}, // first
        ], // end of Stop
    },
}
"""


def test_comments_commas_and_indentation_stay() -> None:
    """An added element or member gets the layout of its neighbours; comments stay on their
    lines.
    """
    document = JsonText(COMMENTED)
    document.append(("hooks", "Stop"), {"hooks": [2]})
    document.set(("extra",), value=True)
    element = (
        '{\n                "hooks": [\n                    2\n                ]\n            }'
    )
    expected = COMMENTED.replace("// first\n", f"// first\n            {element}\n")
    assert document.text == expected.replace("    },\n}", '    },\n    "extra": true\n}')
    assert revert(document.text, document.splices) == COMMENTED


@given(
    st.dictionaries(st.text(max_size=4), VALUES, max_size=4), INDENTS, st.text(max_size=4), VALUES
)
def test_a_member_is_set_and_all_others_stay(
    members: dict[str, Any], indent: Any, key: str, value: Any
) -> None:
    """Setting a member changes no other member of the object. Undoing the edit restores the
    text.
    """
    text = json.dumps(members, indent=indent)
    document = JsonText(text)
    document.set((key,), value)
    assert parse_json(document.text) == members | {key: value}
    assert revert(document.text, document.splices) == text


@given(st.dictionaries(st.text(max_size=4), VALUES, min_size=1, max_size=4), INDENTS, st.data())
def test_removing_a_member_keeps_all_others(
    members: dict[str, Any], indent: Any, data: st.DataObject
) -> None:
    key = data.draw(st.sampled_from(sorted(members)))
    document = JsonText(json.dumps(members, indent=indent))
    document.remove((key,))
    assert parse_json(document.text) == {
        name: value for name, value in members.items() if name != key
    }


@given(st.lists(VALUES, max_size=4), INDENTS, VALUES)
def test_an_element_is_appended_and_removed(array: list[Any], indent: Any, value: Any) -> None:
    document = JsonText(json.dumps({"a": array}, indent=indent))
    document.append(("a",), value)
    assert parse_json(document.text) == {"a": [*array, value]}
    document.remove(("a", len(array)))
    assert parse_json(document.text) == {"a": array}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1', "not valid JSON"),
        ("[]", "must hold a JSON object"),
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ('{"a": ' + "[" * 100_000, "not valid JSON|nested too deeply"),
        ('{"a": ' + "7" * 5_000 + "}", "integer of more digits than can be read"),
    ],
)
def test_malformed_text_is_refused(text: str, reason: str) -> None:
    """The error for a malformed JSON text says what is wrong with it."""
    with pytest.raises(MalformedSettings, match=reason):
        JsonText(text)


def test_adding_to_a_member_of_another_type_is_refused() -> None:
    """Setting a member of a non-object, or appending to a non-array, raises an error that names the
    value's key.
    """
    document = JsonText('{"hooks": "none", "list": {}}')
    with pytest.raises(MalformedSettings, match="hooks must be an object"):
        document.set(("hooks", "Stop"), [])
    with pytest.raises(MalformedSettings, match="list must be an array"):
        document.append(("list",), 1)
