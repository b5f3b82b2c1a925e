"""YAML configuration files, and the messages for errors in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from memtypes.config import InvalidConfigFile, message_of, parse_yaml, read_text
from memtypes.live.thread_policy import Policies, read_policies


class Shelf(BaseModel):
    """A small model of a configuration file, used in place of a real one."""

    model_config = ConfigDict(extra="forbid")

    name: str
    books: list[int] = Field(default_factory=list, max_length=2)
    owner: dict[str, str] = Field(default_factory=dict)


def test_a_valid_file_is_parsed() -> None:
    """`parse_yaml()` returns an instance of the model class that is passed to it."""
    assert parse_yaml("name: a\nbooks: [1]", Shelf, "file a") == Shelf(name="a", books=[1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "file a: not YAML: "),
        ("name: 2026-99-99", "file a: not YAML: month must be in"),
        ("name: !!bool maybe", "file a: not YAML: "),
        ("name: a\nname: b", "the key 'name' is repeated"),
        ("{{ a }}: 1", 'a key must be a string; write "{{ ... }}" in quotes'),
        ("", r"file a: name: is required \(got an object\)"),
        ("- a", r"file a: the file: must be an object \(got a list\)"),
        ("name: a\npages: 3", r"file a: pages: unknown field \(got 3\)"),
        ("name: a\nbooks: [x]", r"file a: books\.0: .*integer.* \(got 'x'\)"),
    ],
)
def test_errors_name_the_file_the_key_and_the_value(text: str, message: str) -> None:
    with pytest.raises(InvalidConfigFile, match=message):
        parse_yaml(text, Shelf, "file a")


def test_an_unreadable_file_is_an_error(tmp_path: Path) -> None:
    """A configuration file that is missing or not UTF-8 is refused."""
    with pytest.raises(InvalidConfigFile, match=r"policy file .*none\.yaml: can't be read"):
        read_policies(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"\xff")
    with pytest.raises(InvalidConfigFile, match=r"models file .*latin\.yaml: can't be read"):
        read_text(tmp_path / "latin.yaml", "models file")


def test_without_a_file_the_policies_are_the_defaults() -> None:
    assert read_policies(None) == Policies()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "is required"),
        ({"name": "a", "pages": 1}, "unknown field"),
        ({"name": "a", "owner": 1}, "must be an object"),
        ({"name": "a", "books": 1}, "must be a list"),
        ({"name": "a", "books": [1, 2, 3]}, "must have at most 2 entries, has 3"),
    ],
)
def test_error_messages_are_reworded_for_users(value: dict[str, Any], message: str) -> None:
    """Error messages speak of objects and lists, which users know, not of dictionaries and
    models.
    """
    with pytest.raises(ValidationError) as error:
        Shelf.model_validate(value)
    assert message_of(error.value.errors()[0]) == message
