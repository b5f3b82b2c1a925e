"""The context that is written from ranked candidates: its budget, its parts and repeated texts."""

from __future__ import annotations

import json
import threading
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from memtypes.encoders.onnx import OnnxEmbedder, OnnxSettings
from memtypes.encoders.tiktoken import TiktokenTokenizer
from memtypes.llms.registry import RegistrySource
from memtypes.model.scope import Scope
from memtypes.model.semantic import SemanticDraft
from memtypes.model.times import rfc3339
from retrieval.answer import RetrieveAnswer
from retrieval.context.entries import Entries, EntryCounter
from retrieval.dependencies import RetrieverParts
from retrieval.query.request import RetrieveRequest
from retrieval.retriever import LONG_TEXT, Retriever
from tests.fakes import FakeEmbedder, FakeSparse, FakeTokenizer, WordEmbedder
from tests.fakes_ingestor import plain_ingestor
from tests.fakes_memories import InMemoryStore
from tests.fakes_receipts import FakeReceipts
from tests.retrieval.builders import NOW, SCOPE, World, filled
from tests.retrieval.receipts.shop import receipt_of

pytestmark = pytest.mark.anyio
MODEL_SCOPE = Scope("t", "n")


@pytest.fixture(scope="module")
async def cl100k() -> TiktokenTokenizer:
    """The real tokenizer of the default encoding, cl100k_base."""
    return await TiktokenTokenizer.open("cl100k_base")


@pytest.fixture(scope="module")
async def stored(cl100k: TiktokenTokenizer) -> InMemoryStore:
    """A store with memories of every type; some texts imitate the markup of a context."""
    return (await filled(World(tokenizer=cl100k))).store


@pytest.fixture
def world(cl100k: TiktokenTokenizer, stored: InMemoryStore) -> World:
    """A retriever over a copy of the store `stored`, with the real tokenizer cl100k_base."""
    return World(tokenizer=cl100k, store=deepcopy(stored))


def parts_of(answer: RetrieveAnswer) -> tuple[str, str]:
    """The two parts of a Markdown context: the block of working memory ("" if there is none) and
    the rest.
    """
    assert isinstance(answer.context, str)
    if not answer.context.startswith("<working_memory>"):
        return "", answer.context
    end = answer.context.index("</working_memory>\n") + len("</working_memory>\n")
    return answer.context[:end], answer.context[end:]


async def test_for_the_past_parts_have_a_fixed_order_and_events_are_oldest_first() -> None:
    """A context shows working memory, events, knowledge, tasks and procedures, in this order.

    Events are oldest first.
    """
    world = World()
    await world.add(
        "episodic", "the importer failed at noon", created_at="2026-02-20T12:00:00Z", speaker="Ana"
    )
    await world.add("episodic", "the importer was fixed", created_at="2026-02-19T12:00:00Z")
    await world.add("semantic", "the importer reads CSV")
    await world.add("procedural", "restart the importer", steps=["stop", "start"])
    await world.add("prospective", "test the importer", due_at="2026-03-02T09:00:00Z")
    await world.add("working", "debugging the importer")
    answer = await world.retrieve("what did the importer do?")
    assert answer.context == (
        "<working_memory>\n## Task at hand\n- debugging the importer\n</working_memory>\n"
        "<memories>\n"
        "## Events\n### 2026-02-19\n- the importer was fixed\n### 2026-02-20\n- Ana: the "
        "importer failed at noon\n"
        "## Knowledge\n- the importer reads CSV\n"
        "## Tasks\n- [pending] test the importer (due 2026-03-02 09:00Z)\n"
        "## Procedures\n- restart the importer (2026-03-01)\n  1. stop\n  2. start\n"
        "</memories>\n"
    )
    assert answer.metadata.outcome == "ok"
    assert answer.metadata.trimmed_count == 0
    assert {item.type for item in answer.items} == {
        "working",
        "episodic",
        "semantic",
        "prospective",
        "procedural",
    }


