"""Automatic decisions about memories (such as merges or replacements): listed with reasons, and
undone by callers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import numpy as np
import pytest

from api.wiring.container import Services
from memtypes.encoders.onnx import OnnxEmbedder, OnnxSettings
from memtypes.model.errors import Unavailable
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import CandidateSearch
from memtypes.search.vectors import Embedding
from retrieval.context.entries import Entries, EntryFields
from tests.api.conftest import NOW, connect, problem
from tests.api.fake_services import fake_services
from tests.fakes import FakeEmbedder, FakeSparse, FakeTokenizer
from tests.fakes_memories import InMemoryStore

pytestmark = pytest.mark.anyio

SPACE = {"namespace": "n"}
SCOPE = Scope("default", "n")


class Clock:
    """A clock whose time changes only when a test sets `now`."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> Any:
        """The time to which the test set the clock."""
        return self.now


class HookedEmbedder(FakeEmbedder):
    """A fake embedder that awaits `hook` before its next embedding of documents, and then forgets
    the hook.
    """

    hook: Callable[[], Awaitable[Any]] | None = None

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """Await the hook if one is set, and return the embeddings of the texts."""
        hook = self.hook
        self.hook = None
        if hook is not None:
            await hook()
        return await super().embed_documents(texts)


async def write(client: httpx.AsyncClient, content: str, **fields: Any) -> str:
    """Write a memory and return its id."""
    answer = await client.post(
        "/v1/memories", json={**SPACE, "type": "semantic", "content": content, **fields}
    )
    assert answer.status_code in (200, 201), answer.text
    memory_id: str = answer.json()["id"]
    return memory_id


async def run(client: httpx.AsyncClient, job: str, **options: Any) -> dict[str, Any]:
    """Run an upkeep job and return its report."""
    answer = await client.post(f"/v1/admin/jobs/{job}", json={**SPACE, "dry_run": False, **options})
    report: dict[str, Any] = answer.json()
    return report


async def decisions(client: httpx.AsyncClient, **query: str) -> dict[str, dict[str, Any]]:
    """List the automatic decisions, and return each by the id of the memory that it is about."""
    answer = await client.get("/v1/decisions", params={**SPACE, **query})
    assert answer.status_code == 200, answer.text
    return {decision["id"]: decision for decision in answer.json()["decisions"]}


async def undo(client: httpx.AsyncClient, memory_id: str) -> list[str]:
    """Undo the latest decision about a memory, and return the ids of the memories that the undo
    made current.
    """
    answer = await client.post(f"/v1/memories/{memory_id}/undo", params=SPACE)
    assert answer.status_code == 200, answer.text
    restored: list[str] = answer.json()["restored"]
    return restored


async def read(client: httpx.AsyncClient, memory_id: str) -> dict[str, Any]:
    """The memory with this id."""
    memory: dict[str, Any] = (await client.get(f"/v1/memories/{memory_id}", params=SPACE)).json()
    return memory


async def patch(client: httpx.AsyncClient, memory_id: str, **changes: Any) -> dict[str, Any]:
    """Change fields of a memory and return the changed memory."""
    answer = await client.patch(f"/v1/memories/{memory_id}", params=SPACE, json=changes)
    assert answer.status_code == 200, answer.text
    memory: dict[str, Any] = answer.json()
    return memory


async def limits(client: httpx.AsyncClient, *values: int) -> list[str]:
    """Write facts with these rate limits, dated a month apart, and return their ids. Each replaces
    the one before.
    """
    return [
        await write(
            client,
            f"The limit is {value} requests per minute.",
            created_at=f"2026-0{month}-01T00:00:00Z",
        )
        for month, value in enumerate(values, 1)
    ]


async def states(client: httpx.AsyncClient, *ids: str) -> list[str]:
    """The state of each memory (current, replaced or contested), in the order of the ids."""
    return [(await read(client, memory_id))["state"] for memory_id in ids]


async def contents(client: httpx.AsyncClient) -> set[str]:
    """The texts of all current memories."""
    hits = (await client.post("/v1/search", json={**SPACE, "query": "tea", "top_k": 50})).json()[
        "hits"
    ]
    return {hit["memory"]["content"] for hit in hits}


async def test_a_procedure_is_counted_and_embedded_with_the_steps_that_compaction_gives_it(
    services: Services,
) -> None:
    """After compaction gave a procedure the steps of a repetition, its token count and its vectors
    include them.
    """
    async with connect(services) as client:
        body = {
            "namespace": "n",
            "type": "procedural",
            "content": "Drain the boiler",
            "importance": 9,
        }
        best = (await client.post("/v1/memories", json=body)).json()["id"]
        body = {
            **body,
            "content": "Drain the old boiler",
            "importance": 5,
            "steps": ["Drain the boiler twice"],
        }
        repeated = (await client.post("/v1/memories", json=body)).json()["id"]
        await services.store.patch(SCOPE, {repeated: {"content": "drain the Boiler"}})
        assert repeated in (await run(client, "compact", similarity=0.5))["reasons"]
        memory = (await services.store.get(SCOPE, [best]))[best]
        entry = Entries().markdown(EntryFields.from_memory(memory))
        assert "twice" in entry
        assert memory.tokens.line == FakeTokenizer().count(entry)
        search = CandidateSearch(
            {memory.type: None}, np.ones(16, np.float32), FakeSparse().encode_query("twice"), 9
        )
        (candidates,) = await services.store.candidates(SCOPE, [search])
        assert best in {hit.id for hit in candidates if hit.sparse}


