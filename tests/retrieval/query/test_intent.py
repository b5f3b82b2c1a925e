"""The intents that the words of a query reveal: latest state, task, how-to, present value."""

from __future__ import annotations

from pathlib import Path

import pytest

from memtypes.encoders.onnx import OnnxEmbedder, OnnxSettings
from memtypes.encoders.setup.prepare import FINGERPRINT
from memtypes.ports.encoders import Embedder
from retrieval.query.intent import (
    Wish,
    asks_about_past,
    asks_for_former,
    asks_for_latest,
    asks_for_value,
    wish_of,
)
from tests.data.labelled import rows

FOR_TASKS = (Wish.TASKS, Wish.TASKS_ABOUT, Wish.CONTINUE)
"""Wishes whose contexts show open tasks."""


async def judged_wish(embedder: Embedder, query: str) -> Wish:
    """What the model takes `query` to ask for."""
    embedding = await embedder.embed_query(query)
    return wish_of(query, embedding.dense, embedder.fingerprint)


@pytest.mark.parametrize(
    ("query", "latest"),
    [
        ("What is my latest address?", True),
        ("Where does Ana work currently?", True),
        ("most recently changed setting", True),
        ("Which framework did we choose?", False),
        ("What did he know about it?", False),
    ],
)
def test_queries_for_the_latest_state_are_recognised(query: str, latest: bool) -> None:  # noqa: FBT001
    """A query asks for the latest state if it has a word such as "latest" or "currently"."""
    assert asks_for_latest(query) is latest


@pytest.mark.anyio
async def test_queries_for_tasks_and_instructions_are_recognised(onnx_directory: Path) -> None:
    """Queries for tasks, for instructions, and for an overview of one type are told from each
    other.

    "Did Tom do the task?" asks whether something was done, and a question such as "who is Ana?" for
    none of these.
    """
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    wishes = {
        Wish.TASKS: (
            "what is left to do?",
            "any reminders for Monday?",
        ),
        Wish.TASKS_ABOUT: (
            "is anything still open on the roof?",
            "do I still owe anybody an answer?",
            "what does Nora still have to do?",
            "was ist mit dem Auto noch zu erledigen?",
        ),
        Wish.CONTINUE: (
            "continue",
            "hello again. where were we?",
            "ok, next",
            "wo waren wir stehen geblieben?",
            "¿por dónde íbamos?",
        ),
        Wish.HOW_TO: (
            "how do I deploy the service?",
            "steps to roll back a migration",
            "how are orders cancelled?",
        ),
        Wish.DONE: (
            "did Tom do the task?",
            "is the passport renewed?",
            "haben wir den Dachdecker angerufen?",
        ),
        Wish.PROCEDURES: (
            "which procedures do you know?",
            "list all how-tos",
            "what runbooks exist?",
        ),
        Wish.FINISHED: (
            "what got done?",
            "which tasks are completed?",
            "was haben wir heute erledigt?",
        ),
        Wish.EVENTS: ("what happened?", "any news?", "quoi de neuf ?", "昨日何があった"),
        Wish.FACTS: (
            "what do you remember about me?",
            "list all facts you know",
            "what are our preferences?",
        ),
        Wish.OTHER: (
            "who is Ana?",
            "how old is the installer?",
            "which editor does Tom use?",
            "which NATS subject do we use?",
            "continue the sentence: once upon a time",
            "where were we on holiday last year?",
        ),
    }
    for wish, queries in wishes.items():
        for query in queries:
            assert await judged_wish(embedder, query) is wish, query
    await embedder.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize(("for_tasks", "min_share"), [(True, 0.85), (False, 0.92)])
async def test_questions_about_oneself_seldom_ask_for_tasks(
    onnx_directory: Path,
    for_tasks: bool,  # noqa: FBT001
    min_share: float,
) -> None:
    """Of questions such as "what car do I drive?", .92 are not taken for tasks; of those for tasks,
    .85 are found.
    """
    queries = [row["text"] for row in rows("wishes") if (row["wish"] in FOR_TASKS) is for_tasks]
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    wishes = [await judged_wish(embedder, query) for query in queries]
    assert sum((wish in FOR_TASKS) is for_tasks for wish in wishes) >= min_share * len(queries)
    await embedder.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize("texts", ["wishes_varied", "wishes_heldout"])
