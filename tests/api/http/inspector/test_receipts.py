"""The inspector's receipts (records of how contexts were chosen): list, page, buttons, and the
receipts of a memory.
"""

from __future__ import annotations

from typing import Any

import pytest

from api.auth.keys import Role
from api.http.inspector.charts import Part, columns, stacked
from api.wiring.container import Services
from tests.api.conftest import bearer, connect
from tests.api.http.inspector.conftest import HOSTILE, Visit, log_in, text_of

pytestmark = pytest.mark.anyio


async def retrieve(visit: Visit, query: str = "when does the build run?", **body: Any) -> str:
    """Build a context over the API and return the id of its receipt."""
    request = {"namespace": visit.namespace, "query": query, "floor": 0.0, **body}
    receipt_id: str = (await visit.client.post("/v1/retrieve", json=request)).json()["receipt_id"]
    return receipt_id


async def test_receipt_says_of_each_candidate_whether_it_was_shown_and_why(visit: Visit) -> None:
    """If the budget has room for one of two facts, the receipt lists one as shown, and one as left
    out and why.
    """
    await visit.write("The build runs on Friday at noon.")
    await visit.write(
        "The build runs on Monday at noon as well, but only if somebody asks for it by name."
    )
    receipt_id = await retrieve(visit, budget={"total": 30, "per_type": {"semantic": 24}})
    page = text_of(await visit.open("/receipt", id=receipt_id))
    inside = page[page.index("In the context") : page.index("Left out")]
    outside = page[page.index("Left out") :]
    assert "The build runs on Friday" in inside
    assert "budget was used up" in outside or "budget of its type was used up" in outside
    assert "The build runs on Monday" in outside
    assert "semantic" in page[page.index("Budget") : page.index("In the context")]


async def test_bars_show_tokens_against_budgets(visit: Visit) -> None:
    """A receipt's page has a bar for each memory type: a block for each memory, and a mark at the
    reserved tokens.
    """
    await visit.write("The build runs on Friday.")
    page = await visit.open("/receipt", id=await retrieve(visit, budget=500))
    assert 'class="type-semantic cut"' in page
    assert 'class="mark"' in page
    assert "rank 1: " in page


@pytest.mark.parametrize("part", [True, False])
async def test_buttons_verify_and_replay_a_receipt(visit: Visit, *, part: bool) -> None:
    """The buttons verify, replay and show a receipt. htmx gets a page fragment, and other browsers
    a whole page.
    """
    memory_id = await visit.write("The build runs on Friday.")
    receipt_id = await retrieve(visit)
    if part:
        visit.client.headers["HX-Request"] = "true"
    verified = (await visit.send("/receipt/verify", 200, id=receipt_id)).text
    assert ("<!doctype" not in verified) is part
    assert "Every check passed" in text_of(verified)
    assert "identical" in text_of((await visit.send("/receipt/replay", 200, id=receipt_id)).text)
    assert "Knowledge" in text_of((await visit.send("/receipt/context", 200, id=receipt_id)).text)
    await visit.client.delete(f"/v1/memories/{memory_id}", params={"namespace": "n"})
    replayed = text_of((await visit.send("/receipt/replay", 200, id=receipt_id)).text)
    assert "The context would be another now" in replayed
    assert memory_id[:13] in replayed
    assert "cannot be shown any more" in text_of(
        (await visit.send("/receipt/context", 200, id=receipt_id)).text
    )
    assert "deleted since" in text_of(
        (await visit.client.get("/inspect/receipt", params={"id": receipt_id})).text
    )


async def test_context_is_built_from_the_search(visit: Visit) -> None:
    """The context button of the search page builds a context for the same query and opens its
    receipt.
    """
    await visit.write("The build runs on Friday.")
    done = await visit.send("/context", q="when does the build run?", budget="300")
    page = text_of((await visit.client.get(done.headers["location"])).text)
    assert "when does the build run?" in page
    assert "300" in page