async def test_a_merge_by_compaction_is_listed_linked_and_undone(services: Services) -> None:
    """The compact job hides a duplicate, links it and lists a decision.

    An undo makes the duplicate current for good.
    """
    async with connect(services) as client:
        first = await write(client, "Tea is at four", importance=9)
        second = await write(client, "Tea is served at five")
        # Writing would have merged a repetition, so the second becomes one by an edit of the store.
        memory = (await services.store.get(SCOPE, [second]))[second]
        await services.store.patch(SCOPE, {second: {"content": "Tea is at four."}})
        assert memory.content != "Tea is at four."
        report = await run(client, "compact", similarity=0.5)
        assert report["reasons"][second] == f"the same statement as {first}"
        assert await contents(client) == {"Tea is at four"}
        links = (await client.get(f"/v1/memories/{first}", params=SPACE)).json()["links"]
        assert [(link["to"], link["type"]) for link in links] == [(second, "reinforces")]
        merges = await decisions(client, kind="merged")
        assert [(decided, decision["by"]) for decided, decision in merges.items()] == [
            (second, first)
        ]
        assert await undo(client, second) == [second]
        assert await contents(client) == {"Tea is at four", "Tea is at four."}
        assert (await client.get(f"/v1/memories/{first}", params=SPACE)).json()[
            "evidence_count"
        ] == 1
        assert (await run(client, "compact", similarity=0.5))["ids"] == []
        assert await decisions(client) == {}


@pytest.mark.parametrize("kind", ["semantic", "episodic"])
@pytest.mark.parametrize(
    ("kept", "merged"),
    [
        ("The colour of the logo is blue.", "The color of the logo is blue."),
        ("Our database runs on a new host.", "Our databse runs on a new host."),
    ],
)
async def test_two_spellings_of_one_text_are_merged_linked_and_separated(
    services: Services, kept: str, merged: str, kind: str
) -> None:
    """The one without slips is kept, although the other is newer. The undo holds."""
    upkeep = replace(services.upkeep, is_word={"database"}.__contains__)
    async with connect(replace(services, upkeep=upkeep)) as client:
        best = await write(client, kept, type=kind, session_id="a", importance=6)
        other = await write(client, merged, type=kind, session_id="b", importance=6)
        assert await contents(client) == {kept, merged}
        report = await run(client, "compact")
        if other not in report["reasons"] or report["reasons"][other].startswith("1 "):
            assert "databse" not in merged  # else nothing says which spelling is better
            best, other = other, best
            kept, merged = merged, kept
        assert report["reasons"][other] == (f"the same statement in another spelling as {best}")
        assert await contents(client) == {kept}
        memory = await read(client, best)
        assert [(link["to"], link["type"]) for link in memory["links"]] == [(other, "reinforces")]
        assert memory["evidence_count"] == 2
        assert sorted(memory["source_sessions"]) == ["a", "b"]
        listed = await decisions(client, kind="merged")
        assert [(text, decision["by"]) for text, decision in listed.items()] == [(other, best)]
        assert await undo(client, other) == [other]
        assert await contents(client) == {kept, merged}
        assert (await read(client, best))["evidence_count"] == 1
        assert (await run(client, "compact"))["ids"] == []


async def test_spellings_of_other_things_stay_two(services: Services) -> None:
    texts = {
        "Ask Marta about the bill.",
        "Ask Martha about the bill.",
    }
    async with connect(services) as client:
        for text in texts:
            await write(client, text)
        assert (await run(client, "compact", similarity=0.5))["ids"] == []
        assert await contents(client) == texts


async def test_decisions_about_back_dated_facts_are_listed_by_the_time_of_the_decision() -> None:
    """Replacements are listed latest first by the time at which they were decided, whatever times
    the facts have.
    """
    clock = Clock()
    async with connect(fake_services(clock)) as client:
        replaced = []
        for name, month in (("billing", 2), ("search", 1)):
            for value in (10, 20):
                clock.now += timedelta(hours=1)
                content = f"The {name} limit is {value} requests per minute."
                fact = await write(client, content, created_at=f"2026-0{month}-{value}T00:00:00Z")
                replaced += [fact] if value == 10 else []
        replacements = await decisions(client, kind="replaced")
        assert list(replacements) == replaced[::-1]
        assert (
            replacements[fact_id := replaced[-1]]["at"]
            == (await read(client, fact_id))["updated_at"]
        )