async def test_queries_for_anything_else_are_not_taken_for_tasks(
    onnx_directory: Path, texts: str
) -> None:
    """Of varied queries in six languages, .95 of those for something else are not taken for tasks.

    Such are questions about the past and about rules, lists of other things, prompts of coding
    agents and small talk. Of the queries for tasks, .75 are found.
    """
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    judged: dict[bool, list[bool]] = {True: [], False: []}
    for row in rows(texts):
        wish = await judged_wish(embedder, row["text"])
        # "go on" goes on with the last session, and is small talk in these files
        if wish is not Wish.CONTINUE or row["wish"] == Wish.TASKS:
            judged[row["wish"] == Wish.TASKS].append(wish in FOR_TASKS)
    assert sum(judged[False]) <= 0.05 * len(judged[False])
    assert sum(judged[True]) >= 0.75 * len(judged[True])
    await embedder.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("texts", "floors"),
    [
        (
            "wishes_overviews",
            {Wish.EVENTS: 0.95, Wish.FINISHED: 0.9, Wish.TASKS: 0.85, Wish.OTHER: 0.9},
        ),
        (
            "wishes_overviews_heldout",
            {Wish.EVENTS: 0.75, Wish.FINISHED: 0.75, Wish.TASKS: 0.7, Wish.OTHER: 0.85},
        ),
    ],
)
async def test_queries_for_events_and_finished_tasks_are_recognised(
    onnx_directory: Path, texts: str, floors: dict[Wish, float]
) -> None:
    """Queries for an overview of events, for finished tasks and for the next tasks are told apart
    in eight languages.

    Of those that ask for something else, such as "what happened to the blue van?", few are taken
    for any of these.
    """
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    judged: dict[Wish, list[bool]] = {wish: [] for wish in floors}
    asked = dict.fromkeys(FOR_TASKS, Wish.TASKS)
    listings = {Wish.EVENTS, Wish.FINISHED, Wish.TASKS}
    for row in rows(texts):
        wish = await judged_wish(embedder, row["text"])
        wish = asked.get(wish, wish)
        labelled = Wish(row["wish"])
        judged[labelled].append(wish is labelled if labelled in listings else wish not in listings)
    await embedder.aclose()
    for wish, floor in floors.items():
        assert sum(judged[wish]) >= floor * len(judged[wish]), wish


def test_without_a_vector_a_query_has_no_intent() -> None:
    """If the encoder is unavailable, a query has no vector, and the intents "task" and "how-to" are
    not recognised.
    """
    assert wish_of("what is left to do?", None, FINGERPRINT) is Wish.OTHER


@pytest.mark.anyio
async def test_vectors_of_another_encoder_have_no_intent(onnx_directory: Path) -> None:
    """Another encoder of 384 numbers must not be read by a model that was not trained on it."""
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    vector = (await embedder.embed_query("what is left to do?")).dense
    await embedder.aclose()
    assert wish_of("what is left to do?", vector, FINGERPRINT) is Wish.TASKS
    assert wish_of("what is left to do?", vector, "bge-small:0123456789abcdef:512") is Wish.OTHER


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("How many sources are in my library?", True),
        ("When is the review?", True),
        ("What is the deadline for the first draft?", False),
        ("What is the new deadline for the sprint?", True),
        ("What's my budget for sneakers?", True),
        ("How many days passed between the two trips?", False),
        ("Where did we go?", False),
        ("Why does the build fail?", False),
        ("Who maintains the front end?", True),
        ("On which port do clients connect?", True),
        ("Do I eat meat?", True),
        ("How do I get to work?", True),
        ("Have I ever been to Rome?", False),
        ("Wann ist der Termin beim Notar?", True),
        ("¿Dónde vive Lucía?", True),
        ("Was kostet der Saal im Jahr?", True),
        ("Who's looking after my shoulder?", True),
        ("What is left to do before the release?", True),
        ("In what order did we visit them?", False),
        ("Explain the release process", False),
    ],
)
def test_queries_for_a_present_value_are_recognised(query: str, value: bool) -> None:  # noqa: FBT001
    """A query such as "Do I eat meat?" asks for a present value. Queries about the past or without
    a value do not.
    """
    assert asks_for_value(query) is value


@pytest.mark.parametrize(
    ("query", "past"), [("Where did we go?", True), ("Do I eat meat?", False), ("the port", False)]
)
def test_questions_about_the_past_are_recognised(query: str, past: bool) -> None:  # noqa: FBT001
    assert asks_about_past(query) is past


@pytest.mark.parametrize(
    ("query", "former"),
    [
        ("What was the limit before?", True),
        ("Where were the sessions kept?", True),
        ("Which region did we use previously?", True),
        ("What's my old address?", True),
        ("How old is the installer?", False),
        ("When was the release?", False),
        ("What is the limit?", False),
    ],
)
def test_questions_for_an_earlier_value_are_recognised(query: str, former: bool) -> None:  # noqa: FBT001
    """Questions such as "What was the limit before?" ask for an earlier value and count as
    questions about the past.
    """
    assert asks_for_former(query) is former
    assert asks_about_past(query) or not former
