"""Reading evaluation sets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.sets.data import BadSet, CorpusEntry, find_sets, read_set, to_draft
from benchmarks.sets.portions import in_company, limit_questions
from memtypes.model.policy import MemoryType
from tests.benchmarks.sets import CORPUS, QUERIES, write_set


def test_conversations_hold_their_own_questions(tmp_path: Path) -> None:
    """Each conversation has its memories in the file's order, and its own answerable queries."""
    found = read_set(write_set(tmp_path / "small", CORPUS, QUERIES))
    assert [conversation.name for conversation in found.conversations] == ["c1", "c2"]
    assert [entry.id for entry in found.conversations[0].corpus] == ["c1:1", "c1:2", "c1:3"]
    assert [question.id for question in found.conversations[0].questions] == ["q1", "q2"]
    assert (found.name, found.memories, found.questions) == ("small", 4, 3)
    assert found.types == (MemoryType.EPISODIC, MemoryType.SEMANTIC)


def test_only_answerable_queries_with_evidence_count(tmp_path: Path) -> None:
    """A query that has no answer or no evidence is dropped, and counted as such."""
    unanswerable = {**QUERIES[0], "id": "q8", "answerable": False}
    without_evidence = {**QUERIES[0], "id": "q9", "evidence": []}
    found = read_set(write_set(tmp_path / "small", CORPUS, [*QUERIES, unanswerable, without_evidence]))
    assert (found.questions, found.dropped) == (3, 2)


def _broken(rows: Sequence[Mapping[str, Any]], **change: Any) -> list[dict[str, Any]]:
    return [dict(rows[0]) | change, *map(dict, rows[1:])]


@pytest.mark.parametrize(
    ("corpus", "queries", "told"),
    [
        (_broken(CORPUS, id=""), QUERIES, "corpus.jsonl:1: needs id"),
        (_broken(CORPUS, text=None), QUERIES, "corpus.jsonl:1: needs text"),
        (_broken(CORPUS, id="c1:2"), QUERIES, "corpus.jsonl:2: the id 'c1:2' is there twice"),
        (_broken(CORPUS, memory_type="dream"), QUERIES, "corpus.jsonl:1: unknown memory_type 'dream'"),
        (CORPUS, _broken(QUERIES, text=7), "queries.jsonl:1: needs text"),
        (CORPUS, _broken(QUERIES, evidence=["c2:1"]), "queries.jsonl:1: the evidence 'c2:1' is not in"),
    ],
)
def test_a_broken_line_is_named(
    tmp_path: Path, corpus: list[dict[str, Any]], queries: list[dict[str, Any]], told: str
) -> None:
    """What is not in the format is told with its file and line."""
    with pytest.raises(BadSet, match=told.replace(".", r"\.")):
        read_set(write_set(tmp_path / "broken", corpus, queries))


@pytest.mark.parametrize(("line", "told"), [("{", "not JSON"), ("[1]", "needs an object")])
def test_a_line_that_is_no_object_is_named(tmp_path: Path, line: str, told: str) -> None:
    """A line that is no JSON object is told with its place."""
    folder = write_set(tmp_path / "broken", CORPUS, QUERIES)
    (folder / "corpus.jsonl").write_text(f"\n{line}\n")
    with pytest.raises(BadSet, match=f"jsonl:2: {told}"):
        read_set(folder)


def test_sets_are_found_by_their_files(tmp_path: Path) -> None:
    """Every folder with both files is a set; others are not, and asking for one by name says so."""
    write_set(tmp_path / "b", CORPUS, QUERIES)
    write_set(tmp_path / "a", CORPUS, QUERIES)
    (tmp_path / "notes").mkdir()
    assert [path.name for path in find_sets(tmp_path)] == ["a", "b"]
    assert [path.name for path in find_sets(tmp_path, ["b"])] == ["b"]
    with pytest.raises(BadSet, match="sets here: a, b"):
        find_sets(tmp_path, ["notes"])


def test_a_folder_without_sets_is_told(tmp_path: Path) -> None:
    """A folder that holds no set is an error, not an empty table."""
    with pytest.raises(BadSet, match="no folder in"):
        find_sets(tmp_path)


def test_limited_questions_are_spread_over_the_file(tmp_path: Path) -> None:
    """A limit keeps so many queries from all conversations, and every memory."""
    whole = read_set(write_set(tmp_path / "small", CORPUS, QUERIES))
    limited = limit_questions(whole, 2)
    assert [q.id for c in limited.conversations for q in c.questions] == ["q1", "q2"]
    assert limited.memories == whole.memories
    assert limit_questions(whole, 3) is whole
    assert limit_questions(whole, None) is whole


def test_an_event_keeps_its_speaker() -> None:
    """An episodic entry becomes an event with its speaker, session and time."""
    entry = CorpusEntry("1", "I lost my job", MemoryType.EPISODIC, "s1", "Gina", "2023-01-20T16:04:00Z")
    fields = to_draft(entry).model_dump(mode="json", exclude_defaults=True)
    assert fields == {
        "type": "episodic",
        "content": "I lost my job",
        "session_id": "s1",
        "speaker": "Gina",
        "created_at": "2023-01-20T16:04:00Z",
    }


def test_other_types_leave_the_speaker_out() -> None:
    """A fact has no speaker, and what is absent stays absent."""
    entry = CorpusEntry("1", "Gina dances", MemoryType.SEMANTIC, None, "Gina", None)
    assert json.loads(to_draft(entry).model_dump_json(exclude_defaults=True)) == {
        "type": "semantic",
        "content": "Gina dances",
    }


@pytest.mark.parametrize("kind", [MemoryType.PROSPECTIVE, MemoryType.WORKING])
def test_what_a_session_would_hide_is_visible_to_the_queries(kind: MemoryType) -> None:
    """A query comes from no session, so types that only their session sees are written for the namespace."""
    draft = to_draft(CorpusEntry("1", "Call Jon", kind, "s1", None, None))
    assert draft.visibility == "namespace"


def test_company_is_of_other_types_and_as_old_as_the_conversation(tmp_path: Path) -> None:
    """Each conversation gets so many memories of each type that the set lacks, at its own first time."""
    whole = read_set(write_set(tmp_path / "small", CORPUS, QUERIES))
    rows = [{**CORPUS[3], "id": f"p{n}", "memory_type": "procedural", "text": f"Step {n}"} for n in range(9)]
    other = read_set(write_set(tmp_path / "other", rows, []))
    first, second = in_company(whole, [whole, other], 3).conversations
    assert [entry.id for entry in first.company] == ["company:p0", "company:p3", "company:p6"]
    assert {entry.timestamp for entry in first.company} == {"2024-01-02T10:00:00Z"}
    assert {entry.timestamp for entry in second.company} == {None}
    assert first.written == first.corpus + first.company
    assert len(in_company(whole, [other], 20).conversations[0].company) == 9