async def test_a_promotion_is_listed_with_its_evidence_and_undone() -> None:
    """The promote job lists the fact that it made of three events. An undo hides the fact, and it
    is not made again.
    """
    clock = Clock()
    async with connect(fake_services(clock)) as client:
        events = set()
        for session in "abc":
            clock.now += timedelta(days=1)
            events.add(
                await write(client, "Tea is always at four", type="episodic", session_id=session)
            )
        assert (await run(client, "promote"))["counts"]["made"] == 1
        ((fact, decision),) = (await decisions(client)).items()
        assert (decision["kind"], decision["reason"]) == ("promoted", "said in 3 sessions")
        assert set(await undo(client, fact)) == events
        assert (await client.get(f"/v1/memories/{fact}", params=SPACE)).json()[
            "state"
        ] == "replaced"
        assert (await run(client, "promote"))["counts"]["made"] == 0
        problem(await client.post(f"/v1/memories/{fact}/undo", params=SPACE), 409)


async def test_events_of_three_sessions_with_one_meaning_become_a_fact(
    onnx_directory: Path,
) -> None:
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    services = fake_services(
        lambda: NOW, InMemoryStore(embedder.dimensions), encoders=(embedder, FakeSparse())
    )
    texts = (
        "Deploys on Friday go wrong.",
        "A deploy on Friday went wrong again.",
        "Friday again, the deploy went wrong.",
        "Marta reviews all database migrations.",
    )
    async with connect(services) as client:
        events = [
            await write(client, text, type="episodic", session_id=f"s{number}")
            for number, text in enumerate(texts)
        ]
        assert (await run(client, "promote"))["counts"]["made"] == 1
        ((fact, decision),) = (await decisions(client)).items()
        memory = (await client.get(f"/v1/memories/{fact}", params=SPACE)).json()
        assert (decision["reason"], sorted(memory["source_sessions"])) == (
            "said in 3 sessions",
            ["s0", "s1", "s2"],
        )
        assert (
            {link["to"] for link in memory["links"]}
            == set(await undo(client, fact))
            == set(events[:3])
        )
    await embedder.aclose()


@pytest.mark.parametrize(
    "types",
    [
        ("semantic", "semantic", "semantic"),
        ("semantic", "episodic", "episodic"),
        ("episodic", "semantic", "semantic"),
    ],
)
async def test_a_fact_gets_the_sessions_that_say_it_in_other_words(
    onnx_directory: Path, types: Sequence[str]
) -> None:
    """Other facts that say the same are merged into it. An undo takes all of it back for good."""
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    services = fake_services(
        lambda: NOW, InMemoryStore(embedder.dimensions), encoders=(embedder, FakeSparse())
    )
    texts = (
        "Deploys on Friday go wrong.",
        "A deploy on Friday went wrong again.",
        "Friday again, the deploy went wrong.",
    )
    async with connect(services) as client:
        ids = [
            await write(client, text, type=kind, session_id=f"s{number}")
            for number, (text, kind) in enumerate(zip(texts, types, strict=True))
        ]
        facts = {known for known, kind in zip(ids, types, strict=True) if kind == "semantic"}
        report = await run(client, "promote")
        assert report["counts"]["made"] == 0
        assert set(report["ids"]) == facts
        (best,) = [known for known in facts if (await read(client, known))["state"] == "current"]
        memory = await read(client, best)
        assert (memory["evidence_count"], sorted(memory["source_sessions"])) == (
            3,
            ["s0", "s1", "s2"],
        )
        assert {link["to"] for link in memory["links"]} == set(ids) - {best}
        listed = await decisions(client, kind="promoted")
        assert listed[best]["reason"] == "said in 3 sessions"
        assert {text: decision.get("by") for text, decision in listed.items()} == {
            known: None if known == best else best for known in facts
        }
        assert (await run(client, "promote"))["ids"] == []
        assert set(await undo(client, min(facts))) == facts
        assert await contents(client) == set(texts)
        memory = await read(client, best)
        assert (memory["evidence_count"], len(memory["source_sessions"])) == (1, 1)
        assert await decisions(client, kind="promoted") == {}
        assert (await run(client, "promote"))["ids"] == []


async def test_an_event_that_is_a_fact_already_counts_once(services: Services) -> None:
    """As where a message is stored as it was said, and what it states as a fact."""
    async with connect(services) as client:
        for session in "abc":
            for kind in ("episodic", "semantic"):
                await write(client, "Tea is always at four", type=kind, session_id=session)
        assert (await run(client, "promote"))["ids"] == []
        listed = (await client.get("/v1/memories", params=SPACE)).json()["memories"]
        assert [memory["evidence_count"] for memory in listed] == [3, 3]