@pytest.mark.slow
@pytest.mark.parametrize("oversize", ["skip", "cut", "excerpt"])
async def test_a_context_never_exceeds_its_budgets(
    cl100k: TiktokenTokenizer, world: World, oversize: str
) -> None:
    """The tokens of the final text are within the budget, even if memories contain the tags of a
    context.
    """
    for budget in (0, 1, 7, 20, 50, 137, 500, 1000, 4000, 8000):
        answer = await world.retrieve(
            "importer file of the shop todo",
            budget=budget,
            working_budget=budget // 3,
            oversize=oversize,
        )
        working, long_term = parts_of(answer)
        assert cl100k.count(long_term) <= budget
        assert cl100k.count(working) <= budget // 3
        assert isinstance(answer.context, str)
        assert answer.metadata.total_tokens == cl100k.count(answer.context)
        assert answer.metadata.working_tokens == cl100k.count(working)
        assert answer.metadata.utilization == (cl100k.count(long_term) / budget if budget else 0.0)
        if 500 <= budget <= 4000:  # larger budgets exceed the memories
            assert answer.metadata.utilization >= 0.95
        assert long_term.count("</memories>") == (1 if long_term else 0)


@pytest.mark.parametrize(
    "caps", [{"episodic": 0}, {"semantic": 60, "episodic": 300}, {"procedural": 9_000}]
)
async def test_the_total_and_the_caps_of_types_are_never_exceeded(
    world: World, caps: dict[str, int]
) -> None:
    """A context has at most the total of the budget, and each memory type at most its cap. Headings
    are counted.
    """
    answer = await world.retrieve(
        "importer file", budget={"total": 1000, "per_type": caps}, include_working=False
    )
    assert answer.metadata.total_tokens <= 1000
    spent = {str(kind): tokens for kind, tokens in answer.metadata.per_type.items()}
    assert all(spent.get(kind, 0) <= cap for kind, cap in caps.items())


@pytest.mark.parametrize("budget", [0, 1, 2, 10, 60, 400, 2000])
async def test_a_json_context_is_json_within_its_budget(
    cl100k: TiktokenTokenizer, world: World, budget: int
) -> None:
    answer = await world.retrieve("importer", budget=budget, format="json", working_budget=budget)
    assert isinstance(answer.context, str)
    assert cl100k.count(answer.context) <= answer.metadata.total_tokens <= 2 * budget
    shown = json.loads(answer.context or "{}")
    ids = [one["id"] for block in shown.values() for part in block.values() for one in part]
    assert sorted(ids) == sorted(item.id for item in answer.items)
    if budget == 2000:
        assert set(shown) == {"working_memory", "memories"}


async def test_messages_have_the_role_of_the_user() -> None:
    world = World()
    await world.add("semantic", "the importer reads CSV")
    await world.add("working", "debugging the importer")
    answer = await world.retrieve("importer", format="messages")
    assert isinstance(answer.context, list)
    assert [message.role for message in answer.context] == ["user", "user"]
    assert "the importer reads CSV" in answer.context[1].content


async def test_the_outcome_says_why_a_context_is_empty() -> None:
    """An empty context has the outcome "empty" if there are no memories, and "nothing_fits" if none
    fits the budget.
    """
    world = World()
    assert (await world.retrieve("anything")).metadata.outcome == "empty"
    await world.add("semantic", "a fact of more than five words")
    nothing = await world.retrieve("fact", budget=3)
    assert (nothing.metadata.outcome, nothing.context, nothing.metadata.trimmed_count) == (
        "nothing_fits",
        "",
        1,
    )


async def test_working_items_of_the_current_todo_come_first() -> None:
    """Working items of the to-do that the request names come before items that match the query
    better.
    """
    world = World()
    await world.add("working", "compare importer and exporter", todo_id="other")
    await world.add("working", "notes on naming", todo_id="mine")
    answer = await world.retrieve(
        "compare importer and exporter", todo_id="mine", working_budget=22
    )
    assert [item.content for item in answer.items] == ["notes on naming"]


