"""The inspector's views of growth, sessions, tasks, threads, workflows, decisions and upkeep."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from api.auth.keys import Role
from api.wiring.container import Services
from memtypes.stores.redis.connection.client import LiveClient
from tests.api.conftest import NOW, bearer, connect
from tests.api.fake_services import fake_services
from tests.api.http.inspector.conftest import HOSTILE, Visit, log_in, text_of
from tests.api.working_client import with_live_workflows

pytestmark = pytest.mark.anyio

NAMES = (
    "",
    "search",
    "memories",
    "receipts",
    "sessions",
    "due",
    "threads",
    "workflows",
    "decisions",
    "upkeep",
)
VIEWS = tuple(f"/{name}" for name in NAMES)


@pytest.fixture
async def live_visit(live: LiveClient) -> AsyncIterator[Visit]:
    """A visitor of a service that stores threads, workflows and working memory in a real Redis, in
    a new namespace.
    """
    services = with_live_workflows(fake_services(lambda: NOW), live)
    async with connect(services) as client:
        yield Visit(client, f"n {id(services)}")


async def post(visit: Visit, path: str, body: dict[str, Any], **query: str) -> dict[str, Any]:
    """Send a POST to the API and return its answer. Fails if the answer is an error."""
    got = await visit.client.post(path, json=body, params=query)
    assert got.is_success, got.text
    answer: dict[str, Any] = got.json()
    return answer


@pytest.mark.parametrize("path", VIEWS)
async def test_every_view_of_an_empty_namespace_is_a_page(visit: Visit, path: str) -> None:
    """Every view opens even without memories. It is marked in the navigation, which links to all
    other views.
    """
    page = await visit.open(path)
    assert 'aria-current="page"' in page
    assert len(re.findall(r"<h1", page)) == 1
    for other in VIEWS:
        assert f'href="/inspect{other}?namespace=n"' in page


async def test_growth_counts_new_memories_by_day_or_month(visit: Visit) -> None:
    await visit.write("New.", created_at="2026-02-28T10:00:00Z")
    await visit.write("Old.", created_at="2026-02-20T10:00:00Z")
    page = await visit.open("/growth")
    text = text_of(page)
    assert "New memories, by day" in text
    assert "1 1 0 0 0" in text
    assert "2 newest memories" in text
    assert "2 never used" in text
    assert page.count('class="type-semantic"') == 2
    fragment = await visit.client.get("/inspect/growth?namespace=n", headers={"HX-Request": "true"})
    assert "<!doctype" not in fragment.text
    await visit.write("Ancient.", created_at="2024-02-20T10:00:00Z")
    assert "New memories, by month" in text_of(await visit.open("/growth"))


async def test_page_of_a_session_lists_what_was_stored_and_injected_by_time(visit: Visit) -> None:
    """A session's page lists its memories and the contexts added to its prompts, in order of
    time.
    """
    await visit.write("The build runs on Friday.")
    await visit.write(
        "Let us talk about builds.", "episodic", session_id="s", created_at="2026-02-28T10:00:00Z"
    )
    query = {"namespace": "n", "query": "when does the build run?", "floor": 0.0}
    await post(visit, "/v1/retrieve", {**query, "session_id": "s"})
    await post(
        visit, "/v1/retrieve", {**query, "session_id": "another", "query": "something else?"}
    )
    page = text_of(await visit.open("/sessions"))
    assert "1 memories 1 contexts" in page
    page = text_of(await visit.open("/session", id="s"))
    assert (
        page.index("Let us talk")
        < page.index("when does the build run?")
        < page.index("The build runs on Friday.")
    )
    assert "2 injected" in page
    assert "something else?" not in page
    assert "Nothing was stored in this session" in text_of(
        await visit.open("/session", id="unknown")
    )


async def test_session_shows_its_working_memory(live_visit: Visit) -> None:
    """A session's page shows its notes in working memory, each with its to-do. Other sessions'
    pages do not.
    """
    body = {
        "namespace": live_visit.namespace,
        "session_id": "s",
        "content": "Look at line 17.",
        "todo_id": "t 1",
    }
    await post(live_visit, "/v1/working", body)
    page = text_of(await live_visit.open("/session", id="s"))
    assert "to-do t 1" in page
    assert "Look at line 17." in page
    assert "Look at line 17." not in text_of(await live_visit.open("/session", id="another"))


async def test_session_shows_the_status_of_to_dos_and_why_they_ended(live_visit: Visit) -> None:
    session = {"namespace": live_visit.namespace, "session_id": "s"}
    todos = [
        {"content": "Read it.", "status": "in_progress"},
        {"content": "Port it.", "status": "pending"},
    ]
    await post(live_visit, "/v1/hooks/prompt-submit", {**session, "prompt": "Hi", "todos": todos})
    page = text_of(await live_visit.open("/session", id="s"))
    assert "in progress" in page
    assert "pending" in page
    todos = [{**todo, "status": "cancelled"} for todo in todos]
    await post(live_visit, "/v1/hooks/prompt-submit", {**session, "prompt": "Hi", "todos": todos})
    assert "cancelled" in text_of(await live_visit.open("/session", id="s"))


async def test_due_intentions_are_completed_cancelled_and_postponed(visit: Visit) -> None:
    """Due tasks are listed before other open tasks, and each can be completed, cancelled or
    postponed by a button.
    """
    fields = {"kind": "prospective"}
    due = await visit.write("Pay the bill.", **fields, due_at="2026-02-28T10:00:00Z")
    later = await visit.write("Call Mira.", **fields, due_at="2026-03-28T10:00:00Z")
    third = await visit.write("Water the plants.", **fields, due_at="2026-02-27T10:00:00Z")
    page = text_of(await visit.open("/due")).partition("Due now")[2]
    assert (
        page.index("Water the plants.")
        < page.index("Pay the bill.")
        < page.index("Open")
        < page.index("Call Mira.")
    )
    await visit.send("/due/complete", id=due)
    await visit.send("/due/cancel", id=later)
    await visit.send("/due/snooze", id=third, hours="24")
    page = text_of(await visit.open("/due"))
    assert "Pay the bill." not in page
    assert "Call Mira." not in page
    assert "due 2026-03-02 12:00" in page
    await visit.send("/due/complete", 409, id=later)
    await visit.send("/due/snooze", 422, id=third, hours="-1")


async def test_threads_show_their_turns_including_flushed_ones(live_visit: Visit) -> None:
    """A thread's page shows all of its turns in order, and marks those that a flush turned into
    memories.
    """
    space = {"namespace": live_visit.namespace}
    thread = (await post(live_visit, "/v1/threads", {**space, "key": "support:1"}))["id"]
    for content in ("First.", HOSTILE.replace("\u202e", ""), "Third."):
        await post(
            live_visit, f"/v1/threads/{thread}/turns", {"role": "user", "content": content}, **space
        )
    assert "support:1" in text_of(await live_visit.open("/threads"))
    page = await live_visit.open("/thread", id=thread)
    assert "<img src=x" not in page
    assert text_of(page).index("First.") < text_of(page).index("Third.")
    await post(
        live_visit,
        f"/v1/threads/{thread}/flush",
        {"strategy": "simple_fifo", "force": True},
        **space,
    )
    assert "3 turns" in text_of(page)
    after = await live_visit.open("/thread", id=thread)
    assert "now a memory" in after
    assert "First." in after
    await live_visit.open("/thread", 404, id="unknown")


async def test_workflows_show_state_and_events(live_visit: Visit) -> None:
    """A workflow's page has its steps with their results, its resources and its events."""
    space = {"namespace": live_visit.namespace}
    await post(live_visit, "/v1/workflows", {**space, "workflow_id": "import"})
    for event in (
        {"type": "started"},
        {"type": "step_started", "step_id": "load", "agent": "loader"},
        {"type": "step_failed", "step_id": "load", "error": "<b>row 17</b>"},
        {"type": "resource_changed", "resources": {"file": {"rows": 3}}},
    ):
        await post(live_visit, "/v1/workflows/import/events", event, **space)
    assert "import running 4 events" in text_of(await live_visit.open("/workflows"))
    page = await live_visit.open("/workflow", id="import")
    assert "&lt;b&gt;row 17" in page
    assert "load failed loader" in text_of(page)
    assert '{"rows": 3}' in text_of(page)
    await live_visit.open("/workflow", 404, id="unknown")