async def test_forgetting_is_listed_and_undone_for_thirty_days() -> None:
    """For thirty days an undo restores and pins a memory that the forget job hid. Then the expire
    job deletes it.
    """
    clock = Clock()
    async with connect(fake_services(clock)) as client:
        restored_id = await write(client, "Tea is green")
        forgotten_id = await write(client, "Tea is black")
        clock.now += timedelta(days=60)
        assert set((await run(client, "forget", inactive_days=30))["ids"]) == {
            restored_id,
            forgotten_id,
        }
        assert await contents(client) == set()
        assert {
            each["reason"] for each in (await decisions(client, kind="forgotten")).values()
        } == {"not used for 30 days"}
        assert await undo(client, restored_id) == [restored_id]
        assert (await run(client, "forget", inactive_days=30))["ids"] == []
        clock.now += timedelta(days=31)
        problem(await client.post(f"/v1/memories/{forgotten_id}/undo", params=SPACE), 409)
        assert (await run(client, "expire"))["ids"] == [forgotten_id]
        assert await contents(client) == {"Tea is green"}


async def test_a_rejected_text_is_listed_and_can_be_stored(client: httpx.AsyncClient) -> None:
    messages = [{"role": "user", "content": "ok thanks"}]
    await client.post(
        "/v1/hooks/session-stop", json={**SPACE, "session_id": "s", "messages": messages}
    )
    ((rejected, decision),) = (await decisions(client, kind="rejected")).items()
    assert decision["content"] == "ok thanks"
    assert decision["reason"]
    (stored,) = await undo(client, rejected)
    assert (await client.get(f"/v1/memories/{stored}", params=SPACE)).json()[
        "content"
    ] == "ok thanks"
    assert await decisions(client) == {}


REPORT = "Mr Thackeray was suspended after the audit found forged overtime sheets."


async def repeat(client: httpx.AsyncClient) -> str:
    """Report the same message in session a and twice in session b, and another in c. The second
    one in b and that in c are rejected.

    Returns the id of the memory that was stored in a.
    """
    for session, texts in (("a", [REPORT]), ("b", [REPORT, REPORT]), ("c", ["ok thanks"])):
        messages = [{"role": "user", "content": text} for text in texts]
        body = {**SPACE, "session_id": session, "messages": messages}
        (await client.post("/v1/hooks/session-stop", json=body)).raise_for_status()
    assert await rejected(client) == {REPORT, "ok thanks"}
    memories = await client.get("/v1/memories", params={**SPACE, "session_id": "a"})
    memory_id: str = memories.json()["memories"][0]["id"]
    return memory_id


async def rejected(client: httpx.AsyncClient) -> set[str]:
    """The rejected texts that are listed."""
    return {decision["content"] for decision in (await decisions(client, kind="rejected")).values()}


async def test_editing_a_memory_removes_rejected_texts_that_repeat_its_old_text(
    client: httpx.AsyncClient,
) -> None:
    memory_id = await repeat(client)
    await patch(client, memory_id, tags=["audit"])
    assert await rejected(client) == {REPORT, "ok thanks"}
    await patch(client, memory_id, content="Mr Thackeray left.")
    assert await rejected(client) == {"ok thanks"}


@pytest.mark.parametrize("before_edit", [False, True])
async def test_erasing_a_memory_removes_rejected_texts_that_repeat_it(
    client: httpx.AsyncClient, *, before_edit: bool
) -> None:
    """Erasing one memory also erases and counts the rejected texts that contain its text, or its
    text before an edit.

    Other rejected texts remain.
    """
    memory_id = await repeat(client)
    if before_edit:
        await patch(client, memory_id, content="Mr Thackeray left.")
        said = {"role": "user", "content": REPORT}
        again = {**SPACE, "session_id": "d", "messages": [said, said]}
        (await client.post("/v1/hooks/session-stop", json=again)).raise_for_status()
    erased = (await client.post("/v1/admin/erase", json={**SPACE, "memory_id": memory_id})).json()
    assert (erased["erased"]["rejected"], erased["remaining"]["rejected"]) == (1, 0)
    assert await rejected(client) == {"ok thanks"}


async def test_deleting_a_memory_removes_rejected_texts_that_repeat_it(
    client: httpx.AsyncClient,
) -> None:
    repeated = await repeat(client)
    within = await write(client, "than")
    short = await write(client, "OK")
    for memory_id, remaining in (
        (repeated, {"ok thanks"}),
        (within, {"ok thanks"}),
        (short, set()),
    ):
        assert (await client.delete(f"/v1/memories/{memory_id}", params=SPACE)).status_code == 204
        assert await rejected(client) == remaining


@pytest.mark.parametrize(
    ("query", "remaining"),
    [
        ({}, set()),
        ({"session_id": "b"}, {"ok thanks"}),
        ({"session_id": "a"}, {REPORT, "ok thanks"}),
        ({"type": "episodic"}, set()),
    ],
)
async def test_deleting_memories_removes_rejected_texts(
    client: httpx.AsyncClient, query: dict[str, str], remaining: set[str]
) -> None:
    await repeat(client)
    deleted = await client.delete("/v1/memories", params={**SPACE, "confirm": "true", **query})
    assert deleted.json()["remaining"] == 0
    assert await rejected(client) == remaining