async def test_working_memory_can_be_left_out() -> None:
    """With `include_working: false`, the context has no item of working memory and spends no tokens
    on it.
    """
    world = World()
    await world.add("working", "debugging the importer")
    answer = await world.retrieve("importer", include_working=False)
    assert (answer.items, answer.metadata.working_tokens, answer.context) == ([], 0, "")


class WhereCounted(FakeTokenizer):
    """A tokenizer. on_loop: for its calls with long texts, whether they were made on the event
    loop's thread.
    """

    def __init__(self) -> None:
        self.on_loop: set[bool] = set()

    def count(self, text: str) -> int:
        """Number of tokens. For a long text, `on_loop` gets whether the call was made on the event
        loop's thread.
        """
        if len(text) >= LONG_TEXT // 2:
            self.on_loop.add(threading.current_thread() is threading.main_thread())
        return super().count(text)


@pytest.mark.parametrize(("length", "on_loop"), [(LONG_TEXT, True), (LONG_TEXT + 10, False)])
async def test_long_texts_are_counted_in_a_thread(length: int, on_loop: bool) -> None:  # noqa: FBT001
    """The tokens of a long text are counted in a worker thread, because that may take seconds.

    Counting does not block the event loop.
    """
    tokenizer = WhereCounted()
    world = World(tokenizer=tokenizer)
    await world.add("semantic", "page " * (length // 5))
    tokenizer.on_loop.clear()
    answer = await world.retrieve("page", budget=1_000_000, format="json")
    assert answer.items
    assert tokenizer.on_loop == {on_loop}


async def facts_for(model: str | None, budget: int) -> RetrieveAnswer:
    """The answer of a retrieval from forty facts. model: name of the LLM that will read the
    context.
    """
    store = InMemoryStore()
    embedder = FakeEmbedder()
    sparse = FakeSparse()
    tokenizer = FakeTokenizer()
    clock = lambda: datetime(2026, 3, 1, tzinfo=UTC)  # noqa: E731 - a fixed clock
    count_tokens = EntryCounter(tokenizer, Entries())
    ingestor = plain_ingestor(store, clock, embedder, sparse=sparse, count_tokens=count_tokens)
    facts = [
        SemanticDraft(type="semantic", content=f"the tide table of harbour {number}")
        for number in range(40)
    ]
    await ingestor.write(MODEL_SCOPE, facts)
    parts = RetrieverParts(
        store, embedder, sparse, {"cl100k_base": tokenizer}, clock, models=RegistrySource()
    )
    request = RetrieveRequest(query="tide table", namespace="n", budget=budget, model=model)
    return await Retriever(parts).retrieve(MODEL_SCOPE, request)


async def test_the_margin_of_an_approximate_tokenizer_is_kept_free() -> None:
    """If the model's tokenizer is only approximated, a share of the budget (the margin) stays free.

    The answer's metadata has the requested budget and the margin.
    """
    answer = await facts_for("claude-sonnet-4-5", 140)
    metadata = answer.metadata
    assert (metadata.model, metadata.tokenizer, metadata.margin) == (
        "claude-sonnet-4-5",
        "cl100k_base",
        0.4,
    )
    assert metadata.budget == 140
    assert 0 < metadata.total_tokens * 1.4 <= 140
    assert metadata.utilization == pytest.approx(metadata.total_tokens / 140)
    plain = await facts_for(None, 140)
    assert (plain.metadata.model, plain.metadata.margin) == (None, 0.0)
    assert plain.metadata.total_tokens > metadata.total_tokens


async def test_an_empty_budget_has_a_utilization_of_0() -> None:
    """A retrieval with a budget of 0 tokens is answered with utilization 0, not an error."""
    assert (await facts_for("claude-sonnet-4-5", 0)).metadata.utilization == 0


RULE = "Never migrate by hand."
MESSAGE = f"The night shift lost a table. {RULE} Ask Ana-Lena first."


def captured(seq: int, turn: int = 1) -> dict[str, Any]:
    """Fields of a message captured from a session, or with `seq` 0 of a sentence of it."""
    return {"seq": seq, "source": {"thread_id": "s1", "turns": [turn]}}


async def test_a_sentence_of_a_shown_message_is_left_out() -> None:
    """A fact that is a sentence of a message which ranks higher is left out, and the receipt lists
    it as a duplicate.

    The same text from another message, or without a message, is shown.
    """
    world = World(receipt_store=FakeReceipts())
    message = await world.add("episodic", MESSAGE, importance=10, **captured(7))
    fact = await world.add("semantic", RULE, importance=1, **captured(0))
    others = {
        await world.add("procedural", RULE, importance=1, **captured(0, turn=2)),
        await world.add("prospective", RULE, importance=1),
    }
    answer = await world.retrieve("migrate by hand", weights={"importance": 1})
    assert {item.id for item in answer.items} == {message, *others}
    assert answer.metadata.duplicates == [fact]
    receipt = await receipt_of(world, answer)
    (repeated,) = (row for row in receipt["candidates"] if row["outcome"] == "duplicate_of")
    assert (repeated["id"], repeated["of"]) == (fact, message)
    assert (await world.receipts.verify(SCOPE.tenant, str(answer.receipt_id))).valid


async def test_a_sentence_of_a_task_that_is_only_counted_is_shown(onnx_directory: Path) -> None:
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    store = InMemoryStore(embedder.dimensions)
    world = World(embedder=embedder, writer=embedder, store=store, receipt_store=FakeReceipts())
    old = {"created_at": rfc3339(NOW - timedelta(days=60))}
    missed = {**old, "due_at": rfc3339(NOW - timedelta(days=40))}
    await world.add("prospective", f"Migrate on Friday. {RULE}", **missed, **captured(7))
    fact = await world.add("semantic", RULE, **old, **captured(0))
    task = await world.add("prospective", "Water the plants")
    answer = await world.retrieve("what is left to do?", floor=0)
    await embedder.aclose()
    assert {item.id for item in answer.items} == {task, fact}
    assert "- 1 older task overdue\n" in str(answer.context)
    assert (await world.receipts.verify(SCOPE.tenant, str(answer.receipt_id))).valid


@pytest.mark.parametrize("query", ["what do I have to do?", "which tasks are open?"])
async def test_among_many_tasks_what_is_due_this_week_comes_first(
    onnx_directory: Path, query: str
) -> None:
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    store = InMemoryStore(embedder.dimensions)
    world = World(embedder=embedder, writer=embedder, store=store)
    for number in range(10):
        due_at = rfc3339(NOW - timedelta(days=10 + number))
        await world.add("prospective", f"Pay bill {number} of the builder", due_at=due_at)
        await world.add("prospective", f"Sort the photos of year {number}")
        due_at = rfc3339(NOW + timedelta(days=60 + number))
        await world.add("prospective", f"Renew contract {number}", due_at=due_at)
    old = rfc3339(NOW - timedelta(days=90))
    for days in (4, 2):
        due_at = rfc3339(NOW + timedelta(days=days))
        await world.add("prospective", f"Form {days} for the tax", created_at=old, due_at=due_at)
    answer = await world.retrieve(query, budget=150)
    await embedder.aclose()
    shown = [item.content for item in answer.items]
    assert shown[:2] == ["Form 2 for the tax", "Form 4 for the tax"]


async def test_a_message_takes_the_place_of_its_sentences() -> None:
    """If the sentences of a message rank higher, the message is shown instead of them, in a budget
    that it fits.
    """
    world = World(receipt_store=FakeReceipts())
    message = await world.add("episodic", MESSAGE, importance=1, **captured(7))
    facts = [
        await world.add(kind, RULE, importance=10, **captured(0))
        for kind in ("semantic", "procedural")
    ]
    asked: dict[str, Any] = {"query": "migrate by hand", "weights": {"importance": 1}, "floor": 0}
    answer = await world.retrieve(**asked, budget=300)
    assert [item.id for item in answer.items] == [message]
    assert set(answer.metadata.duplicates) == set(facts)
    assert (await world.receipts.verify(SCOPE.tenant, str(answer.receipt_id))).valid
    small = await world.retrieve(**asked, budget=40)
    assert {item.id for item in small.items} == set(facts)
    assert small.metadata.duplicates == []
    assert (await world.receipts.verify(SCOPE.tenant, str(small.receipt_id))).valid


async def test_a_sentence_belongs_to_the_piece_of_a_long_message_that_has_its_words() -> None:
    """A long message is stored in pieces of the same turn. A sentence that none of them surely
    contains is shown.
    """
    world = World()
    pieces = [
        await world.add("episodic", text, importance=10, **captured(seq))
        for seq, text in ((7, MESSAGE), (8, "Lunch is at noon, as it always was. Tea is at four."))
    ]
    fact = await world.add("semantic", "Tea is at four.", importance=1, **captured(0))
    unclear = await world.add("semantic", "Coffee is at ten.", importance=1, **captured(0))
    answer = await world.retrieve("when is tea?", weights={"importance": 1}, floor=0)
    assert {item.id for item in answer.items} == {*pieces, unclear}
    assert answer.metadata.duplicates == [fact]


@pytest.mark.parametrize(
    ("contested", "shown"),
    [
        ("message", ["message", "other"]),
        ("fact", ["fact", "message", "other"]),
        ("", ["message", "other"]),
    ],
)
async def test_a_contested_statement_is_shown_beside_its_message(
    contested: str, shown: list[str]
) -> None:
    """A sentence of a shown message is left out, unless it is contested and the message is not."""
    world = World()
    ids = {"other": await world.add("semantic", "Ana is away.")}
    links = [{"to": ids["other"], "type": "contradicts"}]
    for name, kind, text, seq in (
        ("message", "episodic", "Tea is at four. Ask Ana.", 7),
        ("fact", "semantic", "Tea is at four.", 0),
    ):
        own_links = links if name == contested else []
        ids[name] = await world.add(kind, text, links=own_links, **captured(seq))
    answer = await world.retrieve("when is tea?", floor=0)
    names = {memory_id: name for name, memory_id in ids.items()}
    assert sorted(names[item.id] for item in answer.items) == shown


class CountingStore(InMemoryStore):
    """A store that lists the calls that reach its engine."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    async def call(self, function: Any, *arguments: Any, **named: Any) -> Any:
        """Run `function` on the engine, and list its name."""
        self.calls.append(function.__name__)
        return await super().call(function, *arguments, **named)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"format": "json"},
        {"query": "what was bought two weeks before the move to Lisbon?"},
        {"query": "what was the limit before?"},
        {"budget": 40, "oversize": "excerpt"},
    ],
    ids=str,
)
async def test_a_retrieval_takes_two_calls_of_the_engine(fields: dict[str, Any]) -> None:
    """Links, an event that gives the time, and ended memories for the receipt are read by the first
    call, the texts by the second.
    """
    store = CountingStore()
    world = World(
        store=store,
        embedder=WordEmbedder(),
        writer=WordEmbedder(),
        receipt_store=FakeReceipts(),
        depth=2,
    )
    far = await world.add("procedural", "call the tax office first")
    link = {"to": far, "type": "extends"}
    for number in range(8):
        text = f"the move to Lisbon, step {number}: the limit is {number}"
        await world.add("episodic", text, links=[link])
    store.calls.clear()
    asked: dict[str, Any] = {"query": "the move to Lisbon", "floor": 0}
    answer = await world.retrieve(**asked | fields)
    assert answer.items
    assert store.calls == ["find_candidates", "get_fields"]
