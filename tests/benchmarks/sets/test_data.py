"""Reading evaluation sets from files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.sets.data import (
    BadSet,
    CorpusEntry,
    find_sets,
    limit_questions,
    read_set,
    to_draft,
)
from memtypes.model.policy import POLICIES, MemoryType
from tests.benchmarks.small_set import CORPUS, QUERIES, write_set


def test_conversations_have_their_questions(tmp_path: Path) -> None:
    """A conversation of a set has its memories, in the order of the file, and its answerable
    questions.
    """
    dataset = read_set(write_set(tmp_path / "small", CORPUS, QUERIES))
    assert list(dataset.corpus) == ["c1", "c2"]
    assert [entry.id for entry in dataset.corpus["c1"]] == ["c1:1", "c1:2", "c1:3"]
    assert [question.id for question in dataset.questions if question.conversation == "c1"] == [
        "q1",
        "q2",
    ]
    assert (dataset.name, dataset.memories, len(dataset.questions)) == ("small", 4, 3)
    assert dataset.types == [MemoryType.EPISODIC, MemoryType.SEMANTIC]


def test_only_answerable_queries_with_evidence_count(tmp_path: Path) -> None:
    """Reading a set drops questions that have no answer or no evidence, and counts them in
    `dropped`.
    """
    unanswerable = {**QUERIES[0], "id": "q8", "answerable": False}
    without_evidence = {**QUERIES[0], "id": "q9", "evidence": []}
    dataset = read_set(
        write_set(tmp_path / "small", CORPUS, [*QUERIES, unanswerable, without_evidence])
    )
    assert (len(dataset.questions), dataset.dropped) == (3, 2)


def _broken(rows: Sequence[Mapping[str, Any]], **change: Any) -> list[dict[str, Any]]:
    return [dict(rows[0]) | change, *map(dict, rows[1:])]


@pytest.mark.parametrize(
    ("corpus", "queries", "message"),
    [
        (_broken(CORPUS, id=""), QUERIES, "corpus.jsonl:1: Expected `str` of length >= 1"),
        (
            _broken(CORPUS, text=None),
            QUERIES,
            "corpus.jsonl:1: Expected `str`, got `null` - at `$.text`",
        ),
        (_broken(CORPUS, id="c1:2"), QUERIES, "corpus.jsonl:2: duplicate id 'c1:2'"),
        (
            _broken(CORPUS, memory_type="dream"),
            QUERIES,
            "corpus.jsonl:1: Invalid enum value 'dream'",
        ),
        (CORPUS, _broken(QUERIES, text=7), "queries.jsonl:1: Expected `str`, got `int`"),
        (
            CORPUS,
            _broken(QUERIES, current_evidence=["c2:1"]),
            "queries.jsonl:1: evidence 'c2:1' is not in",
        ),
        (CORPUS, _broken(QUERIES, evidence=["c2:1"]), "queries.jsonl:1: evidence 'c2:1' is not in"),
    ],
)
def test_a_malformed_line_is_reported_with_its_number(
    tmp_path: Path, corpus: list[dict[str, Any]], queries: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(BadSet, match=re.escape(message)):
        read_set(write_set(tmp_path / "broken", corpus, queries))


@pytest.mark.parametrize(
    ("line", "message"),
    [("{", "Input data was truncated"), ("[1]", "Expected `object`, got `array`")],
)
def test_a_line_that_is_not_an_object_is_reported_with_its_number(
    tmp_path: Path, line: str, message: str
) -> None:
    folder = write_set(tmp_path / "broken", CORPUS, QUERIES)
    (folder / "corpus.jsonl").write_text(f"\n{line}\n")
    with pytest.raises(BadSet, match=f"jsonl:2: {message}"):
        read_set(folder)


def test_sets_are_found_by_their_files(tmp_path: Path) -> None:
    """Every folder with a corpus and queries is an evaluation set. Asking for another folder raises
    BadSet.
    """
    write_set(tmp_path / "b", CORPUS, QUERIES)
    write_set(tmp_path / "a", CORPUS, QUERIES)
    (tmp_path / "notes").mkdir()
    assert [path.name for path in find_sets(tmp_path)] == ["a", "b"]
    assert [path.name for path in find_sets(tmp_path, ["b"])] == ["b"]
    with pytest.raises(BadSet, match="sets here: a, b"):
        find_sets(tmp_path, ["notes"])


def test_a_folder_without_sets_is_an_error(tmp_path: Path) -> None:
    """find_sets() raises BadSet for an empty folder."""
    with pytest.raises(BadSet, match="no folder in"):
        find_sets(tmp_path)


def test_limited_questions_are_evenly_spaced(tmp_path: Path) -> None:
    """If the number of questions is limited, the questions are taken evenly from the whole file.

    No memory is left out.
    """
    dataset = read_set(write_set(tmp_path / "small", CORPUS, QUERIES))
    limited = limit_questions(dataset, 2)
    assert [question.id for question in limited.questions] == ["q1", "q2"]
    assert limited.memories == dataset.memories
    assert limit_questions(dataset, 3) is dataset
    assert limit_questions(dataset, None) is dataset


def test_an_event_keeps_its_speaker() -> None:
    """An episodic entry of a corpus becomes a draft (a memory to be stored) with its speaker,
    session and time.
    """
    entry = CorpusEntry(
        "1", "c", "I lost my job", MemoryType.EPISODIC, "s1", "Gina", "2023-01-20T16:04:00Z"
    )
    fields = to_draft(entry).model_dump(mode="json", exclude_defaults=True)
    assert fields == {
        "type": "episodic",
        "content": "I lost my job",
        "session_id": "s1",
        "speaker": "Gina",
        "created_at": "2023-01-20T16:04:00Z",
    }


def test_a_semantic_entry_has_no_speaker() -> None:
    """A semantic entry of a corpus becomes a draft (a memory to be stored) without speaker and
    time.
    """
    entry = CorpusEntry("1", "c", "Gina dances", MemoryType.SEMANTIC, None, "Gina")
    assert json.loads(to_draft(entry).model_dump_json(exclude_defaults=True)) == {
        "type": "semantic",
        "content": "Gina dances",
    }


@pytest.mark.parametrize("kind", [MemoryType.PROSPECTIVE, MemoryType.WORKING])
def test_drafts_are_visible_outside_of_their_session(kind: MemoryType) -> None:
    """Memories of an evaluation set are visible in the whole namespace, even if their type is
    private by default.

    Queries of the set name no session.
    """
    draft = to_draft(CorpusEntry("1", "c", "Call Jon", kind, "s1"))
    assert (draft.visibility or POLICIES[kind].visibility) == "namespace"