async def test_replaced_facts_are_listed(client: httpx.AsyncClient) -> None:
    old = await write(
        client, "The limit is 10 requests per minute.", created_at="2026-01-01T00:00:00Z"
    )
    new = await write(
        client, "The limit is 20 requests per minute.", created_at="2026-02-01T00:00:00Z"
    )
    listed = await decisions(client)
    assert (listed[old]["kind"], listed[old]["by"]) == ("replaced", new)
    assert listed[old]["reason"]


async def test_undo_of_a_replacement_makes_both_facts_current(client: httpx.AsyncClient) -> None:
    """Undoing the replacement of a fact makes both facts current and removes their links.

    Writing the newer fact again does not replace the older fact again.
    """
    old = await write(
        client, "The limit is 10 requests per minute.", created_at="2026-01-01T00:00:00Z"
    )
    new = await write(
        client, "The limit is 20 requests per minute.", created_at="2026-02-01T00:00:00Z"
    )
    assert await undo(client, old) == [old]
    assert await write(client, "The limit is 20 requests per minute.") == new
    for memory_id in (old, new):
        memory = (await client.get(f"/v1/memories/{memory_id}", params=SPACE)).json()
        assert (memory["state"], memory["links"], memory["superseded_by"]) == ("current", [], None)
    assert await decisions(client) == {}
    problem(await client.post(f"/v1/memories/{old}/undo", params=SPACE), 409)


async def test_undo_of_a_contest_makes_both_facts_current(client: httpx.AsyncClient) -> None:
    old = await write(client, "The limit is 10 requests per minute.", agent_id="a")
    new = await write(client, "The limit is 20 requests per minute.", agent_id="b")
    assert {each["kind"] for each in (await decisions(client)).values()} == {"contested"}
    assert await undo(client, new) == [new]
    assert await decisions(client) == {}
    assert (await client.get(f"/v1/memories/{old}", params=SPACE)).json()["state"] == "current"


async def test_a_merge_of_another_wording_is_listed_and_undone(client: httpx.AsyncClient) -> None:
    """A text that differs from a memory only in case and punctuation is merged.

    An undo stores it as a separate memory, which is not merged again.
    """
    first = await write(client, "Tea is served at four.", session_id="a")
    for _ in range(2):
        assert await write(client, "tea is served at four", session_id="b") == first
    memory = (await client.get(f"/v1/memories/{first}", params=SPACE)).json()
    history = (await client.get(f"/v1/memories/{first}/history", params=SPACE)).json()["versions"]
    assert {each["memory"]["content"] for each in history} == {
        "Tea is served at four.",
        "tea is served at four",
    }
    assert memory["evidence_count"] == 3
    ((wording, decision),) = (await decisions(client, kind="merged")).items()
    assert (decision["content"], decision["by"]) == ("tea is served at four", first)
    (second,) = await undo(client, wording)
    assert await contents(client) == {"Tea is served at four.", "tea is served at four"}
    assert (await client.get(f"/v1/memories/{first}", params=SPACE)).json()["source_sessions"] == [
        "a"
    ]
    assert await write(client, "tea is served at four") == second
    assert (await run(client, "compact", similarity=0.5))["ids"] == []
    assert await decisions(client) == {}
    problem(await client.post(f"/v1/memories/{wording}/undo", params=SPACE), 404)


async def test_of_two_concurrent_undos_of_a_merge_one_succeeds() -> None:
    """The other undo is a 404, and the evidence of the merged text is subtracted from the memory
    only once.
    """
    embedder = HookedEmbedder()
    async with connect(fake_services(lambda: NOW, encoders=(embedder, FakeSparse()))) as client:
        first = await write(client, "The build runs on Friday.", evidence_count=5)
        await write(client, "The build runs on friday")
        (wording,) = await decisions(client, kind="merged")
        answers: list[int] = []

        async def ask() -> None:
            answers.append(
                (await client.post(f"/v1/memories/{wording}/undo", params=SPACE)).status_code
            )

        async with anyio.create_task_group() as tasks:

            async def ask_again() -> None:
                tasks.start_soon(ask)
                await anyio.wait_all_tasks_blocked()

            embedder.hook = ask_again
            tasks.start_soon(ask)
        memories = (await client.get("/v1/memories", params=SPACE)).json()["memories"]
    assert answers == [200, 404]
    assert {memory["id"]: memory["evidence_count"] for memory in memories}.pop(first) == 5
    assert sorted(memory["evidence_count"] for memory in memories) == [1, 5]


async def test_undo_needs_a_decision(client: httpx.AsyncClient) -> None:
    """An undo is a 404 for an unknown id, and a 409 for a memory about which the service decided
    nothing.
    """
    problem(await client.post("/v1/memories/none/undo", params=SPACE), 404)
    memory_id = await write(client, "Tea is green")
    problem(await client.post(f"/v1/memories/{memory_id}/undo", params=SPACE), 409)