async def test_receipts_are_listed_newest_first_and_paged(visit: Visit) -> None:
    """The list shows the queries of a namespace's receipts, newest first, with a link to older
    ones.
    """
    assert "No context was built" in text_of(await visit.open("/receipts"))
    await visit.write("The build runs on Friday.")
    for number in range(32):
        await retrieve(visit, f"question {number}?")
    await retrieve(Visit(visit.client, "elsewhere"), "another question?")
    page = await visit.open("/receipts")
    text = text_of(page)
    assert text.index("question 31?") < text.index("question 2?")
    assert "question 1?" not in text
    assert "another question?" not in text
    older = next(part for part in page.split('"') if "before=" in part).replace("&amp;", "&")
    assert "question 1?" in text_of((await visit.client.get(older)).text)


async def test_memory_names_the_receipts_it_was_in(visit: Visit) -> None:
    """A memory's page lists the receipts of contexts that contained the memory, and how many
    receipts were searched.
    """
    memory_id = await visit.write("The build runs on Friday.")
    assert "There are no receipts" in text_of(await visit.open("/memory/receipts", id=memory_id))
    await retrieve(visit)
    assert f"/inspect/memory/receipts?namespace=n&amp;id={memory_id}" in await visit.open(
        "/memory", id=memory_id
    )
    page = text_of(await visit.open("/memory/receipts", id=memory_id))
    assert "in the context rank 1" in page
    assert "among 1 receipts" in page
    assert "It is in none" in text_of(await visit.open("/memory/receipts", id="another"))


async def test_hostile_queries_and_contents_are_escaped(visit: Visit) -> None:
    """Markup in a query, session id or memory is escaped on every page that shows receipts or their
    context.
    """
    hostile = HOSTILE.replace("\u202e", "")
    memory_id = await visit.write(hostile)
    receipt_id = await retrieve(visit, hostile, session_id="<i>s</i>")
    pages = [
        await visit.open("/receipts"),
        await visit.open("/receipt", id=receipt_id),
        await visit.open("/memory/receipts", id=memory_id),
        (await visit.send("/receipt/context", 200, id=receipt_id)).text,
    ]
    for page in pages:
        assert "<img src=x" not in page
        assert "<i>s" not in page
        assert "alert(1)" in page


async def test_receipts_of_others_are_not_shown(guarded: Services) -> None:
    """Receipts of another tenant are a 404. A key bound to an agent gets a 403 for receipts of
    other agents.
    """
    async with connect(guarded) as client:
        client.headers.update(bearer("acme", Role.WRITER))
        receipt_id = await retrieve(Visit(client), "the secret question?")
        del client.headers["authorization"]
        await log_in(client, "other", Role.ADMIN)
        assert "secret" not in await Visit(client).open("/receipts")
        await Visit(client).open("/receipt", 404, id=receipt_id)
        await Visit(client).send("/receipt/verify", 404, id=receipt_id)
        rights = {"tenant": "acme", "role": "reader", "agents": ["support"]}
        new_key = await client.post(
            "/v1/admin/keys", json=rights, headers=bearer("acme", Role.ADMIN)
        )
        client.cookies.clear()
        await client.post("/inspect/login", data={"key": new_key.json()["key"]})
        assert "secret" not in await Visit(client).open("/receipts")
        await Visit(client).open("/receipt", 403, id=receipt_id)
        done = await Visit(client).send("/context", q="my question?", budget="300")
        assert "my question?" in (await client.get(done.headers["location"])).text


async def test_unknown_receipt_is_not_found(visit: Visit) -> None:
    """An unknown or malformed receipt id is a 404, shown as an HTML page."""
    for unknown in ("x", "01a202de-c29d-7e9e-a67a-146260a0d360"):
        assert "no receipt" in text_of(await visit.open("/receipt", 404, id=unknown))


def test_stacked_parts_fill_the_bar() -> None:
    """The parts of a bar are as wide as their share of the total.

    Empty parts and what exceeds the total are left out.
    """
    parts = [Part("a", 1, ""), Part("b", 0, ""), Part("c", 2, ""), Part("d", 5, "")]
    assert [(s.name, s.x, s.width) for s in stacked(parts, 4)] == [
        ("a", 0, 250),
        ("c", 250, 500),
        ("d", 750, 250),
    ]
    assert stacked(parts, 0) == []


def test_chart_columns_are_scaled_to_the_highest() -> None:
    low, high = columns([[Part("a", 1, "")], [Part("a", 1, ""), Part("b", 3, "")]], 40)
    assert [(s.x, s.width) for s in low] == [(0, 10)]
    assert [(s.x, s.width) for s in high] == [(0, 10), (10, 30)]
