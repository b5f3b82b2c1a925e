"""Minimum quality of duplicate detection and supersession on labelled texts."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.settings import read_settings
from api.wiring.resources import open_embedder
from ingest.files.samples import sample_items
from ingest.identity.duplicates import wording
from ingest.identity.judgement import Relation, update_model
from ingest.identity.paraphrases import says_the_same
from ingest.identity.update_evidence import Statement
from memtypes.model.memory import Memory, State
from memtypes.model.scope import Scope
from memtypes.model.types import DRAFT
from memtypes.ports.encoders import Embedder
from tests.data.labelled import count, rows
from tests.fakes_ingestor import plain_ingestor
from tests.fakes_memories import InMemoryStore

TOLD = datetime(2026, 3, 1, tzinfo=UTC)
SAMPLED = datetime(2026, 11, 7, tzinfo=UTC)
COSINE = 0.85
"""Typical cosine of two short statements about one thing."""

_NUMBER = re.compile(r"\d+")
_TEXTS = [row["text"] for name in ("captured", "types", "due") for row in rows(name)]


def test_only_pairs_with_the_same_meaning_are_duplicates() -> None:
    """No pair with different meanings counts as duplicates; at least half of the pairs with the
    same meaning do.
    """
    counts = count(
        (str(row), {"same"} if row["same"] else set(), _duplicates(row)) for row in rows("pairs")
    )
    assert counts.precision == 1.0, counts
    assert counts.recall >= 0.5, counts


def _duplicates(row: dict[str, str]) -> set[str]:
    return {"same"} if wording(row["first"]) == wording(row["second"]) else set()


def test_case_and_spacing_make_no_difference() -> None:
    """A text in capitals or with doubled spaces has the same identity, unless its meaning depends
    on the case.
    """
    assert [text for text in _TEXTS if wording(_respelled(text)) != wording(text)] == []


def _respelled(text: str) -> str:
    capitals = text.upper() if text.upper().casefold() == text.casefold() else text
    return "  ".join(capitals.split(" "))


def test_a_changed_number_makes_another_statement() -> None:
    """A text whose first number is raised by one is no duplicate of the original text."""
    numbered = [text for text in _TEXTS if _NUMBER.search(text)]
    assert len(numbered) > 50
    assert [text for text in numbered if wording(_renumbered(text)) == wording(text)] == []


def _renumbered(text: str) -> str:
    return _NUMBER.sub(lambda match: str(int(match[0]) + 1), text, count=1)


@pytest.mark.anyio
async def test_texts_with_the_same_meaning_are_found(onnx_directory: Path) -> None:
    """Of labelled pairs of texts, at least 55 % of rewordings are found, and at most 15 % of
    findings are wrong.
    """
    embedder = await open_embedder(
        read_settings().model_copy(update={"encoder_dir": onnx_directory})
    )
    try:
        compared = []
        for row in rows("paraphrases"):
            first, second = await embedder.embed_documents([row["first"], row["second"]])
            same = says_the_same(row["first"], row["second"], float(first.dense @ second.dense))
            compared.append(
                (str(row), {"same"} if row["same"] else set(), {"same"} if same else set())
            )
    finally:
        await embedder.aclose()
    counts = count(compared)
    assert counts.precision >= 0.85, counts
    assert counts.recall >= 0.75, counts


@pytest.mark.anyio
async def test_updates_replace_or_contest_earlier_facts(onnx_directory: Path) -> None:
    """A fact that still holds is never replaced by a new one, and rarely marked as contested.

    Most outdated facts are replaced or contested.
    """
    embedder = await open_embedder(
        read_settings().model_copy(update={"encoder_dir": onnx_directory})
    )
    try:
        seen = []
        for row in rows("updates"):
            old = await _stored_before(embedder, row["old"], row["new"])
            assert row["replaced"] or old.state is not State.REPLACED, row
            found = set() if old.state is State.CURRENT else {"seen"}
            seen.append(
                (f"{row['old']} {row['new']}", {"seen"} if row["replaced"] else set(), found)
            )
    finally:
        await embedder.aclose()
    counts = count(seen)
    assert counts.precision >= 0.8, counts
    assert counts.recall >= 0.7, counts


@pytest.mark.anyio
async def test_the_sample_memories_contradict_nothing(onnx_directory: Path) -> None:
    """What a newcomer sees first: some facts of the samples follow others, and none is wrong."""
    embedder = await open_embedder(
        read_settings().model_copy(update={"encoder_dir": onnx_directory})
    )
    store = InMemoryStore(embedder.dimensions)
    ingestor = plain_ingestor(store, lambda: SAMPLED, embedder)
    scope = Scope("acme", "sample")
    drafts = [DRAFT.validate_python(item) for item in sample_items()]
    try:
        outcomes = await ingestor.write(scope, drafts)
    finally:
        await embedder.aclose()
    stored = await store.get(scope, [outcome.id or "" for outcome in outcomes])
    contested = [memory.content for memory in stored.values() if memory.state is State.CONTESTED]
    assert len(stored) == len(drafts)
    assert contested == []


def test_statements_in_many_forms_are_judged_right() -> None:
    """Of pairs of statements, at least 76 % are judged as labelled, and at most 2 % of the others
    as replaced.

    The pairs include short forms, keys with values, settings, Markdown, past events, negations and
    other languages. All are judged as if their vectors had the cosine COSINE.
    """
    pairs = [
        (set(row["expected"]), str(_judged(row["newer"], row["older"])))
        for row in rows("statement_pairs")
    ]
    hidden = [
        relation == Relation.REPLACES
        for expected, relation in pairs
        if Relation.REPLACES not in expected
    ]
    assert sum(relation in expected for expected, relation in pairs) / len(pairs) >= 0.76
    assert sum(hidden) / len(hidden) <= 0.02


def _judged(newer: str, older: str) -> Relation:
    return (
        update_model()
        .judge(Statement.from_text(newer), Statement.from_text(older), COSINE)
        .relation
    )


async def _stored_before(embedder: Embedder, old: str, new: str) -> Memory:
    """Store the fact `old`, then the fact `new` a day later; return the memory of `old` as it is
    then.
    """
    store = InMemoryStore(embedder.dimensions)
    scope = Scope("acme", "updates")
    ingestor = plain_ingestor(store, lambda: TOLD + timedelta(days=9), embedder)
    ids = []
    for days, text in enumerate((old, new)):
        fields = {"type": "semantic", "content": text, "created_at": TOLD + timedelta(days=days)}
        (outcome,) = await ingestor.write(scope, [DRAFT.validate_python(fields)])
        ids.append(outcome.id or "")
    return (await store.get(scope, ids))[ids[0]]
