"""A small evaluation set that tests write to disk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CORPUS: tuple[dict[str, Any], ...] = (
    {
        "id": "c1:1",
        "conversation": "c1",
        "session": "s1",
        "timestamp": "2024-01-02T10:00:00Z",
        "speaker": "Ada",
        "text": "The harbour crane was painted yellow",
        "memory_type": "episodic",
    },
    {
        "id": "c1:2",
        "conversation": "c1",
        "session": "s1",
        "timestamp": "2024-01-02T10:00:20Z",
        "speaker": "Ada",
        "text": "Our violin teacher moved to Lisbon",
        "memory_type": "episodic",
    },
    {
        "id": "c1:3",
        "conversation": "c1",
        "session": "s2",
        "timestamp": "2024-01-03T09:00:00Z",
        "speaker": "Ada",
        "text": "The harbour  crane was painted yellow",
        "memory_type": "episodic",
    },
    {
        "id": "c2:1",
        "conversation": "c2",
        "session": None,
        "timestamp": None,
        "speaker": "document",
        "text": "Copper conducts heat well",
        "memory_type": "semantic",
    },
)
QUERIES: tuple[dict[str, Any], ...] = (
    {
        "id": "q1",
        "conversation": "c1",
        "text": "Which colour has the harbour crane?",
        "category": "colour",
        "evidence": ["c1:3"],
        "answerable": True,
        "asked_at": "2024-02-01T00:00:00Z",
    },
    {
        "id": "q2",
        "conversation": "c1",
        "text": "Where did the violin teacher go?",
        "category": "place",
        "evidence": ["c1:2"],
        "answerable": True,
        "asked_at": "2024-02-01T00:00:00Z",
    },
    {
        "id": "q3",
        "conversation": "c2",
        "text": "What does copper conduct?",
        "evidence": ["c2:1"],
        "answerable": True,
    },
)


def write_set(folder: Path, corpus: Sequence[Mapping[str, Any]], queries: Sequence[Mapping[str, Any]]) -> Path:
    """`folder`, now with the two files of a set."""
    folder.mkdir(parents=True)
    for name, rows in (("corpus.jsonl", corpus), ("queries.jsonl", queries)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder
