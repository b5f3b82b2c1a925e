"""The pre-filter, which rejects trivial messages of conversations that are recorded as they
happen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import date, timedelta

import pytest

from ingest.screening.judge import Judge, Judgement, MessagePosition, ModelInput
from ingest.screening.prefilter import (
    DUPLICATE,
    MAX_SCOPES,
    NO_PART,
    Prefilter,
    RecentTexts,
    stated_by,
)
from ingest.screening.submission import (
    CapturedMessage,
    Rejection,
    ReviewMode,
    Submission,
    UntypedDraft,
)
from ingest.screening.text_features import Conversation
from memtypes.model.memory import Source
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.reader import Kinds, Reader, ReadStatement
from tests.fakes import FakeEmbedder
from tests.fakes_reader import LASTING, FakeReader
from tests.ingest.doubles import NOW, SCOPE, draft

pytestmark = pytest.mark.anyio

TODAY = NOW.date()
HERE = ("s1", (0,))
FACT = "The staging database is read-only on Sundays, so exports run on Mondays."


@pytest.fixture
def prefilter() -> Prefilter:
    """A pre-filter with the shipped models and a fake embedder that gives no token states."""
    return Prefilter(Judge.shipped(), FakeEmbedder(), lambda: NOW)


def captured(text: str, turn: int = 0, conversation: Conversation | None = None) -> Submission:
    """A submission of a message that was captured from a user in session s1. turn: the message's
    number there.
    """
    source = Source(thread_id="s1", turns=[turn])
    untyped = UntypedDraft(content=text, source=source, created_at=NOW)
    return Submission(
        untyped, ReviewMode.AUTO, CapturedMessage("user", conversation or Conversation())
    )


@pytest.mark.parametrize(
    "text", ["ok thanks", "haha", "lol", "...", "one sec", "danke dir", "merci beaucoup"]
)
async def test_trivial_messages_are_rejected_with_a_reason(prefilter: Prefilter, text: str) -> None:
    """Courtesies and interjections in several languages are rejected with a reason."""
    verdict = await prefilter.examine(SCOPE, captured(text))
    assert isinstance(verdict, Rejection)
    assert verdict.reason.startswith("trivial: nothing in it to keep")


async def test_a_message_worth_keeping_gets_its_type_and_judgement(prefilter: Prefilter) -> None:
    verdict = await prefilter.examine(SCOPE, captured(FACT))
    assert isinstance(verdict, Submission)
    assert verdict.draft.type == "semantic"
    # How sure the type is says nothing about how sure the fact is
    assert "confidence" not in verdict.draft.model_fields_set
    assert verdict.judgement is not None
    assert verdict.classified is not None
    assert verdict.classified.embedding is not None


@pytest.mark.parametrize("review", [ReviewMode.GIVEN, ReviewMode.SKIP])
async def test_explicit_writes_without_review_pass_unchanged(
    prefilter: Prefilter, review: ReviewMode
) -> None:
    for explicit in (draft("ok"), UntypedDraft(content="ok")):
        submission = Submission(explicit, review)
        assert await prefilter.examine(SCOPE, submission) is submission


async def test_a_trivial_text_is_rejected_before_its_review(prefilter: Prefilter) -> None:
    rejection = await prefilter.examine(SCOPE, Submission(draft("ok"), ReviewMode.AUTO))
    assert isinstance(rejection, Rejection)
    assert rejection.reviewed is not None
    assert (rejection.reviewed.decision, rejection.reviewed.tier) == ("reject", "prefilter")
    reviewable = await prefilter.examine(SCOPE, Submission(draft(FACT), ReviewMode.AUTO))
    assert isinstance(reviewable, Submission)
    assert reviewable.judgement is not None


async def test_skipped_review_keeps_trivial_messages(prefilter: Prefilter) -> None:
    """With review skipped, as in imports, every message is kept and gets a type."""
    verdict = await prefilter.examine(SCOPE, replace(captured("ok thanks"), review=ReviewMode.SKIP))
    assert isinstance(verdict, Submission)
    assert verdict.draft.type is not None


async def test_a_duplicate_on_the_same_day_is_rejected(prefilter: Prefilter) -> None:
    """A captured message that repeats the text of another one of the same day and session is
    rejected.

    The same message sent again, or the text on another day, in another session or in another
    namespace, is not rejected.
    """
    assert isinstance(await prefilter.examine(SCOPE, captured(FACT)), Submission)
    repeated = await prefilter.examine(SCOPE, captured(f" {FACT} ", turn=5))
    assert isinstance(repeated, Rejection)
    assert repeated.reason == DUPLICATE
    assert isinstance(await prefilter.examine(SCOPE, captured(FACT)), Submission)
    later = captured(FACT, turn=9)
    tomorrow = later.draft.model_copy(update={"created_at": NOW + timedelta(days=1)})
    assert isinstance(await prefilter.examine(SCOPE, replace(later, draft=tomorrow)), Submission)
    assert isinstance(
        await prefilter.examine(Scope("acme", "other"), captured(FACT, turn=7)), Submission
    )
    other_session = later.draft.model_copy(
        update={"source": Source(thread_id="s2", turns=[1]), "created_at": NOW}
    )
    assert isinstance(
        await prefilter.examine(SCOPE, replace(later, draft=other_session)), Submission
    )


def test_only_the_last_hundred_texts_of_a_namespace_are_remembered() -> None:
    recent = RecentTexts()
    other_place = ("s1", (1,))
    for index in range(101):
        recent.add(SCOPE, f"text {index}", TODAY, HERE)
    assert not recent.holds(SCOPE, "text 0", TODAY, other_place)
    assert recent.holds(SCOPE, "text 1", TODAY, other_place)
    assert not recent.holds(SCOPE, "text 1", date(2001, 1, 1), other_place)
    for index in range(MAX_SCOPES):
        recent.add(Scope("acme", f"n{index}"), "text", TODAY, HERE)
    assert not recent.holds(SCOPE, "text 100", TODAY, other_place)


class JudgeByWords(Judge):
    """Judges a text by the names of memory types in it, and finds "hm" not worth keeping."""

    def stated(
        self,
        model_input: ModelInput,
        role: str = "user",  # noqa: ARG002
    ) -> dict[MemoryType, float]:
        """All types that the text names are as likely; an event is what names none."""
        named = [kind for kind in MemoryType if kind in model_input.text] or [MemoryType.EPISODIC]
        return {kind: (kind in named) / len(named) for kind in MemoryType}

    def judged(
        self,
        model_input: ModelInput,
        position: MessagePosition | None = None,  # noqa: ARG002
    ) -> Judgement:
        """Worth keeping, unless the text says "hm"."""
        return Judgement(0.0 if "hm" in model_input.text else 1.0, 5.0)


async def types_stored(
    text: str, sentences: tuple[str, ...] = (), reader: Reader | None = None
) -> list[str | None]:
    """The types of a message, and of its parts: the whole text, and each of its sentences. None for
    what is not stored.
    """
    shipped = Judge.shipped()
    judge = JudgeByWords(**{field.name: getattr(shipped, field.name) for field in fields(shipped)})
    prefilter = Prefilter(judge, FakeEmbedder(), lambda: NOW, reader=reader)
    said = CapturedMessage("user", Conversation(), sentences=sentences)
    message = replace(captured(text), said=said)
    verdicts = [await prefilter.examine(SCOPE, message)]
    for content in (text, *sentences):
        part = message.draft.model_copy(update={"content": content})
        verdict = await prefilter.examine(
            SCOPE, replace(message, draft=part, said=replace(said, part=True))
        )
        assert isinstance(verdict, Submission) or verdict.reason == NO_PART
        verdicts.append(verdict)
    return [verdict.draft.type if isinstance(verdict, Submission) else None for verdict in verdicts]


async def test_a_message_with_a_fact_and_a_task_is_an_event_with_two_statements() -> None:
    stored = await types_stored(
        "A semantic sentence. A prospective sentence.",
        ("A semantic sentence.", "A prospective sentence."),
    )
    assert stored == ["episodic", None, "semantic", "prospective"]


async def test_a_message_that_states_one_thing_is_stored_once() -> None:
    stored = await types_stored(
        "A semantic sentence. Another one.", ("A semantic sentence.", "Another one.")
    )
    assert stored == ["semantic", None, None, None]


async def test_a_message_that_only_tells_what_happened_is_an_event() -> None:
    stored = await types_stored("We met. It rained.", ("We met.", "It rained."))
    assert stored == ["episodic", None, None, None]


async def test_a_change_told_as_an_event_is_an_event_and_a_fact() -> None:
    assert await types_stored("An episodic and semantic text.") == ["episodic", "semantic"]


async def test_the_reason_of_a_question_is_kept_without_the_question() -> None:
    stored = await types_stored(
        "hm, since a semantic reason, can I?", ("a semantic reason", "hm, can I?")
    )
    assert stored == [None, None, "semantic", None]


def kinds(**shares: float) -> Mapping[MemoryType, float]:
    """The probability of each type; 0 for those that are not named."""
    return {kind: shares.get(kind, 0.0) for kind in MemoryType}


@pytest.mark.parametrize(
    ("shares", "stated"),
    [
        ({"episodic": 0.6, "semantic": 0.4}, "semantic"),
        ({"episodic": 0.8, "semantic": 0.2}, "episodic"),
        ({"prospective": 0.5, "semantic": 0.4}, "prospective"),
    ],
)
def test_a_text_states_the_likeliest_lasting_type(shares: dict[str, float], stated: str) -> None:
    assert stated_by(kinds(**shares)) == stated


def reads_a_task() -> FakeReader:
    """A reader to which every text states a task."""
    return FakeReader(
        kinds=lambda _: {kind: float(kind is MemoryType.PROSPECTIVE) for kind in LASTING}
    )


async def test_a_reader_sees_a_task_where_the_judge_sees_an_event() -> None:
    text = "We met Ada and she said that the tent is mine to fetch."
    assert await types_stored(text) == ["episodic", None]
    assert await types_stored(text, reader=reads_a_task()) == ["prospective", None]


async def test_a_reader_is_not_trusted_with_other_languages() -> None:
    text = "Wir haben Ada getroffen und sie sagte, dass ich das Zelt holen soll."
    assert await types_stored(text, reader=reads_a_task()) == ["episodic", None]


async def test_without_its_reader_the_prefilter_judges_by_itself() -> None:
    reader = reads_a_task()
    await reader.aclose()
    text = "We met Ada and she said that the tent is mine to fetch."
    assert await types_stored(text, reader=reader) == ["episodic", None]


async def test_the_reader_is_told_who_speaks_and_what_was_said_before() -> None:
    read: list[ReadStatement] = []

    def kinds(statement: ReadStatement) -> Kinds:
        read.append(statement)
        return dict.fromkeys(LASTING, 0.0)

    prefilter = Prefilter(
        Judge.shipped(), FakeEmbedder(), lambda: NOW, reader=FakeReader(kinds=kinds)
    )
    said = CapturedMessage("assistant", Conversation(), previous="Who fetches the tent?")
    await prefilter.examine(SCOPE, replace(captured("I will fetch it on Monday."), said=said))
    assert [(each.speaker, each.before) for each in read] == [("agent", "Who fetches the tent?")]
