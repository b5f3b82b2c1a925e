"""The inspector (the service's web pages) in Chromium: views, buttons, keyboard, phone, dark mode,
accessibility.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser

from tests.browser.conftest import SPACE
from tests.browser.look import AXE, Look
from tests.processes import Process

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

AXE_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
QUESTION = "Why did we move the stock counter to Postgres advisory locks, and what is left to do?"
VIEWS: dict[str, tuple[str, dict[str, str]]] = {
    "overview": ("/", {}),
    "search": ("/search", {"q": QUESTION}),
    "memories": ("/memories", {}),
    "receipts": ("/receipts", {}),
    "sessions": ("/sessions", {}),
    "session": ("/session", {"id": "deploys"}),
    "due": ("/due", {}),
    "threads": ("/threads", {}),
    "workflows": ("/workflows", {}),
    "workflow": ("/workflow", {"id": "nightly-import"}),
    "decisions": ("/decisions", {}),
    "upkeep": ("/upkeep", {}),
}


def test_axe_is_the_published_file() -> None:
    """The copy of axe-core (an accessibility checker) in the repository has the published hash of
    version 4.14.1.
    """
    assert hashlib.sha256(AXE.read_bytes()).hexdigest() == AXE_SHA256


@pytest.mark.parametrize("view", VIEWS)
async def test_view_has_no_axe_findings_and_fits_the_window(look: Look, view: str) -> None:
    """On a laptop each view, with details opened, has no serious accessibility finding and fits the
    window's width.
    """
    path, query = VIEWS[view]
    await look.go(path, **query)
    await _check(look)


@pytest.mark.parametrize("view", VIEWS)
async def test_view_has_no_axe_findings_on_a_dark_phone(phone: Look, view: str) -> None:
    """At 360 pixels in dark mode each view has no serious accessibility finding and a dark
    background.
    """
    path, query = VIEWS[view]
    await phone.go(path, **query)
    await _check(phone)
    colour: str = await phone.page.evaluate(
        "getComputedStyle(document.documentElement).backgroundColor"
    )
    assert max(int(part) for part in colour[4:-1].split(", ")) < 64


async def store(client: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    """Send a POST to the API at `path` in the namespace of the samples, and return the answer's
    JSON.
    """
    got = await client.post(path, json={"namespace": SPACE, **body})
    assert got.is_success, got.text
    answer: dict[str, Any] = got.json()
    return answer


async def _check(look: Look, part: str = "html") -> None:
    await look.page.evaluate(
        "document.querySelectorAll('details').forEach(each => { each.open = true })"
    )
    assert await look.overflow() <= 0
    assert await look.violations(part) == []


async def test_pages_of_a_receipt_and_a_memory_have_no_axe_findings(look: Look) -> None:
    """The pages of a receipt and a memory have no serious accessibility finding, with all details
    opened.
    """
    await _check_receipt_and_memory(look)


async def test_pages_of_a_receipt_and_a_memory_have_no_axe_findings_on_a_dark_phone(
    phone: Look,
) -> None:
    """At 360 pixels in dark mode the pages of a receipt and a memory have no serious accessibility
    finding.
    """
    await _check_receipt_and_memory(phone)


async def _check_receipt_and_memory(look: Look) -> None:
    await look.go("/receipts")
    await look.page.locator("main .rows a.text").first.click()
    for name, changed in (
        ("Verify", "#result"),
        ("Replay", "#result"),
        ("Show the context", "html"),
    ):
        await look.press(name)
        await _check(look, changed)  # axe-core takes seconds for the whole page
    await look.follow(look.page.locator(".candidates a.text").first)
    assert "Receipts" in await look.text()
    await _check(look)


async def test_search_leads_to_a_receipt_that_is_verified_and_replayed(look: Look) -> None:
    await look.go()
    await look.page.get_by_role("link", name="Search", exact=True).click()
    await look.page.get_by_label("Query").fill(QUESTION)
    await look.press("Search")
    assert await look.page.locator("ol.hits > li").count() == 10
    assert await look.page.locator("ol.hits svg.bar rect.signal-similarity").count() >= 10
    await look.page.locator("summary").first.click()
    assert "similarity" in await look.text()
    await look.page.get_by_label("Build a context").fill("700")
    await look.press("Build, and show its receipt")
    shown = await look.text()
    assert "IN THE CONTEXT" in shown.upper()
    assert "budget was used up" in shown or "budget of its type was used up" in shown
    address = look.page.url
    await look.press("Verify")
    assert "Every check passed" in await look.page.locator("#result").inner_text()
    await look.press("Replay")
    assert "to the byte" in await look.page.locator("#result").inner_text()
    await look.press("Show the context")
    assert "<memories>" in await look.page.locator("#result pre").inner_text()
    assert look.page.url == address  # the buttons changed a part of the page


async def test_memory_is_edited_pinned_restored_and_forgotten(look: Look, service: Process) -> None:
    """The buttons of a memory's page edit, pin, restore and delete the memory."""
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        content = "The canteen opens at 11."
        in_space = {"namespace": SPACE}
        memory_id = (await store(client, "/v1/memories", type="semantic", content=content))["id"]
        await look.go("/memory", id=memory_id)
        await look.press("Pin")
        assert "Pinned." in await look.text()
        await look.press("Unpin")
        await look.page.get_by_text("Edit", exact=True).click()
        await look.page.get_by_label("Content", exact=True).fill(
            "The canteen opens at 12.\nNot on Sundays."
        )
        await look.page.get_by_label("Tags").fill("canteen, times")
        await look.press("Save")
        shown = await look.text()
        assert "The changes are saved." in shown
        assert content in shown  # in the history
        stored = (await client.get(f"/v1/memories/{memory_id}", params=in_space)).json()
        assert stored["content"] == "The canteen opens at 12.\nNot on Sundays."
        assert stored["tags"] == ["canteen", "times"]
        now = {"valid_to": stored["updated_at"]}
        await client.patch(f"/v1/memories/{memory_id}", params=in_space, json=now)
        await look.go("/memory", id=memory_id)
        await look.press("Restore")
        assert "The memory is current again." in await look.text()
        await look.page.get_by_text("Forget", exact=True).click()
        await look.press("Forget it")
        assert "The memory is deleted." in await look.text()
        assert (await client.get(f"/v1/memories/{memory_id}", params=in_space)).status_code == 404