async def test_undo_of_a_replacement_keeps_what_the_fact_had_replaced(
    client: httpx.AsyncClient,
) -> None:
    """If B replaced A and C replaced B, undoing the replacement of B makes B current, and A is
    still replaced.
    """
    first, second, third = await limits(client, 10, 20, 30)
    assert await undo(client, second) == [second]
    assert await states(client, first, second, third) == ["replaced", "current", "current"]
    assert set(await decisions(client)) == {first}
    assert await undo(client, first) == [first]
    assert await states(client, first, second, third) == ["current"] * 3


async def test_undo_of_a_promotion_brings_back_what_the_fact_replaced(
    client: httpx.AsyncClient,
) -> None:
    (old,) = await limits(client, 10)
    for session in "abc":
        await write(
            client, "The limit is 20 requests per minute.", type="episodic", session_id=session
        )
    await run(client, "promote")
    (promoted,) = await decisions(client, kind="promoted")
    assert set(await decisions(client, kind="replaced")) == {old}
    await undo(client, promoted)
    assert await states(client, old, promoted) == ["current", "replaced"]
    assert (await read(client, promoted))["state_reason"] == "its promotion was undone"
    assert await decisions(client) == {}


class KilledStore(InMemoryStore):
    """A memory store that fails in the middle of a job.

    Once `last` is set, one more patch is stored; later ones fail.
    """

    last = False
    away = False

    async def patch(self, *arguments: Any, **options: Any) -> None:
        """Set fields of stored memories. Raises Unavailable once a patch was stored with `last`
        set.
        """
        if self.away:
            raise Unavailable("killed")
        await super().patch(*arguments, **options)
        self.away = self.last


@pytest.mark.parametrize("job", ["forget", "undo"])
async def test_a_crash_within_a_job_or_an_undo_hides_no_fact(job: str) -> None:
    """If the store fails while a promoted fact is hidden, the older fact that it had replaced is
    already current.
    """
    store = KilledStore(FakeEmbedder().dimensions)
    async with connect(fake_services(lambda: NOW, store)) as client:
        (old,) = await limits(client, 10)
        for session in "abc":
            await write(
                client, "The limit is 20 requests per minute.", type="episodic", session_id=session
            )
        await run(client, "promote")
        (promoted,) = await decisions(client, kind="promoted")
        await patch(client, old, pinned=True)
        assert await states(client, old, promoted) == ["replaced", "current"]
        store.last = True
        if job == "forget":
            await client.post(
                "/v1/admin/jobs/forget", json={**SPACE, "dry_run": False, "keep_top": 0}
            )
        else:
            await client.post(f"/v1/memories/{promoted}/undo", params=SPACE)
        assert await states(client, old, promoted) == ["current", "replaced"]


async def test_a_promoted_fact_that_was_replaced_takes_two_undos(client: httpx.AsyncClient) -> None:
    for session in "abc":
        text = "The limit is 10 requests per minute."
        await write(
            client, text, type="episodic", session_id=session, created_at="2026-01-01T00:00:00Z"
        )
    await run(client, "promote")
    (promoted,) = await decisions(client)
    await write(client, "The limit is 20 requests per minute.", created_at="2026-02-01T00:00:00Z")
    assert {
        *await decisions(client, kind="promoted"),
        *await decisions(client, kind="replaced"),
    } == {promoted}
    assert await undo(client, promoted) == [promoted]
    assert set(await decisions(client)) == {promoted}
    assert len(await undo(client, promoted)) == 1
    assert await decisions(client) == {}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_forgotten_facts_stay_forgotten_until_each_is_brought_back(
    client: httpx.AsyncClient, order: tuple[int, int]
) -> None:
    """Upkeep jobs restore no forgotten fact.

    If undos restore a fact and its successor, in either order, the fact is not current: it is
    replaced or contested.
    """
    ids = await limits(client, 10, 20)
    await run(client, "forget", keep_top=0)
    await run(client, "expire", expired_days=30)
    assert await contents(client) == set()
    for index in order:
        await undo(client, ids[index])
    assert (await read(client, ids[1]))["state"] != "replaced"
    assert set(await decisions(client, kind="forgotten")) == set()
    old = await read(client, ids[0])
    assert old["state"] == "contested" or old["superseded_by"] == ids[1]


async def test_a_pinned_fact_comes_back_when_the_fact_that_replaced_it_is_forgotten(
    client: httpx.AsyncClient,
) -> None:
    """When the forget job hides a fact, the pinned fact that it had replaced is current again."""
    old, new = await limits(client, 10, 20)
    await patch(client, old, pinned=True)
    await run(client, "forget", keep_top=0)
    assert await states(client, old, new) == ["current", "replaced"]


