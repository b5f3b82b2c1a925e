"""The inspector's lists of memories, a memory's page, the forms on it, and search."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.http.inspector.conftest import HOSTILE, Visit, text_of

pytestmark = pytest.mark.anyio


async def test_overview_counts_memories_by_type(visit: Visit) -> None:
    """The first page shows the number of memories of each type, the total, and the newest
    memories.
    """
    await visit.write("The build runs on Friday.")
    await visit.write("Ask Mira about the keys.", "prospective")
    page = text_of(await visit.open("/"))
    assert "semantic 1 " in page
    assert "all 2 " in page
    assert "Ask Mira about the keys." in page


async def test_empty_pages_say_what_to_do(visit: Visit) -> None:
    """A page without namespaces, memories or search hits says how to add or find some."""
    assert "/v1/memories" in (await visit.client.get("/inspect")).text
    assert "no memories yet" in text_of(await visit.open("/"))
    assert "Show all of this namespace" in text_of(await visit.open("/memories"))
    assert "Ask as an agent would" in text_of(await visit.open("/search"))
    assert "Use other words" in text_of(await visit.open("/search", q="anything"))


async def test_namespaces_are_listed_and_any_can_be_opened(visit: Visit) -> None:
    """A single namespace is opened at once. Several namespaces are shown as a list of links."""
    await visit.write("One.")
    assert "<h1>n</h1>" in (await visit.client.get("/inspect")).text
    await Visit(visit.client, "café & co").write("Two.")
    page = (await visit.client.get("/inspect")).text
    assert "caf%C3%A9+%26+co" in page
    assert "café &amp; co" in page


async def test_search_shows_signals_that_add_up(visit: Visit) -> None:
    """Each search hit shows a bar of its ranking signals (such as similarity), which add up to its
    score.
    """
    await visit.write("The build runs on Friday.")
    page = await visit.open("/search", q="when does the build run?")
    assert "The build runs on Friday." in page
    assert 'class="signal-similarity"' in page
    text = text_of(page)
    assert "similarity" in text
    assert "Weight" in text


async def test_invalid_search_shows_the_form_with_the_error(visit: Visit) -> None:
    """A search with an invalid field shows the form and names the field. Without a namespace, it
    asks to choose one.
    """
    page = await visit.open("/search", q="build", top_k="9000")
    assert "top_k" in text_of(page)
    assert 'name="q"' in page
    for path in ("/search?q=build", "/memories", "/due?namespace=%20x"):
        got = await visit.client.get(f"/inspect{path}")
        assert got.headers["location"] == "/inspect/?done=namespace"
    assert "Choose a namespace first." in (await visit.client.get("/inspect/?done=namespace")).text


async def test_search_is_limited_to_a_type(visit: Visit) -> None:
    """If the search form names a memory type, only memories of that type are shown."""
    await visit.write("The build runs on Friday.")
    await visit.write("The build ran on Friday.", "episodic")
    page = text_of(await visit.open("/search", q="build on Friday", type="episodic"))
    assert "The build ran" in page
    assert "The build runs" not in page


async def test_hostile_text_is_shown_as_text(visit: Visit) -> None:
    """Markup in contents, tags, sessions, namespaces and queries is escaped on every page that
    shows it.
    """
    hostile = Visit(visit.client, "<b>n</b>")
    memory_id = await hostile.write(
        HOSTILE,
        "episodic",
        session_id="<i>s</i>",
        tags=["<u>t</u>"],
        metadata={"<p>": "</dd><script>"},
    )
    pages: dict[str, dict[str, Any]] = {
        "/": {},
        "/memories": {"tag": "<u>t</u>"},
        "/memory": {"id": memory_id},
        "/search": {"q": HOSTILE.replace("\u202e", "")},
    }
    for path, query in pages.items():
        page = await hostile.open(path, **query)
        assert page.count("<script") == 1, path
        for raw in ("<img src=x", "<b>n", "<i>s", "<u>t", "</dd><script>", " 49 "):
            assert raw not in page, (path, raw)
        assert "alert(1)" in page


async def test_memories_are_filtered_and_paged(visit: Visit) -> None:
    """A filtered list of memories links to its next page, and the link keeps the filter."""
    for number in range(3):
        await visit.write(f"Fact {number} of the build.", tags=["build"])
    await visit.write("Another.")
    first = await visit.open("/memories", tag="build", limit=2)
    assert "3 memories" in text_of(first)
    address = next(part for part in first.split('"') if "cursor=" in part).replace("&amp;", "&")
    assert "tag=build" in address
    assert (
        "Fact 0" in (await visit.client.get(address)).text
        or "Fact" in (await visit.client.get(address)).text
    )


async def test_edit_saves_only_changed_fields(visit: Visit) -> None:
    """An edit saves the changed fields and keeps the old text in the history. Without a change
    nothing is saved.
    """
    memory_id = await visit.write("The build runs on Friday.", tags=["a"])
    same: dict[str, Any] = {"content": "The build runs on Friday.", "importance": "5", "tags": "a"}
    assert (
        "done=unchanged"
        in (await visit.send("/memory/edit", id=memory_id, **same)).headers["location"]
    )
    edit: dict[str, Any] = {
        "content": "The build runs on\r\nMonday.",
        "importance": "9",
        "tags": "a, b ,",
    }
    done = await visit.send("/memory/edit", id=memory_id, **edit)
    page = text_of((await visit.client.get(done.headers["location"])).text)
    assert "The changes are saved." in page
    memory = (await visit.client.get(f"/v1/memories/{memory_id}", params={"namespace": "n"})).json()
    assert (memory["content"], memory["importance"], memory["tags"]) == (
        "The build runs on\nMonday.",
        9,
        ["a", "b"],
    )
    assert "The build runs on Friday." in page
    assert "edited" in page


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"importance": "11", "content": "x"}, "importance"),
        ({"importance": "5"}, "content"),
        ({"content": "x"}, "import"),
    ],
)
async def test_invalid_edit_says_what_is_wrong(
    visit: Visit, fields: dict[str, Any], says: str
) -> None:
    """An edit with an invalid or missing field is a 422 that names the field."""
    memory_id = await visit.write("The build runs on Friday.")
    assert says in text_of((await visit.send("/memory/edit", 422, id=memory_id, **fields)).text)


async def test_a_text_of_the_greatest_length_can_be_edited(visit: Visit) -> None:
    """The edit form saves a text of the greatest allowed length, even one of Chinese characters."""
    memory_id = await visit.write("short")
    content = "漢" * 500_000
    await visit.send("/memory/edit", id=memory_id, content=content, importance="5")
    memory = (await visit.client.get(f"/v1/memories/{memory_id}", params={"namespace": "n"})).json()
    assert memory["content"] == content


async def test_steps_of_a_procedure_are_edited_by_line(visit: Visit) -> None:
    memory_id = await visit.write("Deploy", "procedural", steps=["Build", "Ship"])
    form: dict[str, Any] = {
        "content": "Deploy",
        "importance": "5",
        "steps": "Build\r\n\r\nTest\r\nShip",
    }
    await visit.send("/memory/edit", id=memory_id, **form)
    memory = (await visit.client.get(f"/v1/memories/{memory_id}", params={"namespace": "n"})).json()
    assert memory["steps"] == ["Build", "Test", "Ship"]


async def test_tags_with_commas_and_steps_with_line_breaks_stay_as_they_are(visit: Visit) -> None:
    """An edit of another field leaves tags that contain commas, and steps that contain line breaks,
    unchanged.
    """
    tags = ["a, b", "c"]
    steps = ["Build\nand test", "Ship"]
    memory_id = await visit.write("Deploy", "procedural", steps=steps, tags=tags)
    form: dict[str, Any] = {
        "content": "Deploy",
        "tags": "a, b, c",
        "steps": "Build\r\nand test\r\nShip",
    }
    await visit.send("/memory/edit", id=memory_id, importance="9", **form)
    memory = (await visit.client.get(f"/v1/memories/{memory_id}", params={"namespace": "n"})).json()
    assert (memory["tags"], memory["steps"], memory["importance"]) == (tags, steps, 9)


async def test_memory_is_pinned_and_unpinned_by_the_button(visit: Visit) -> None:
    """The first press of the pin button pins the memory, the second one unpins it."""
    memory_id = await visit.write("The build runs on Friday.")
    for pinned in (True, False):
        await visit.send("/memory/pin", id=memory_id)
        memory = (
            await visit.client.get(f"/v1/memories/{memory_id}", params={"namespace": "n"})
        ).json()
        assert memory["pinned"] is pinned


async def test_forget_button_deletes_the_memory(visit: Visit) -> None:
    memory_id = await visit.write("The build runs on Friday.")
    done = await visit.send("/memory/forget", id=memory_id)
    assert "The memory is deleted." in (await visit.client.get(done.headers["location"])).text
    await visit.open("/memory", 404, id=memory_id)


async def test_replaced_memory_is_restored(visit: Visit) -> None:
    """The page of a replaced memory has a restore button, which makes the memory current again."""
    memory_id = await visit.write("The limit is 10 calls.", created_at="2026-01-01T00:00:00Z")
    path = f"/v1/memories/{memory_id}"
    await visit.client.patch(
        path, params={"namespace": "n"}, json={"valid_to": "2026-02-01T00:00:00Z"}
    )
    page = await visit.open("/memory", id=memory_id)
    assert "replaced" in text_of(page)
    assert "/memory/restore" in page
    await visit.send("/memory/restore", id=memory_id)
    assert "/memory/restore" not in await visit.open("/memory", id=memory_id)


async def test_links_are_shown_from_both_ends(visit: Visit) -> None:
    """A link between two memories is shown on the page of each."""
    first = await visit.write("The build runs on Friday.")
    second = await visit.write("The tests run before it.", links=[{"to": first, "type": "extends"}])
    assert "extends strength 1.00" in text_of(await visit.open("/memory", id=second))
    assert "(it links here)" in text_of(await visit.open("/memory", id=first))


async def test_page_of_a_memory_shows_the_conversation_around_it(visit: Visit) -> None:
    """The page of a memory shows the memories of the same session before and after it, in order of
    time.
    """
    for minute, content in enumerate(("First.", "Second.", "Third.")):
        await visit.write(
            content, "episodic", session_id="s", created_at=f"2026-03-01T10:0{minute}:00Z"
        )
    memories = (await visit.client.get("/v1/memories", params={"namespace": "n"})).json()[
        "memories"
    ]
    page = text_of(await visit.open("/memory", id=memories[1]["id"]))
    talk = page[page.index("Conversation") :]
    assert talk.index("First.") < talk.index("Second.") < talk.index("Third.")