async def test_button_takes_a_decision_back(visit: Visit) -> None:
    """The list of decisions says why upkeep forgot a memory. A button undoes this, and a second
    press is a 409.
    """
    await visit.write("An old fact.", created_at="2024-01-01T00:00:00Z")
    await visit.send("/upkeep", 200, job="forget", max_age_days="30", apply="true")
    page = await visit.open("/decisions")
    assert "older than 30 days" in text_of(page)
    memory_id = re.findall(r'name="id" value="([^"]+)"', page)[0]
    done = await visit.send("/decisions/undo", id=memory_id)
    after = text_of((await visit.client.get(done.headers["location"])).text)
    assert "The decision is taken back." in after
    assert "decided nothing" in after
    await visit.send("/decisions/undo", 409, id=memory_id)
    assert "An old fact." not in text_of(await visit.open("/decisions", kind="rejected"))


async def test_dry_run_changes_nothing_and_offers_to_run(visit: Visit) -> None:
    """The dry run of a job lists the memories that it would change, with reasons. A button on the
    page runs the job.
    """
    memory_id = await visit.write("An old fact.", created_at="2024-01-01T00:00:00Z")
    page = (await visit.send("/upkeep", 200, job="forget", max_age_days="30")).text
    assert "it would change 1 memories" in text_of(page)
    assert "older than 30 days An old fact." in text_of(page)
    assert 'name="apply" value="true"' in page
    assert 'name="max_age_days" value="30"' in page
    memory = (await visit.client.get(f"/v1/memories/{memory_id}", params={"namespace": "n"})).json()
    assert memory["state"] == "current"
    ran = (await visit.send("/upkeep", 200, job="forget", max_age_days="30", apply="true")).text
    assert "it changed 1 memories" in text_of(ran)
    assert 'name="apply"' not in ran
    memory = (await visit.client.get(f"/v1/memories/{memory_id}", params={"namespace": "n"})).json()
    assert memory["state"] == "replaced"


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("job", {"job": "unknown"}),
        ("max_age_days", {"job": "forget", "max_age_days": "-1"}),
        ("similarity", {"job": "compact", "similarity": "2"}),
    ],
)
async def test_an_upkeep_job_with_an_invalid_option_is_not_run(
    visit: Visit, field: str, fields: dict[str, Any]
) -> None:
    memory_id = await visit.write("An old fact.", created_at="2024-01-01T00:00:00Z")
    page = (await visit.send("/upkeep", 422, **fields, apply="true")).text
    assert field in text_of(page)
    memory = (await visit.client.get(f"/v1/memories/{memory_id}", params={"namespace": "n"})).json()
    assert memory["state"] == "current"


