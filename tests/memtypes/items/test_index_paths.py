"""Index paths, which select the texts of a keyed item's value that are embedded."""

from __future__ import annotations

from typing import Any

import pytest

from memtypes.items.index_paths import MAX_TEXT, check_index_path, text_of, texts_at
from memtypes.model.errors import InvalidRequest

VALUE: dict[str, Any] = {
    "title": "Tea",
    "year": 1999,
    "none": None,
    "blank": "  ",
    "author": {"name": "Ann", "born": 1970},
    "parts": [{"text": "first"}, {"text": "second", "tags": ["a", "b"]}, "third"],
    "grid": [[1, 2], [3]],
}


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        ("title", ["Tea"]),
        ("year", ["1999"]),
        ("none", []),
        ("blank", []),
        ("missing", []),
        ("title.more", []),
        ("author.name", ["Ann"]),
        ("author", ["name: Ann\nborn: 1970"]),
        ("parts[*].text", ["first", "second"]),
        ("parts[0].text", ["first"]),
        ("parts[-1]", ["third"]),
        ("parts[7]", []),
        ("parts[*].tags[*]", ["a", "b"]),
        ("grid[0][1]", ["2"]),
        ("author.*", ["Ann", "1970"]),
        ("{title,author.name}", ["Tea", "Ann"]),
        ("parts[*].{text,missing}", ["first", "second"]),
    ],
)
def test_an_index_path_selects_texts_of_a_value(path: str, texts: list[str]) -> None:
    """A path has names of members and list indices (negative: from the end); `*` and `{a,b}` select
    several.

    A path to a missing member gives no text.
    """
    assert texts_at(VALUE, [check_index_path(path)]) == texts


@pytest.mark.parametrize(
    "path", ["", ".", "a..b", "a.", "[0", "a[x]", "{a", "{a}}", "$.a", "$a", "{}", "a b[1.5]"]
)
def test_an_invalid_index_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"path|`\$`|empty"):
        check_index_path(path)


def test_a_text_that_several_paths_select_is_returned_once() -> None:
    """Texts are returned in the order of the paths, without repeats. A value with more than 256
    texts is refused.
    """
    assert texts_at(VALUE, ["author.name", "title", "*", "title"])[:2] == ["Ann", "Tea"]
    assert len(set(texts_at(VALUE, ["title", "$", "$"]))) == 2
    with pytest.raises(InvalidRequest, match="gives more than 256 texts"):
        texts_at([f"{number}" for number in range(300)], ["[*]"])


def test_the_whole_value_is_one_text() -> None:
    """Without index paths, a value is one text, with a line for each text, number and boolean in
    it.

    A line of up to three words begins with the member's name (`color: red`). The text's length is
    limited.
    """
    assert texts_at(
        {"text": "I like green tea best", "color": "dark green", "n": [1, True, None]}, None
    ) == ["I like green tea best\ncolor: dark green\nn: 1\nn: true"]
    assert texts_at("just a text", None) == ["just a text"]
    assert texts_at(None, None) == texts_at({}, None) == texts_at({"a": [None, " "]}, ["a"]) == []
    assert len(text_of(["word " * 100] * 10_000)) < 2 * MAX_TEXT


class Counted(dict[str, Any]):
    """A JSON object that counts how often its members are read."""

    reads = 0

    def __getitem__(self, name: str) -> Any:
        Counted.reads += 1
        return super().__getitem__(name)


@pytest.mark.parametrize("choice", ["{a,a,a}", "{a,*}", "{a, a ,*,a}"])
@pytest.mark.parametrize("last", ["a", "missing", "blank"])
def test_repeated_names_in_a_path_do_not_multiply_reads(choice: str, last: str) -> None:
    """A path such as `{a,a,a}.{a,a,a}` does not multiply how often an object of the value is
    read.
    """
    value: Any = Counted(a="tea", blank=" ")
    for _ in range(7):
        value = Counted(a=value)
    Counted.reads = 0
    assert texts_at(value, [check_index_path(".".join([*[choice] * 7, last]))]) == (
        ["tea"] if last == "a" else []
    )
    assert Counted.reads <= 3 * 8


class Row(list[Any]):
    """A list with one text. The attribute `was_read` becomes True when the list is iterated."""

    was_read = False

    def __iter__(self) -> Any:
        self.was_read = True
        return iter(["tea"])


def test_values_are_read_only_up_to_the_limit_of_texts() -> None:
    """A path that selects 5,000 texts is refused once 257 of them, one above the limit, have been
    read.
    """
    rows = [Row() for _ in range(5_000)]
    with pytest.raises(InvalidRequest, match="gives more than 256 texts"):
        texts_at(rows, ["[*]"])
    assert sum(row.was_read for row in rows) == 257