async def test_a_forgotten_fact_that_is_written_again_with_an_earlier_date_is_current(
    client: httpx.AsyncClient,
) -> None:
    old, new = await limits(client, 10, 20)
    await run(client, "forget", keep_top=0)
    content = (await read(client, new))["content"]
    assert await write(client, content, created_at="2025-01-01T00:00:00Z") == new
    assert (await read(client, new))["superseded_by"] is None
    assert await states(client, old, new) == ["replaced", "current"]
    assert (await client.delete(f"/v1/memories/{new}", params=SPACE)).status_code == 204
    assert (await read(client, old))["superseded_by"] is None


async def test_a_forgotten_fact_stays_forgotten_when_its_successor_is_edited(
    client: httpx.AsyncClient,
) -> None:
    """A replaced fact that the forget job took stays hidden if its successor is edited to be about
    something else.
    """
    old, new = await limits(client, 10, 20)
    assert (await run(client, "forget", max_age_days=40))["ids"] == [old]
    await patch(client, new, content="Tea is green")
    assert await states(client, old, new) == ["replaced", "current"]
    assert set(await decisions(client)) == {old}


async def test_a_fact_that_is_current_since_its_successor_expired_can_be_forgotten() -> None:
    """A replaced fact becomes current again when its successor expires. The forget job can then
    hide it.
    """
    clock = Clock()
    async with connect(fake_services(clock)) as client:
        old = await write(client, "The limit is 10 requests per minute.")
        clock.now += timedelta(hours=1)
        end = (clock.now + timedelta(hours=1)).isoformat()
        await write(client, "The limit is 20 requests per minute.", expires_at=end)
        assert (await read(client, old))["state"] == "replaced"
        clock.now += timedelta(hours=2)
        assert (await read(client, old))["state"] == "current"
        assert old in (await run(client, "forget", keep_top=0))["ids"]
        assert (await read(client, old))["state"] == "replaced"


async def test_a_memory_that_a_caller_ended_is_no_decision_and_stays_ended() -> None:
    """A valid_to set by a caller is no automatic decision.

    If the memory is then forgotten, an undo keeps that valid_to.
    """
    clock = Clock()
    async with connect(fake_services(clock)) as client:
        memory_id = await write(client, "Tea is green")
        clock.now += timedelta(days=1)
        ended = await patch(client, memory_id, valid_to=clock.now.isoformat())
        assert await decisions(client) == {}
        clock.now += timedelta(days=60)
        assert (await run(client, "forget", max_age_days=30))["ids"] == [memory_id]
        assert await undo(client, memory_id) == []
        after = await read(client, memory_id)
        assert (after["state"], after["valid_to"]) == ("replaced", ended["valid_to"])
        assert await decisions(client) == {}


async def test_a_forgotten_memory_that_a_caller_brings_back_is_kept() -> None:
    """If a caller gives a forgotten memory a future valid_to, it is current and pinned, and no job
    deletes it.
    """
    clock = Clock()
    async with connect(fake_services(clock)) as client:
        memory_id = await write(client, "Tea is green")
        clock.now += timedelta(days=1)
        await run(client, "forget", keep_top=0)
        revived = await patch(
            client, memory_id, valid_to=(clock.now + timedelta(days=90)).isoformat()
        )
        assert (revived["state"], revived["pinned"]) == ("current", True)
        assert await decisions(client) == {}
        clock.now += timedelta(days=40)
        assert (await run(client, "expire"))["ids"] == []
        await patch(client, memory_id, pinned=False)
        await run(client, "forget", keep_top=0)
        end = (clock.now + timedelta(days=90)).isoformat()
        assert (await patch(client, memory_id, valid_to=end, pinned=False))["pinned"] is False


async def test_a_contradicts_link_of_a_caller_is_the_reason_why_facts_are_contested(
    client: httpx.AsyncClient,
) -> None:
    first = await write(client, "Tea is green")
    second = await write(client, "Coffee is black")
    await patch(client, second, links=[{"to": first, "type": "contradicts"}])
    reasons = {each["reason"] for each in (await decisions(client, kind="contested")).values()}
    assert reasons == {"a link says that they contradict each other"}


async def test_compaction_keeps_tags_metadata_and_later_expiry_of_both_facts(
    client: httpx.AsyncClient,
) -> None:
    """Of two facts that the compact job merges, one is kept.

    It has the later expiry, all tags and the merged metadata, and still replaces what the hidden
    one had replaced.
    """
    (old,) = await limits(client, 10)
    first = await write(
        client,
        "Tea is at four",
        importance=9,
        tags=["a"],
        metadata={"k": 1, "m": 1},
        created_at="2026-01-01T00:00:00Z",
        expires_at="2027-01-01T00:00:00Z",
    )
    second = await write(
        client,
        "The limit is 20 requests per minute.",
        tags=["b"],
        metadata={"k": 2},
        source={"file": "b.md", "line": 1},
        created_at="2026-02-01T00:00:00Z",
    )
    await patch(client, first, content="The limit is 20 requests per minute")
    assert await states(client, old, first, second) == ["replaced", "current", "current"]
    assert set((await run(client, "compact", similarity=0.5))["ids"]) == {first, second}
    merged = await read(client, first)
    assert (merged["tags"], merged["metadata"], merged["expires_at"]) == (
        ["a", "b"],
        {"k": 2, "m": 1},
        None,
    )
    assert (merged["importance"], merged["source"]["file"]) == (9, "b.md")
    await run(client, "expire", expired_days=30)
    assert await states(client, old, first, second) == ["replaced", "current", "replaced"]
    assert await undo(client, second) == [second]
    assert await states(client, old, first, second) == ["replaced", "current", "current"]


