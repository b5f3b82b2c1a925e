"""States of memories over HTTP (current, replaced, contested): what sets them, how they are undone,
and the history.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from api.wiring.container import Services
from memtypes.model.scope import Scope
from tests.api.conftest import NOW, connect
from tests.api.fake_services import fake_services

pytestmark = pytest.mark.anyio

PORTS = ("The port of the API is 80.", "The port of the API is 81.", "The port of the API is 82.")


class Notebook:
    """A client that writes and reads facts of one namespace, at a time that tests may change."""

    def __init__(self, client: httpx.AsyncClient, set_time: Callable[[datetime], None]) -> None:
        self.client = client
        self.set_time = set_time

    async def write(self, content: str, **fields: Any) -> dict[str, Any]:
        """Write a fact and return the answer."""
        body = {"type": "semantic", "namespace": "n", "content": content, **fields}
        response = await self.client.post("/v1/memories", json=body)
        assert response.status_code in (200, 201), response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def read(self, memory_id: str) -> dict[str, Any]:
        """The memory with this id."""
        response = await self.client.get(f"/v1/memories/{memory_id}", params={"namespace": "n"})
        assert response.status_code == 200, response.text
        memory: dict[str, Any] = response.json()
        return memory

    async def patch(self, memory_id: str, **changes: Any) -> dict[str, Any]:
        """Change fields of a memory and return the memory."""
        response = await self.client.patch(
            f"/v1/memories/{memory_id}", params={"namespace": "n"}, json=changes
        )
        assert response.status_code == 200, response.text
        memory: dict[str, Any] = response.json()
        return memory

    async def restore(self, memory_id: str) -> dict[str, Any]:
        """Restore a replaced memory and return it."""
        response = await self.client.post(
            f"/v1/memories/{memory_id}/restore", params={"namespace": "n"}
        )
        assert response.status_code == 200, response.text
        memory: dict[str, Any] = response.json()
        return memory

    async def delete(self, memory_id: str) -> int:
        """Delete a memory and return the status of the answer."""
        return (
            await self.client.delete(f"/v1/memories/{memory_id}", params={"namespace": "n"})
        ).status_code

    async def history(self, memory_id: str, namespace: str = "n") -> list[dict[str, Any]]:
        """The versions of the history of a memory, oldest first."""
        response = await self.client.get(
            f"/v1/memories/{memory_id}/history", params={"namespace": namespace}
        )
        assert response.status_code == 200, response.text
        versions: list[dict[str, Any]] = response.json()["versions"]
        return versions

    async def states(self, *ids: str) -> list[str]:
        """The state of each memory (current, replaced or contested), in the order of the ids."""
        return [(await self.read(memory_id))["state"] for memory_id in ids]

    async def listed(self, **query: Any) -> list[str]:
        """The contents of the memories that a list with this query returns, sorted."""
        response = await self.client.get("/v1/memories", params={"namespace": "n", **query})
        assert response.status_code == 200, response.text
        return sorted(memory["content"] for memory in response.json()["memories"])

    async def found(self, **filters: Any) -> list[str]:
        """The contents of the memories that a search with these filters returns, sorted."""
        body = {"query": "port", "namespace": "n", "filters": filters or None}
        response = await self.client.post(
            "/v1/search", json={k: v for k, v in body.items() if v is not None}
        )
        assert response.status_code == 200, response.text
        return sorted(hit["memory"]["content"] for hit in response.json()["hits"])


@pytest.fixture
async def notebook(times: list[datetime], services: Services) -> AsyncIterator[Notebook]:
    """A `Notebook` (client for facts) of a service that needs no API key."""
    async with connect(services) as client:
        yield Notebook(client, times.append)


@pytest.fixture
def times() -> list[datetime]:
    """The times to which tests set the clock of the services. The last one is the current time."""
    return [NOW]


@pytest.fixture
def services(times: list[datetime]) -> Services:
    """Services with an in-memory store. Their current time is the last entry of `times`."""
    return fake_services(lambda: times[-1])


async def ports(notebook: Notebook, count: int = 2, **last: Any) -> list[str]:
    """Write `count` facts about a port, an hour apart, and return their ids.

    Each fact replaces the one before. last: fields of the last fact.
    """
    ids = []
    for number, content in enumerate(PORTS[:count]):
        created = NOW - timedelta(hours=count - number)
        fields = last if number == count - 1 else {}
        ids.append((await notebook.write(content, created_at=created.isoformat(), **fields))["id"])
    return ids


async def test_a_replaced_memory_has_its_end_successor_and_reason(notebook: Notebook) -> None:
    old, new = await ports(notebook)
    before = await notebook.read(old)
    after = await notebook.read(new)
    assert (before["state"], before["superseded_by"], before["valid_to"]) == (
        "replaced",
        new,
        after["valid_from"],
    )
    assert before["state_reason"]
    assert (after["state"], after["links"]) == (
        "current",
        [{"to": old, "type": "contradicts", "strength": 1.0}],
    )


async def test_a_key_with_another_number_replaces_the_earlier_value(notebook: Notebook) -> None:
    earlier = (NOW - timedelta(hours=1)).isoformat()
    old = (await notebook.write("Port of the API gateway: 80", created_at=earlier))["id"]
    assert (await notebook.write("Port of the API gateway: 81"))["supersedes"] == [old]
    assert await notebook.states(old) == ["replaced"]


async def test_a_filter_by_state_finds_replaced_memories(notebook: Notebook) -> None:
    await ports(notebook)
    assert await notebook.found() == await notebook.listed() == [PORTS[1]]
    assert (
        await notebook.found(state={"eq": "replaced"})
        == await notebook.listed(state="replaced")
        == [PORTS[0]]
    )
    assert (
        await notebook.found(state={"ne": "replaced"})
        == await notebook.listed(state="current")
        == [PORTS[1]]
    )
    assert await notebook.found(state={"any": ["current", "replaced"]}) == [*PORTS[:2]]


async def test_memories_can_be_found_by_their_links(notebook: Notebook) -> None:
    """A search can filter memories by the id that their links point to, or by the type of their
    links.
    """
    old, _ = await ports(notebook)
    assert await notebook.found(**{"links.to": {"eq": old}}) == [PORTS[1]]
    assert await notebook.found(**{"links.type": {"any": ["contradicts"]}}) == [PORTS[1]]
    assert await notebook.found(**{"links.type": {"eq": "extends"}}) == []


async def test_memories_replaced_by_an_expired_one_are_current_again_at_once(
    notebook: Notebook,
) -> None:
    """When its successor expires, reads and searches show a replaced memory as current, before any
    upkeep job runs.
    """
    old, _ = await ports(notebook, expires_at=(NOW + timedelta(hours=1)).isoformat())
    assert await notebook.states(old) == ["replaced"]
    notebook.set_time(NOW + timedelta(hours=1))
    memory = await notebook.read(old)
    assert (memory["state"], memory["valid_to"], memory["superseded_by"]) == ("current", None, None)
    assert await notebook.found() == await notebook.listed() == [PORTS[0]]
    assert await notebook.listed(state="replaced") == []


async def test_deleting_a_successor_brings_back_what_it_replaced(notebook: Notebook) -> None:
    """When the successor of a memory is deleted, the memory is current again, without valid_to,
    successor or links.
    """
    first, second, third = await ports(notebook, 3)
    assert await notebook.delete(third) == 204
    assert await notebook.states(first, second) == ["replaced", "current"]
    assert await notebook.delete(second) == 204
    memory = await notebook.read(first)
    assert (memory["state"], memory["valid_to"], memory["superseded_by"], memory["links"]) == (
        "current",
        None,
        None,
        [],
    )
    assert await notebook.found() == [PORTS[0]]


async def test_deleting_the_middle_of_a_chain_joins_its_ends(notebook: Notebook) -> None:
    """If B replaced A and C replaced B, deleting B makes C the successor of A. A then ends when C
    begins.
    """
    first, second, third = await ports(notebook, 3)
    assert await notebook.delete(second) == 204
    before = await notebook.read(first)
    after = await notebook.read(third)
    assert (before["superseded_by"], before["valid_to"]) == (third, after["valid_from"])
    assert [link["to"] for link in after["links"]] == [first]
    assert await notebook.delete(third) == 204
    assert await notebook.states(first) == ["current"]


@pytest.mark.parametrize("scope", [{"session_id": "s"}, {"type": "semantic", "session_id": "s"}])
async def test_deleting_a_successor_by_filter_brings_back_what_it_replaced(
    notebook: Notebook, scope: dict[str, str]
) -> None:
    """If a bulk delete removes the successor of a replaced memory, the memory is current again and
    has no links.
    """
    old, _ = await ports(notebook, session_id="s")
    response = await notebook.client.delete(
        "/v1/memories", params={"namespace": "n", "confirm": "true", **scope}
    )
    assert response.json() == {"deleted": 1, "remaining": 0}
    memory = await notebook.read(old)
    assert (memory["state"], memory["links"]) == ("current", [])


async def test_the_expire_job_brings_back_what_an_expired_memory_had_replaced(
    notebook: Notebook,
) -> None:
    old, new = await ports(notebook, expires_at=(NOW + timedelta(hours=1)).isoformat())
    notebook.set_time(NOW + timedelta(hours=2))
    response = await notebook.client.post(
        "/v1/admin/jobs/expire", json={"namespace": "n", "dry_run": False}
    )
    assert response.json()["ids"] == [new]
    memory = await notebook.read(old)
    assert (memory["state"], memory["superseded_by"], memory["state_until"]) == (
        "current",
        None,
        None,
    )


async def test_a_replaced_memory_is_current_again_when_its_successor_expires(
    notebook: Notebook,
) -> None:
    """A PATCH or a repeated write can make the successor expire. From then on the replaced memory
    is current.
    """
    old, new = await ports(notebook)
    await notebook.patch(new, expires_at=(NOW + timedelta(hours=1)).isoformat())
    assert (await notebook.read(old))["state_until"] == "2026-03-01T13:00:00Z"
    await notebook.write(PORTS[1], expires_at=(NOW + timedelta(hours=3)).isoformat())
    notebook.set_time(NOW + timedelta(hours=2))
    assert await notebook.states(old) == ["replaced"]
    notebook.set_time(NOW + timedelta(hours=3))
    assert await notebook.states(old) == ["current"]


async def test_the_expire_job_makes_a_memory_without_its_successor_current(
    notebook: Notebook, services: Services
) -> None:
    old, new = await ports(notebook)
    await services.store.delete(Scope("default", "n"), [new])
    await notebook.client.post("/v1/admin/jobs/expire", json={"namespace": "n", "dry_run": False})
    memory = await notebook.read(old)
    assert (memory["state"], memory["superseded_by"]) == ("current", None)


async def test_erasing_a_successor_brings_back_what_it_replaced(notebook: Notebook) -> None:
    """After its successor is erased from every store, the replaced memory is current."""
    old, new = await ports(notebook)
    response = await notebook.client.post(
        "/v1/admin/erase", json={"namespace": "n", "memory_id": new}
    )
    assert not any(response.json()["remaining"].values())
    assert await notebook.states(old) == ["current"]


async def test_editing_a_successor_to_another_subject_brings_back_what_it_replaced(
    notebook: Notebook,
) -> None:
    """If an edit changes only the value of the successor, and not its subject, the old memory stays
    replaced.
    """
    old, new = await ports(notebook)
    before = await notebook.read(old)
    await notebook.patch(new, content="The port of the API is 8181.")
    assert (await notebook.read(old))["valid_to"] == before["valid_to"]
    assert await notebook.states(old, new) == ["replaced", "current"]
    await notebook.patch(new, content="The office is closed in August.")
    assert await notebook.states(old, new) == ["current", "current"]
    assert (await notebook.read(new))["links"] == []


@pytest.mark.parametrize(
    ("content", "state"),
    [("Anna plays the cello on Sundays.", "current"), ("The port of the API is 70.", "replaced")],
)
async def test_a_replaced_memory_that_is_edited_to_another_subject_is_current(
    notebook: Notebook, content: str, state: str
) -> None:
    old, new = await ports(notebook)
    await notebook.patch(old, content=content)
    assert await notebook.states(old, new) == [state, "current"]


async def test_a_successor_that_loses_its_link_replaces_nothing(notebook: Notebook) -> None:
    """If the `contradicts` link of a successor to the replaced memory is removed, both memories are
    current.
    """
    old, new = await ports(notebook)
    memory = await notebook.patch(new, links=[])
    assert (memory["links"], await notebook.states(old, new)) == ([], ["current", "current"])


async def test_a_restored_memory_and_its_successor_are_contested(notebook: Notebook) -> None:
    old, new = await ports(notebook)
    memory = await notebook.restore(old)
    assert (memory["state"], memory["valid_to"], memory["superseded_by"]) == (
        "contested",
        None,
        None,
    )
    assert await notebook.states(old, new) == ["contested", "contested"]
    assert [link["to"] for link in memory["links"]] == [new]
    assert await notebook.found() == await notebook.listed(state="contested") == [*PORTS[:2]]
    for memory_id in (old, new):
        response = await notebook.client.post(
            f"/v1/memories/{memory_id}/restore", params={"namespace": "n"}
        )
        assert response.status_code == 409


async def test_a_restored_memory_is_not_replaced_when_its_successor_is_written_again(
    notebook: Notebook,
) -> None:
    old, new = await ports(notebook)
    await notebook.restore(old)
    await notebook.write(PORTS[1])
    assert await notebook.states(old, new) == ["contested", "contested"]


@pytest.mark.parametrize("how", ["delete", "links"])
async def test_a_memory_that_is_no_longer_contested_is_current(
    notebook: Notebook, how: str
) -> None:
    """If one of two contested memories is deleted or loses its links, the other is current and has
    no links.
    """
    old, new = await ports(notebook)
    await notebook.restore(old)
    await (notebook.delete(new) if how == "delete" else notebook.patch(new, links=[]))
    memory = await notebook.read(old)
    assert (memory["state"], memory["links"], memory["state_reason"]) == ("current", [], None)


async def test_the_end_of_a_memory_can_be_set_and_taken_back(notebook: Notebook) -> None:
    """If valid_to ends a memory, the fact that it had replaced is current.

    If valid_to is set to null again, both are contested.
    """
    old, new = await ports(notebook)
    ended = await notebook.patch(new, valid_to=NOW.isoformat())
    assert (ended["state"], ended["superseded_by"], await notebook.found()) == (
        "replaced",
        None,
        [PORTS[0]],
    )
    await notebook.patch(new, valid_to=None)
    assert await notebook.states(old, new) == ["contested", "contested"]


async def test_a_caller_may_name_the_memory_that_replaces_another(
    notebook: Notebook, times: list[datetime]
) -> None:
    """A memory with `superseded_by` is replaced; its history and the decisions say by what, and it
    can be undone.
    """
    old = (await notebook.write("The office is in Rome."))["id"]
    times.append(NOW + timedelta(hours=1))
    new = (await notebook.write("We call the printer Bob.", type="episodic"))["id"]
    changed = await notebook.patch(old, superseded_by=new)
    assert (changed["state"], changed["superseded_by"]) == ("replaced", new)
    assert changed["valid_to"] == (await notebook.read(new))["valid_from"]
    assert [version["memory"]["id"] for version in await notebook.history(new)] == [old, new]
    decisions = (await notebook.client.get("/v1/decisions", params={"namespace": "n"})).json()[
        "decisions"
    ]
    assert [(each["kind"], each["by"]) for each in decisions] == [("replaced", new)]
    await notebook.client.post(f"/v1/memories/{old}/undo", params={"namespace": "n"})
    assert await notebook.states(old, new) == ["current", "current"]


async def test_a_memory_replaced_by_its_former_successor_takes_its_place(
    notebook: Notebook,
) -> None:
    old, new = [
        (await notebook.write(text))["id"]
        for text in ("The office is in Rome.", "The printer is called Bob.")
    ]
    await notebook.patch(old, superseded_by=new)
    await notebook.patch(new, superseded_by=old)
    assert await notebook.states(old, new) == ["current", "replaced"]
    assert [version["memory"]["id"] for version in await notebook.history(old)] == [new, old]


@pytest.mark.parametrize(
    "newer", [None, 7, "no-id", "00000000-0000-4000-8000-000000000000", "itself"]
)
async def test_superseded_by_must_name_another_stored_memory(
    notebook: Notebook, newer: object
) -> None:
    """The field superseded_by takes nothing but the id of another memory of the namespace."""
    memory_id = (await notebook.write("The office is in Rome."))["id"]
    body = {"superseded_by": memory_id if newer == "itself" else newer}
    response = await notebook.client.patch(
        f"/v1/memories/{memory_id}", params={"namespace": "n"}, json=body
    )
    assert (response.status_code, response.json()["errors"][0]["path"]) == (422, "superseded_by")
    assert (await notebook.read(memory_id))["state"] == "current"


async def test_a_memory_with_an_end_in_the_future_is_current_until_then(notebook: Notebook) -> None:
    """A memory whose valid_to is tomorrow is current until then, and has the state `replaced`
    afterwards.
    """
    memory_id = (await notebook.write("The office is in Rome."))["id"]
    memory = await notebook.patch(memory_id, valid_to=(NOW + timedelta(days=1)).isoformat())
    assert memory["state"] == "current"
    assert await notebook.patch(memory_id, valid_to=None) == {**memory, "valid_to": None}
    await notebook.patch(memory_id, valid_to=(NOW + timedelta(days=1)).isoformat())
    notebook.set_time(NOW + timedelta(days=1))
    assert (await notebook.states(memory_id), await notebook.found()) == (["replaced"], [])
    assert (await notebook.restore(memory_id))["state"] == "current"


async def test_a_replaced_memory_with_an_end_in_the_future_is_contested_until_then(
    notebook: Notebook, times: list[datetime]
) -> None:
    old, new = await ports(notebook)
    end = times[-1] + timedelta(days=1)
    changed = await notebook.patch(old, valid_to=end.isoformat())
    assert (changed["state"], changed["superseded_by"]) == ("contested", None)
    assert await notebook.states(old, new) == ["contested", "contested"]
    times.append(end)
    assert await notebook.states(old, new) == ["replaced", "current"]


async def test_another_valid_to_of_a_replaced_memory_keeps_the_reason(
    notebook: Notebook, times: list[datetime]
) -> None:
    old, new = await ports(notebook)
    before = await notebook.read(old)
    changed = await notebook.patch(old, valid_to=times[-1].isoformat())
    assert {name for name in before if before[name] != changed[name]} == {"valid_to"}
    decided = (await notebook.client.get("/v1/decisions", params={"namespace": "n"})).json()[
        "decisions"
    ]
    assert [(each["id"], each["reason"]) for each in decided] == [(old, before["state_reason"])]
    await notebook.delete(new)
    assert await notebook.states(old) == ["current"]


async def test_a_restored_memory_is_not_forgotten_again(notebook: Notebook) -> None:
    """If a memory that the forget job hid is restored, it is pinned, and later jobs neither hide
    nor delete it.
    """
    memory_id = (await notebook.write("The office is in Rome.", created_at="2020-01-01T00:00:00Z"))[
        "id"
    ]
    body = {"namespace": "n", "dry_run": False}
    await notebook.client.post("/v1/admin/jobs/forget", json={**body, "max_age_days": 30})
    assert await notebook.states(memory_id) == ["replaced"]
    memory = await notebook.restore(memory_id)
    assert (memory["state"], memory["pinned"]) == ("current", True)
    notebook.set_time(NOW + timedelta(days=60))
    for job, options in (("forget", {"max_age_days": 30}), ("expire", {})):
        answer = await notebook.client.post(f"/v1/admin/jobs/{job}", json=body | options)
        assert answer.json()["ids"] == []


@pytest.mark.parametrize("end", ["soon", 7, "2020-01-01T00:00:00Z", "2026-03-01T12:00:00"])
async def test_an_end_of_a_memory_that_is_invalid_or_too_early_is_refused(
    notebook: Notebook, end: object
) -> None:
    """A valid_to that is no time, has no UTC offset, or precedes the memory's start is a 422 that
    names the field.
    """
    memory_id = (await notebook.write("The office is in Rome."))["id"]
    response = await notebook.client.patch(
        f"/v1/memories/{memory_id}", params={"namespace": "n"}, json={"valid_to": end}
    )
    assert response.status_code == 422
    assert response.json()["errors"][0]["path"] == "valid_to"


async def test_patch_sets_links_and_deleting_a_linked_memory_removes_them(
    notebook: Notebook,
) -> None:
    """A PATCH sets the links of a memory.

    A link to the memory itself or to an unknown id is a 422. Deleting a memory removes the links
    that point to it.
    """
    first, second = [
        (await notebook.write(content))["id"]
        for content in ("Ann likes tea.", "Tea is brewed at 90 C.")
    ]
    link = {"to": second, "type": "extends", "strength": 0.5}
    assert (await notebook.patch(first, links=[link]))["links"] == [link]
    for to in (first, "no such memory"):
        response = await notebook.client.patch(
            f"/v1/memories/{first}",
            params={"namespace": "n"},
            json={"links": [{"to": to, "type": "extends"}]},
        )
        assert (response.status_code, response.json()["errors"][0]["path"]) == (422, "links[0].to")
    await notebook.delete(second)
    assert (await notebook.read(first))["links"] == []


async def test_a_contradicts_link_makes_both_memories_contested(notebook: Notebook) -> None:
    first, second = [
        (await notebook.write(content))["id"] for content in ("Ann likes tea.", "Tea bores Ann.")
    ]
    await notebook.patch(first, links=[{"to": second, "type": "contradicts"}])
    assert await notebook.states(first, second) == ["contested", "contested"]
    answer = await notebook.write(
        "Ann never drinks tea at all.", links=[{"to": first, "type": "contradicts"}]
    )
    assert (answer["contests"], answer["memory"]["state"]) == ([first], "contested")


async def test_links_of_a_patch_that_also_sets_a_new_text_are_kept(notebook: Notebook) -> None:
    first, second = [
        (await notebook.write(content))["id"] for content in ("Tea is green.", "Coffee is black.")
    ]
    links = [{"to": first, "type": "contradicts", "strength": 0.5}]
    changed = await notebook.patch(second, content="Coffee is brown.", links=links)
    assert (changed["links"], changed["state"]) == (links, "contested")
    assert await notebook.states(first) == ["contested"]


async def test_deleting_a_fact_that_was_stated_again_brings_back_both_neighbours(
    notebook: Notebook,
) -> None:
    """If a replaced fact is written again and then deleted, the facts before and after it are shown
    again.
    """
    first = (await notebook.write(PORTS[0], created_at="2026-01-01T00:00:00Z"))["id"]
    items = [{"type": "semantic", "content": content} for content in PORTS[1:]]
    answer = await notebook.client.post(
        "/v1/memories/batch", json={"namespace": "n", "items": items}
    )
    second, third = (result["id"] for result in answer.json()["results"])
    assert await notebook.states(first, second, third) == ["replaced", "replaced", "current"]
    assert (await notebook.write(PORTS[1]))["id"] == second
    assert await notebook.states(first, second, third) == ["replaced", "current", "replaced"]
    assert await notebook.delete(second) == 204
    assert "replaced" not in await notebook.states(first, third)


async def test_facts_that_replace_each_other_are_not_both_hidden(notebook: Notebook) -> None:
    """If an older fact is edited to contradict a later one, it replaces the later one.

    Writing the edited text again changes nothing.
    """
    edited = (await notebook.write("Tea is green.", created_at="2026-01-01T00:00:00Z"))["id"]
    later = (await notebook.write(PORTS[0], created_at="2026-02-01T00:00:00Z"))["id"]
    await notebook.patch(edited, links=[{"to": later, "type": "contradicts"}])
    await notebook.patch(edited, content=PORTS[1])
    assert await notebook.states(edited, later) == ["current", "replaced"]
    assert (await notebook.write(PORTS[1]))["id"] == edited
    assert await notebook.states(edited, later) == ["current", "replaced"]


async def test_a_history_has_the_whole_chain_of_replaced_memories(notebook: Notebook) -> None:
    """If B replaced A and C replaced B, the history of each lists A, B and C with times and reasons
    of the changes.
    """
    ids = await ports(notebook, 3)
    for memory_id in ids:
        versions = await notebook.history(memory_id)
        assert [version["memory"]["id"] for version in versions] == ids
        assert [version.get("replaced_by") for version in versions] == [*ids[1:], None]
        assert [version.get("to") for version in versions] == [
            *(version["from"] for version in versions[1:]),
            None,
        ]
        assert [bool(version.get("reason")) for version in versions] == [True, True, False]


async def test_a_history_says_when_and_why_a_memory_ended(
    notebook: Notebook, times: list[datetime]
) -> None:
    expired, ended = [
        (await notebook.write(content, expires_at=end))["id"]
        for content, end in (
            ("Ann likes tea.", (times[-1] + timedelta(hours=1)).isoformat()),
            ("Tea is brewed at 90 C.", None),
        )
    ]
    times.append(times[-1] + timedelta(hours=2))
    await notebook.patch(ended, valid_to=times[-1].isoformat())
    ends = [(await notebook.history(memory_id))[0] for memory_id in (expired, ended)]
    assert [version["reason"] for version in ends] == ["expired", "ended by a caller"]
    assert ends[0]["to"] == (await notebook.read(expired))["expires_at"]


async def test_a_history_has_the_memories_that_are_contested(notebook: Notebook) -> None:
    """The history of a restored memory lists it and its successor, with the reason why both are
    contested.
    """
    ids = await ports(notebook)
    await notebook.restore(ids[0])
    for memory_id in ids:
        versions = await notebook.history(memory_id)
        assert [(version["memory"]["id"], version.get("to")) for version in versions] == [
            (known, None) for known in ids
        ]
        assert {version["reason"] for version in versions} == {"restored by a caller"}


async def test_a_history_has_the_earlier_texts(notebook: Notebook) -> None:
    """The history of an edited memory has each earlier text with the time of its edit.

    A read of the memory has the last text only.
    """
    memory_id = (await notebook.write("The office is in Rome.", created_at="2026-02-01T00:00:00Z"))[
        "id"
    ]
    for hours, content in enumerate(("The office is in Oslo.", "The office is in Bern."), 1):
        notebook.set_time(NOW + timedelta(hours=hours))
        memory = await notebook.patch(memory_id, content=content)
    assert "earlier" not in memory
    versions = await notebook.history(memory_id)
    assert [version["memory"]["content"] for version in versions] == [
        f"The office is in {place}." for place in ("Rome", "Oslo", "Bern")
    ]
    edits = ["2026-03-01T13:00:00Z", "2026-03-01T14:00:00Z"]
    assert [version["from"] for version in versions] == ["2026-02-01T00:00:00Z", *edits]
    assert [version.get("to") for version in versions] == [*edits, None]
    assert [(version.get("reason"), version.get("replaced_by")) for version in versions] == [
        ("edited", memory_id),
        ("edited", memory_id),
        (None, None),
    ]


async def test_a_search_as_of_an_earlier_time_finds_what_was_replaced_since(
    notebook: Notebook,
) -> None:
    old, _ = await ports(notebook)
    at = (NOW - timedelta(minutes=90)).isoformat()
    response = await notebook.client.post(
        "/v1/search", json={"query": "port", "namespace": "n", "as_of": at}
    )
    assert [(hit["id"], hit["memory"]["state"]) for hit in response.json()["hits"]] == [
        (old, "replaced")
    ]


@pytest.mark.parametrize("path", ["history", "restore"])
async def test_history_and_restore_of_an_unknown_memory_are_404(
    notebook: Notebook, path: str
) -> None:
    method = "GET" if path == "history" else "POST"
    url = f"/v1/memories/{'0' * 8}-0000-4000-8000-{'0' * 12}/{path}"
    assert (
        await notebook.client.request(method, url, params={"namespace": "n"})
    ).status_code == 404


async def test_a_context_shows_the_date_from_which_a_changed_fact_holds(notebook: Notebook) -> None:
    """In a context, a fact that replaced another ends with "(since DATE)".

    A replaced one ends with "(from DATE until DATE)". Facts that never changed have no date.
    """
    old, new = await ports(notebook)
    await notebook.write("The API is written in Go.")

    async def lines(**fields: Any) -> list[str]:
        body = {"query": "the port of the API", "namespace": "n", "floor": 0, **fields}
        answer = (await notebook.client.post("/v1/retrieve", json=body)).json()
        assert answer["metadata"]["total_tokens"] <= answer["metadata"]["budget"]
        return sorted(line for line in answer["context"].splitlines() if line.startswith("- "))

    assert await lines() == [
        "- The API is written in Go.",
        "- The port of the API is 81. (since 2026-03-01)",
    ]
    ended = "- The port of the API is 80. (from 2026-03-01 until 2026-03-01)"
    assert await lines(filters={"state": {"eq": "replaced"}}) == [ended]
    await notebook.restore(old)
    assert [line[-18:] for line in (await lines())[1:]] == ["(since 2026-03-01)"] * 2
    await notebook.delete(new)
    assert await lines() == ["- The API is written in Go.", "- The port of the API is 80."]


async def test_the_items_of_a_context_say_which_are_contested_or_replaced(
    notebook: Notebook,
) -> None:
    """Items of a context have the state of their memory. Replaced facts are only shown for
    questions about the past.
    """
    first, second = await ports(notebook)

    async def states_in_context(query: str) -> dict[str, str | None]:
        body = {"query": query, "namespace": "n", "budget": 500, "floor": 0}
        response = await notebook.client.post("/v1/retrieve", json=body)
        assert response.status_code == 200, response.text
        return {item["id"]: item.get("state") for item in response.json()["items"]}

    assert await states_in_context("Which port has the API?") == {second: None}
    assert await states_in_context("Which port did the API have before?") == {
        second: None,
        first: "replaced",
    }
    await notebook.restore(first)
    assert await states_in_context("Which port has the API?") == {
        second: "contested",
        first: "contested",
    }


async def test_an_imported_export_has_the_same_histories(notebook: Notebook) -> None:
    """Importing an export keeps the history of each memory (times, reasons and texts of its
    versions).

    Only the ids differ.
    """
    old, new = await ports(notebook)
    await notebook.patch(new, content="The port of the API is 8181.")
    lines = (await notebook.client.post("/v1/admin/export", json={"namespace": "n"})).content
    answer = await notebook.client.post(
        "/v1/admin/import",
        params={"namespace": "m"},
        content=lines,
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert answer.json()["counts"]["stored"] == 2, answer.text
    replaced = await notebook.client.get(
        "/v1/memories", params={"namespace": "m", "state": "replaced"}
    )
    (copy,) = replaced.json()["memories"]
    copied = await notebook.history(copy["id"], "m")
    original = await notebook.history(old)
    for moved, version in zip(copied, original, strict=True):
        for field in ("from", "to", "reason"):
            assert moved.get(field) == version.get(field)
        assert moved["memory"]["content"] == version["memory"]["content"]


async def test_a_fact_that_changes_often_has_one_current_value(notebook: Notebook) -> None:
    """If a fact changes many times, each value replaces the one before, and only the last one is
    current.
    """
    for number in range(40):
        notebook.set_time(NOW + timedelta(hours=number))
        written = await notebook.write(f"The port of the API is {8000 + 37 * number}.")
        assert len(written.get("supersedes", [])) == min(number, 1)
    assert await notebook.listed() == ["The port of the API is 9443."]