async def test_page_of_a_memory_lists_its_receipts(look: Look) -> None:
    """The page of a memory lists the receipts in which it is a candidate, each with a link.

    The list loads without a click.
    """
    await look.go("/receipts")
    await look.page.locator("main .rows a.text").first.click()
    await look.follow(look.page.locator(".candidates a.text").first)
    panel = look.page.locator("section", has=look.page.get_by_role("heading", name="Receipts"))
    assert "in the context" in await panel.inner_text()
    await panel.locator("a.text").first.click()
    assert "/inspect/receipt?" in look.page.url


async def test_first_page_loads_a_chart_of_new_memories(look: Look) -> None:
    await look.go()
    assert await look.page.locator(".columns-chart rect.type-episodic").count() >= 1
    assert "never used" in await look.text()


async def test_timeline_shows_what_was_injected(look: Look) -> None:
    """On a session's page each prompt can be opened to show the memories that were added to it."""
    await look.go("/sessions")
    await look.page.get_by_role("link", name="deploys").first.click()
    prompts = look.page.locator("li.prompt")
    assert await prompts.count() == 2
    await prompts.first.get_by_text("What was injected").click()
    assert "Frankfurt" in await prompts.first.inner_text()
    assert "Move the deploy scripts" in await look.text()


async def test_due_intentions_are_completed_cancelled_and_postponed_by_buttons(
    look: Look, service: Process
) -> None:
    texts = ("Water the plants", "Feed the cat", "Call the plumber")
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        for text in texts:
            await store(
                client,
                "/v1/memories",
                type="prospective",
                content=text,
                due_at="2026-01-01T00:00:00Z",
            )
    await look.go("/due")
    for text, button, notice in zip(
        texts,
        ("Complete", "Cancel", "Postpone"),
        ("Completed.", "Cancelled.", "Postponed."),
        strict=True,
    ):
        row = look.page.locator("ul.rows > li", has_text=text)
        await row.get_by_role("button", name=button).click()
        assert notice in await look.text()
    shown = await look.text()
    assert texts[0] not in shown
    assert texts[1] not in shown
    assert texts[2] in shown


async def test_thread_and_workflow_open_from_their_lists(look: Look) -> None:
    await look.go("/threads")
    await look.page.get_by_role("link", name="support-1").click()
    assert "Only one of two pieces arrived." in await look.text()
    await look.go("/workflows")
    await look.page.get_by_role("link", name="nightly-import").click()
    assert "row 17: unknown sku" in await look.text()


async def test_decision_is_undone(look: Look) -> None:
    """The Undo button of a decision restores the forgotten memory. The list of decisions can be
    filtered by kind.
    """
    await look.go("/decisions", kind="forgotten")
    assert "The old office closed." in await look.text()
    await look.press("Undo: The old office closed.")
    assert "The decision is taken back." in await look.text()
    assert "The old office closed." not in await look.text()
    await look.page.get_by_label("Kind").select_option("replaced")
    await look.press("Show")
    assert "The gateway allows 100 requests" in await look.text()
    await look.page.get_by_role("button", name="Restore: The gateway allows 100").click()
    assert "The decision is taken back." in await look.text()
    assert "The gateway allows 100 requests" not in await look.text()


async def test_an_upkeep_job_can_be_run_after_its_dry_run(look: Look, service: Process) -> None:
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        content = "The lift was repaired."
        await store(
            client,
            "/v1/memories",
            type="episodic",
            content=content,
            created_at="2021-01-01T00:00:00Z",
        )
    await look.go("/upkeep")
    await look.page.get_by_label("Not used for this many days").fill("")
    await look.page.get_by_label("Older than this many days").fill("1500")
    form = look.page.locator("form.card", has=look.page.get_by_role("heading", name="Forget"))
    await form.get_by_role("button", name="Dry run").click()
    assert "it would change" in await look.text()
    assert content in await look.text()
    await look.press("Run it for real")
    assert "it changed" in await look.text()
    await look.go("/decisions", kind="forgotten")
    assert content in await look.text()


async def test_keyboard_reaches_everything(look: Look) -> None:
    """With the keyboard alone, the skip link comes first, focus is always visible, and Enter opens
    details.
    """
    await look.go("/search", q=QUESTION)
    await look.page.keyboard.press("Tab")
    assert await look.page.evaluate("document.activeElement.className") == "skip"
    await look.page.keyboard.press("Enter")
    assert await look.page.evaluate("document.activeElement.id") == "main"
    reached: set[str] = set()
    for _ in range(30):
        await look.page.keyboard.press("Tab")
        name, outline = await look.page.evaluate(
            "(it => [it.id || it.tagName, "
            "getComputedStyle(it).outlineStyle])(document.activeElement)"
        )
        assert outline != "none", name
        reached.add(name)
        if name == "SUMMARY":
            break
    assert {"q", "type", "session", "top_k", "BUTTON", "SUMMARY"} <= reached
    await look.page.keyboard.press("Enter")
    assert await look.page.locator("details[open]").count() == 1


async def test_namespace_is_chosen_in_the_picker(look: Look, service: Process) -> None:
    """Without a namespace, the inspector lists every namespace, and a click on a name opens it."""
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        other = {"namespace": "another & <b>", "type": "semantic", "content": "Elsewhere."}
        assert (await client.post("/v1/memories", json=other)).is_success
    await look.page.goto(f"{look.url}/inspect")
    assert "another & <b>" in await look.text()
    await look.page.get_by_role("link", name="another & <b>").click()
    assert "Elsewhere." in await look.text()


async def test_markup_in_a_memory_is_shown_as_text_and_not_run(
    look: Look, service: Process
) -> None:
    hostile = (
        '<script>alert(1)</script><img src=x onerror="alert(2)"><a href="javascript:alert(3)">x</a>'
    )
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        stored = await store(
            client,
            "/v1/memories",
            type="semantic",
            content=hostile,
            session_id=hostile,
            tags=["<b>"],
        )
        receipt = (
            await store(client, "/v1/retrieve", query=hostile, session_id=hostile, floor=0.0)
        )["receipt_id"]
    for path, query in {
        "/memory": {"id": stored["id"]},
        "/memories": {},
        "/search": {"q": hostile},
        "/session": {"id": hostile},
        "/receipt": {"id": receipt},
        "/receipts": {},
    }.items():
        await look.go(path, **query)
        assert "alert(1)" in await look.text(), path
        assert (
            await look.page.locator("main img, main script, main a[href^=javascript]").count() == 0
        )


async def test_buttons_work_in_a_browser_without_javascript(
    browser: Browser, service: Process
) -> None:
    """Without JavaScript, pressing a button loads a whole page with the result."""
    look = await Look.open(browser, service.url, "", scripts=False)
    await look.go("/receipts")
    await look.page.locator("main .rows a.text").first.click()
    for button, says in (("Verify", "Every check passed"), ("Show the context", "<memories>")):
        await look.press(button)
        assert says in await look.text()
        assert "In the context" in await look.text()
    await look.close()


@pytest.fixture(scope="module")
# Skips first
def locked(
    chromium: str,  # noqa: ARG001
    tmp_path_factory: pytest.TempPathFactory,
    onnx_directory: Path,
) -> Iterator[Process]:
    """The service with API keys, so that its pages need a login."""
    home = tmp_path_factory.mktemp("locked")
    roles = ("reader", "writer", "admin")
    keys = [{"key": f"{role}-key-of-acme", "tenant": "acme", "role": role} for role in roles]
    (home / "keys.json").write_text(json.dumps(keys), encoding="utf-8")
    process = Process(home, onnx_directory, keys=str(home / "keys.json"))
    try:
        process.wait_until_ready()
        yield process
    finally:
        process.stop()


@pytest.fixture
async def visitor(browser: Browser, locked: Process) -> AsyncIterator[Look]:
    """A page of the service with API keys, opened by a visitor who is not logged in."""
    opened = await Look.open(browser, locked.url, AXE.read_text(encoding="utf-8"))
    yield opened
    await opened.close()


async def test_a_page_asks_for_a_key_and_the_logout_ends_the_login(
    visitor: Look, locked: Process
) -> None:
    body = {"namespace": "sample", "type": "semantic", "content": "The build runs on Friday."}
    key = {"Authorization": "Bearer writer-key-of-acme"}
    async with httpx.AsyncClient(base_url=locked.url, headers=key, timeout=60) as client:
        assert (await client.post("/v1/memories", json=body)).is_success
    await visitor.page.goto(f"{visitor.url}/inspect/memories?namespace=sample")
    assert await visitor.violations() == []
    await visitor.page.get_by_label("Key").fill("reader-key-of-acme")
    await visitor.press("Log in")
    assert "/inspect/memories?namespace=sample" in visitor.page.url
    assert "The build runs on Friday." in await visitor.text()
    assert await visitor.page.get_by_role("link", name="Upkeep").count() == 0
    (cookie,) = await visitor.context.cookies(f"{visitor.url}/inspect")
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    assert await visitor.page.evaluate("document.cookie") == ""
    await visitor.press("Log out")
    assert "You are logged out." in await visitor.text()
    await visitor.page.goto(f"{visitor.url}/inspect")
    assert "/inspect/login" in visitor.page.url


async def test_admin_may_run_upkeep(visitor: Look) -> None:
    """With an admin's API key, the upkeep page offers a dry run, which reports how many memories a
    run would change.
    """
    await visitor.page.goto(f"{visitor.url}/inspect/login")
    await visitor.page.get_by_label("Key").fill("admin-key-of-acme")
    await visitor.press("Log in")
    await visitor.go("/upkeep")
    await visitor.page.get_by_role("button", name="Dry run").first.click()
    assert "it would change 0 memories" in await visitor.text()


@pytest.mark.skipif("SCREENSHOTS" not in os.environ, reason="no SCREENSHOTS: make screenshots")
async def test_screenshots_of_the_documentation_are_written(
    browser: Browser, service: Process
) -> None:
    """Write the screenshots of docs/inspector.md into the folder that the environment variable
    SCREENSHOTS names.
    """
    folder = Path(os.environ["SCREENSHOTS"])
    look = await Look.open(browser, service.url, "", width=960, height=720)
    await look.go("/search", q=QUESTION)
    await look.page.locator("summary").first.click()
    await look.page.screenshot(path=folder / "inspector-search.png")
    await look.page.get_by_label("Build a context").fill("700")
    await look.press("Build, and show its receipt")
    await look.press("Verify")
    await look.page.screenshot(path=folder / "inspector-receipt.png")
    await look.go("/session", id="deploys")
    await look.page.screenshot(path=folder / "inspector-session.png")
    await look.close()
    phone = await Look.open(browser, service.url, "", width=360, height=640, dark=True)
    await phone.go("/receipts")
    await phone.page.locator("main .rows a.text").first.click()
    await phone.page.screenshot(path=folder / "inspector-phone.png")
    await phone.close()
