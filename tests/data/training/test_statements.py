"""The form of the scenes in `statements`: every mark names an earlier statement, and no text is
there twice.
"""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

FILES = sorted((Path(__file__).parent / "statements").glob("*.jsonl"))
KINDS = {"task", "fact", "event", "howto"}
ACTS = {
    *("done", "cancelled", "moves", "reopens"),
    *("replaces", "wrong"),
    *("restates", "adds"),
}


def scenes(path: Path) -> list[dict[str, Any]]:
    """The scenes of an author."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_marks_and_answers_name_statements_that_were_made_before(path: Path) -> None:
    for scene in scenes(path):
        earlier = {statement["id"] for statement in scene["stored"]}
        for text in scene["later"]:
            assert text["does"].keys() <= earlier, (scene["id"], text["id"])
            assert set(text["does"].values()) <= ACTS, (scene["id"], text["id"])
            assert set(text["states"]) <= KINDS, (scene["id"], text["id"])
            assert text["id"] not in earlier, (scene["id"], text["id"])
            earlier.add(text["id"])
        for question in scene["questions"]:
            assert {*question["answers"], *question["outdated"]} <= earlier, scene["id"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_later_texts_are_in_the_order_of_their_days(path: Path) -> None:
    for scene in scenes(path):
        last_stored = max(statement["day"] for statement in scene["stored"])
        days = [last_stored, *(text["day"] for text in scene["later"])]
        assert all(before <= after for before, after in pairwise(days)), scene["id"]


def test_no_text_is_there_twice() -> None:
    texts = Counter(
        statement["text"]
        for path in FILES
        for scene in scenes(path)
        for statement in (*scene["stored"], *scene["later"])
    )
    assert [text for text, times in texts.items() if times > 1] == []