async def test_compaction_does_not_merge_a_memory_that_is_edited_meanwhile() -> None:
    """If a duplicate is edited while the compact job runs, it stays current, and the other memory
    gets no evidence.
    """
    clock = Clock()
    embedder = HookedEmbedder()
    async with connect(
        fake_services(clock, InMemoryStore(16), encoders=(embedder, FakeSparse()))
    ) as client:
        first = await write(client, "Tea is at four")
        second = await write(client, "Milk is cold")
        await patch(client, second, content="Tea is at four.")
        clock.now += timedelta(hours=1)
        embedder.hook = lambda: patch(client, second, content="Coffee is at six.")
        assert (await run(client, "compact", similarity=0.5))["ids"] == []
        assert await states(client, first, second) == ["current", "current"]
        assert (await read(client, first))["evidence_count"] == 1


@pytest.mark.parametrize("embedding", ["plan", "write"])
async def test_no_fact_is_promoted_from_events_that_are_erased_meanwhile(embedding: str) -> None:
    """If the events are erased while the promote job plans or writes a fact about them, no fact is
    left.
    """
    embedder = HookedEmbedder()
    services = fake_services(Clock(), InMemoryStore(16), encoders=(embedder, FakeSparse()))
    async with connect(services) as client:
        for session in ("a", "b", "c"):
            await write(client, "Ann prefers tea.", type="episodic", session_id=session)

        async def erase() -> None:
            await client.post("/v1/admin/erase", json=SPACE)

        async def erase_later() -> None:
            embedder.hook = erase

        embedder.hook = erase if embedding == "plan" else erase_later
        assert (await run(client, "promote"))["counts"]["made"] == 0
        assert await services.store.namespaces(SCOPE.tenant) == []


async def test_the_expire_job_spares_a_memory_whose_expiry_is_removed_meanwhile() -> None:
    clock = Clock()
    services = fake_services(clock)
    async with connect(services) as client:
        end = (clock.now + timedelta(hours=1)).isoformat()
        memory_id = await write(client, "Tea is at four", expires_at=end)
        clock.now += timedelta(hours=2)
        async with anyio.create_task_group() as tasks, services.ingestor.locks.lock(SCOPE):
            tasks.start_soon(partial(run, client, "expire"))
            await anyio.wait_all_tasks_blocked()
            clock.now += timedelta(hours=1)
            change = {"expires_at": None, "updated_at": clock.now.isoformat()}
            await services.store.patch(SCOPE, {memory_id: change})
        assert (await read(client, memory_id))["state"] == "current"


async def test_an_appointment_that_has_lapsed_is_listed_and_stays_open_when_undone(
    services: Services,
) -> None:
    async with connect(services) as client:
        appointment = await write(
            client,
            "Dentist in Leeds",
            type="prospective",
            created_at="2026-01-01T09:00:00Z",
            due_at="2026-01-05T14:00:00Z",
            lapses_at="2026-01-05T16:00:00Z",
        )
        await write(client, "Tea is at four")
        assert (await read(client, appointment))["status"] == "lapsed"
        listed = (await decisions(client, kind="lapsed"))[appointment]
        assert listed["reason"] == "an appointment whose time is over"
        assert listed["at"] == "2026-01-05T16:00:00Z"
        assert await undo(client, appointment) == [appointment]
        await write(client, "Tea is at five today")
        assert (await read(client, appointment))["status"] == "pending"
        assert await decisions(client, kind="lapsed") == {}


async def test_a_context_shows_no_appointment_whose_time_is_over(services: Services) -> None:
    """A context goes by its time, `as_of`, whether or not the status was brought up to date."""
    async with connect(services) as client:
        await write(
            client,
            "Dentist in Leeds",
            type="prospective",
            created_at="2026-01-01T09:00:00Z",
            lapses_at="2026-01-05T16:00:00Z",
        )
        query = {**SPACE, "query": "dentist in Leeds", "budget": 500}
        for as_of, shown in (("2026-01-05T12:00:00Z", True), ("2026-01-05T17:00:00Z", False)):
            answer = await client.post("/v1/retrieve", json={**query, "as_of": as_of})
            assert ("Dentist in Leeds" in answer.json()["context"]) is shown
