"""Repetitions of a statement, word for word or reworded with the same meaning."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.identity.duplicates import same_statement
from ingest.writing.outcome import WriteOutcome, WriteStatus
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.types import DRAFT
from memtypes.search.vectors import Embedding, InContext
from tests.builders import NOW, make_memory
from tests.fakes import FakeEmbedder
from tests.fakes_ingestor import plain_ingestor
from tests.fakes_memories import InMemoryStore

pytestmark = pytest.mark.anyio

SCOPE = Scope("acme", "shop")


def fact(content: str) -> Memory:
    """A semantic memory with this content."""
    return make_memory(MemoryType.SEMANTIC, content)


@pytest.mark.parametrize(
    ("text", "other", "same"),
    [
        ("The tea is green.", "THE TEA  IS\nGREEN.", True),
        ("The tea is green.", "The tea is not green.", False),
        ("Due on 5 May 2024", "due on 6 may 2024", False),
        ("Ann met Bob", "Ann met Rob", False),
        ("Unpack with tar -C dir", "Unpack with tar -c dir", False),
        ("Unpack with tar -C dir", "UNPACK WITH TAR -C DIR", True),
        ("Unpack with tar -c dir", "UNPACK WITH TAR -C DIR", True),
    ],
)
def test_texts_that_differ_only_in_case_and_spacing_make_one_statement(
    text: str,
    other: str,
    same: bool,  # noqa: FBT001
) -> None:
    assert same_statement(fact(text), fact(other)) is same
    assert same_statement(fact(other), fact(text)) is same


def test_another_speaker_is_another_statement() -> None:
    """The same words from two people are two events."""
    ann, bob = (make_memory(MemoryType.EPISODIC, "Yes.", speaker=who) for who in ("Ann", "Bob"))
    assert not same_statement(ann, bob)


@given(st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), min_size=1, max_size=8), st.data())
def test_any_case_and_spacing_gives_the_same_statement(
    words: list[str], data: st.DataObject
) -> None:
    written = [data.draw(st.sampled_from([word, word.upper(), word.title()])) for word in words]
    gaps = [data.draw(st.sampled_from([" ", "  ", "\n", "\t "])) for _ in words]
    other = "".join(part for pair in zip(written, gaps, strict=True) for part in pair)
    assert same_statement(fact(" ".join(words)), fact(other))


@pytest.mark.parametrize(
    ("text", "other", "same"),
    [
        ("I'm allergic to nuts.", "I am allergic to nuts", True),
        ("The shop doesn't open", "the shop does not open!", True),
        ("\u201cDune\u201d is the best, always", "Dune is best always", True),
        ("Ann met Bob", "Bob met Ann", False),
        ("Kim lived in Paris", "Kim lives in Paris", False),
        ("The price is $5", "The price is 5", False),
        ("The price is 1.5", "The price is 15", False),
        ("It is -5 degrees", "It is 5 degrees", False),
        ("Is the tea green?", "The tea is green", False),
        ("The tea is green?", "The tea is green", False),
        ("No, Ann comes", "No Ann comes", False),
        ("Run a/b", "Run a b", False),
        ("Plan A is ready", "Plan is ready", False),
    ],
)
def test_texts_with_other_words_or_another_order_are_other_statements(
    text: str,
    other: str,
    same: bool,  # noqa: FBT001
) -> None:
    """Another word, order, sign or amount makes another statement; contractions and articles do
    not.
    """
    assert same_statement(fact(text), fact(other)) is same
    assert same_statement(fact(other), fact(text)) is same


def test_procedures_are_compared_by_case_and_spacing_only() -> None:
    """Procedures that differ in punctuation are not the same, as punctuation may matter in
    instructions.
    """
    first, second = (
        make_memory(MemoryType.PROCEDURAL, text) for text in ("Press the key.", "Press the key")
    )
    assert not same_statement(first, second)


async def test_the_reason_says_how_a_rewording_differs() -> None:
    """If a text differs from a stored one by a contraction, the reason for the merge says so."""
    (_, again) = await write(InMemoryStore(), "I'm here.", "I am here")
    assert (
        again.reason
        == f"same words but for punctuation, articles or contractions as {again.merged_into}"
    )


class ContextEmbedder(FakeEmbedder):
    """An encoder that embeds the context in place of the text, if there is a context."""

    async def embed_in_context(self, texts: Sequence[InContext]) -> list[Embedding]:
        """The vector of each text's context, or of the text itself if it has no context."""
        return await self.embed_documents([text.before or text.text for text in texts])


async def write(
    store: InMemoryStore, *contents: str, kind: str = "semantic", **fields: object
) -> list[WriteOutcome]:
    """Write the given contents in one call, and return their outcomes."""
    ingestor = plain_ingestor(store, lambda: NOW, ContextEmbedder())
    drafts = [
        DRAFT.validate_python({"type": kind, "content": content} | fields) for content in contents
    ]
    return await ingestor.write(SCOPE, drafts)


async def test_a_rewording_is_merged_into_the_stored_memory() -> None:
    """If a stored text is written with other case and spacing, its memory keeps its text and gains
    evidence.

    The outcome has the stored memory's id.
    """
    store = InMemoryStore()
    (first,) = await write(store, "The tea is green.")
    (again,) = await write(store, "the TEA is  green.")
    assert (again.status, again.merged_into, again.id) == (WriteStatus.MERGED, first.id, first.id)
    assert again.reason == f"same words in other case or spacing as {first.id}"
    assert again.memory is not None
    assert (again.memory.content, again.memory.evidence_count) == ("The tea is green.", 2)
    assert sum(stats.count for stats in (await store.stats(SCOPE)).values()) == 1


async def test_a_repeated_turn_is_merged_whatever_its_context() -> None:
    """A turn's vector depends on the turns before it, so a repeated turn is found by its words, and
    merged.
    """
    store = InMemoryStore()
    turns = (
        "Is it ready?",
        "Not yet.",
        "The tea is green.",
        "So be it.",
        "the TEA  is green.",
        "the tea is black.",
    )
    *_, last, again, other = await write(store, *turns, kind="episodic", session_id="s")
    assert (last.status, other.status) == (WriteStatus.STORED, WriteStatus.STORED)
    assert again.status is WriteStatus.MERGED
    (elsewhere,) = await write(store, "The tea is GREEN.", kind="episodic", session_id="s")
    assert elsewhere.merged_into == again.merged_into


async def test_rewordings_within_a_batch_are_merged() -> None:
    """Texts of a batch that differ only in case and spacing are merged into the first. Other texts
    are stored.
    """
    store = InMemoryStore()
    outcomes = await write(store, "Tea at 4", "TEA AT 4", "Tea at 5", "tea  at 4")
    assert [outcome.status for outcome in outcomes] == [
        WriteStatus.STORED,
        WriteStatus.MERGED,
        WriteStatus.STORED,
        WriteStatus.MERGED,
    ]
    assert {outcomes[1].merged_into, outcomes[3].merged_into} == {outcomes[0].id}
    stored = await store.get(SCOPE, [str(outcomes[0].id)])
    assert [memory.evidence_count for memory in stored.values()] == [3]


async def test_equal_memories_of_two_private_sessions_are_not_merged() -> None:
    store = InMemoryStore()
    for session, content in (("a", "Call Ann"), ("b", "call ann")):
        (outcome,) = await write(
            store, content, kind="prospective", session_id=session, visibility="session"
        )
        assert outcome.status is WriteStatus.STORED


@pytest.mark.parametrize("session", [{}, {"session_id": "s"}])
async def test_an_event_that_is_sent_again_on_another_day_is_merged(
    session: dict[str, str],
) -> None:
    """An event that is sent again on another day is merged if its source has the same file and
    line.

    If the source has another line, an event with the same text is stored as a new memory.
    """
    times = [NOW]
    store = InMemoryStore()
    ingestor = plain_ingestor(store, lambda: times[-1])

    async def send(*lines: int) -> list[WriteOutcome]:
        item = {"type": "episodic", "content": "The tea is green.", **session}
        drafts = [
            DRAFT.validate_python({**item, "source": {"file": "a.md", "line": line}})
            for line in lines
        ]
        return await ingestor.write(SCOPE, drafts)

    first, second = await send(1, 2)
    times.append(NOW + timedelta(days=1))
    again, also, new, repeated = await send(1, 2, 3, 3)
    assert [outcome.id for outcome in (second, again, also)] == [first.id] * 3
    assert (again.reason, new.status) == ("already stored from the same place", WriteStatus.STORED)
    assert repeated.merged_into == new.id