async def test_upkeep_job_without_a_namespace_is_refused(visit: Visit) -> None:
    got = await visit.client.post(
        "/inspect/upkeep", data={"token": await visit.token(), "job": "expire"}
    )
    assert got.status_code == 422


async def test_only_admins_run_upkeep(guarded: Services) -> None:
    """The upkeep page and its jobs are only for admins. A writer may undo decisions, and a reader
    may not.
    """
    async with connect(guarded) as client:
        for role, status in ((Role.READER, 403), (Role.WRITER, 404)):
            client.cookies.clear()
            await log_in(client, "acme", role)
            visit = Visit(client)
            assert "/inspect/upkeep" not in await visit.open("/search", q="x")
            await visit.open("/upkeep", 403)
            await visit.send("/upkeep", 403, job="expire")
            await visit.send("/decisions/undo", status, id="6b6f1d1c-9d5b-5d0a-8d8b-111111111111")


async def test_key_of_an_agent_sees_its_working_items_alone(guarded: Services) -> None:
    """A key bound to an agent sees that agent's notes in working memory, and no page shows those of
    other agents.
    """
    async with connect(guarded) as client:
        writer = bearer("acme", Role.WRITER)
        for agent, content in (("support", "Mine to do."), ("sales", "Not for others.")):
            body = {
                "namespace": "n",
                "type": "working",
                "content": content,
                "agent_id": agent,
                "session_id": "s",
            }
            await client.post("/v1/memories", json=body, headers=writer)
        rights = {"tenant": "acme", "role": "writer", "agents": ["support"]}
        key = (
            await client.post("/v1/admin/keys", json=rights, headers=bearer("acme", Role.ADMIN))
        ).json()["key"]
        await client.post("/inspect/login", data={"key": key})
        for path in ("/", "/memories", "/due", "/sessions", "/session"):
            query: dict[str, Any] = {"id": "s"} if path == "/session" else {}
            page = await Visit(client).open(path, **query)
            assert "Not for others." not in page, path
        assert "Mine to do." in await Visit(client).open("/due")


async def test_hostile_names_are_escaped_in_every_view(visit: Visit) -> None:
    hostile = Visit(visit.client, "<b>n</b>")
    await hostile.write(
        HOSTILE.replace("\u202e", ""),
        "prospective",
        due_at="2026-02-28T10:00:00Z",
        session_id="<i>s</i>",
    )
    pages: dict[str, dict[str, Any]] = {path: {} for path in VIEWS} | {
        "/session": {"id": "<i>s</i>"},
        "/growth": {},
    }
    for path, query in pages.items():
        page = await hostile.open(path, **query)
        assert "<img src=x" not in page, path
        assert "<b>n" not in page, path
        assert "<i>s" not in page, path


async def test_unknown_pages_are_not_found(visit: Visit) -> None:
    """An unknown address is not found, and an address that only takes forms cannot be opened as a
    page.
    """
    for path in ("/nothing", "/memory/pin"):
        got: httpx.Response = await visit.client.get(f"/inspect{path}", params={"namespace": "n"})
        assert got.status_code in (404, 405)


async def test_a_key_does_not_see_threads_that_its_agents_may_not_read(
    live: LiveClient, guarded: Services
) -> None:
    services = replace(with_live_workflows(guarded, live), keys=guarded.keys)
    async with connect(services) as client:
        body = {"namespace": "n", "key": "support:1"}
        thread = (
            await client.post("/v1/threads", json=body, headers=bearer("acme", Role.WRITER))
        ).json()["id"]
        rights = {"tenant": "acme", "role": "reader", "agents": ["support", "sales"]}
        key = (
            await client.post("/v1/admin/keys", json=rights, headers=bearer("acme", Role.ADMIN))
        ).json()["key"]
        await client.post("/inspect/login", data={"key": key})
        assert "support:1" not in await Visit(client).open("/threads")
        await Visit(client).open("/thread", 403, id=thread)
