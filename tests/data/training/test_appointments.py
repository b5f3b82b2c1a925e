"""The form of `appointments.jsonl`, and that each author and language has texts of every kind."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

LINES = [
    json.loads(line)
    for line in Path(__file__).with_name("appointments.jsonl").read_text("utf-8").splitlines()
]
KINDS = {"appointment", "deadline", "neither"}


def test_each_line_has_a_text_a_kind_a_language_and_an_author() -> None:
    for line in LINES:
        assert line.keys() == {"text", "kind", "lang", "author"}
        assert line["text"].strip() == line["text"] != ""
        assert line["kind"] in KINDS


def test_no_text_is_there_twice() -> None:
    texts = Counter(line["text"] for line in LINES)
    assert [text for text, times in texts.items() if times > 1] == []


def test_each_author_has_texts_of_every_kind_in_each_of_their_languages() -> None:
    voices = {(line["author"], line["lang"]) for line in LINES}
    told = {(line["author"], line["lang"], line["kind"]) for line in LINES}
    assert told == {(*voice, kind) for voice in voices for kind in KINDS}
