"""A headless Chromium, and a service with sample memories, so that every page of the inspector has
content.

Without Chromium or playwright these tests are skipped. `make browser` installs both.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, async_playwright

from tests.browser.look import AXE, Look
from tests.processes import Process

SPACE = "sample"


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the installed Chromium."""
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium for the inspector's pages: make browser")
    return found


@pytest.fixture(scope="module")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """A headless Chromium that the tests of a module share."""
    async with async_playwright() as playwright:
        # Chromium's sandbox refuses to run as root, as in a container.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = await playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield opened
        await opened.close()


@pytest.fixture(scope="module")
# Skips first
def service(
    chromium: str,  # noqa: ARG001
    tmp_path_factory: pytest.TempPathFactory,
    onnx_directory: Path,
) -> Iterator[Process]:
    """The service as `make run` starts it, with sample memories and everything else that the
    inspector shows.
    """
    process = Process(tmp_path_factory.mktemp("inspected"), onnx_directory, "run")
    try:
        process.wait_until_ready()
        with httpx.Client(base_url=process.url, timeout=60) as client:
            bring_to_life(client)
        yield process
    finally:
        process.stop()


@pytest.fixture
async def look(browser: Browser, service: Process) -> AsyncIterator[Look]:
    """A page in a laptop-sized window. The test fails if the page has errors or sends a request to
    another host.
    """
    opened = await Look.open(browser, service.url, AXE.read_text(encoding="utf-8"))
    yield opened
    await opened.close()


@pytest.fixture
async def phone(browser: Browser, service: Process) -> AsyncIterator[Look]:
    """A page in a window as wide as a small phone, in dark mode. The test fails on errors as with
    `look`.
    """
    opened = await Look.open(
        browser, service.url, AXE.read_text(encoding="utf-8"), width=360, height=740, dark=True
    )
    yield opened
    await opened.close()


def send(client: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    """Send a POST to the API at `path` in the namespace of the samples, and return the answer's
    JSON.
    """
    got = client.post(path, json={"namespace": SPACE, **body})
    assert got.is_success, got.text
    answer: dict[str, Any] = got.json()
    return answer


def bring_to_life(client: httpx.Client) -> None:
    """Store a session with prompts, a replaced fact, a thread, a workflow and a forgotten memory
    beside the samples.
    """
    said = (
        (
            "user",
            (
                "The staging cluster moved to Frankfurt last week, because the old region had "
                "no capacity left."
            ),
        ),
        (
            "assistant",
            (
                "Noted: staging runs in Frankfurt now. The deploy scripts need the new "
                "endpoint staging-fra."
            ),
        ),
    )
    messages = [
        {"role": role, "content": content, "timestamp": f"2026-11-09T09:0{minute}:00Z"}
        for minute, (role, content) in enumerate(said)
    ]
    send(client, "/v1/hooks/session-stop", session_id="deploys", messages=messages)
    todo = {
        "id": "1",
        "content": "Move the deploy scripts to the new endpoint",
        "status": "in_progress",
    }
    for prompt in (
        "Where does staging run now?",
        "How do we reserve stock under an advisory lock?",
    ):
        send(
            client,
            "/v1/hooks/prompt-submit",
            session_id="deploys",
            prompt=prompt,
            todos=[todo],
            budget=400,
        )
    for limit, day in ((100, 1), (250, 8)):
        content = f"The gateway allows {limit} requests per minute."
        send(
            client,
            "/v1/memories",
            type="semantic",
            content=content,
            created_at=f"2026-11-0{day}T10:00:00Z",
        )
    overdue = "2026-11-08T10:00:00Z"
    send(
        client,
        "/v1/memories",
        type="prospective",
        content="Send Harbour the new label rolls",
        due_at=overdue,
    )
    send(
        client,
        "/v1/memories",
        type="episodic",
        content="The old office closed.",
        created_at="2020-01-01T00:00:00Z",
    )
    client.post(
        "/v1/admin/jobs/forget", json={"namespace": SPACE, "dry_run": False, "max_age_days": 2000}
    )
    thread = send(client, "/v1/threads", key="support-1")["id"]
    for role, content in (
        ("user", "Only one of two pieces arrived."),
        ("assistant", "I release the hold of the second."),
    ):
        client.post(
            f"/v1/threads/{thread}/turns?namespace={SPACE}", json={"role": role, "content": content}
        )
    send(client, "/v1/workflows", workflow_id="nightly-import")
    for event in (
        {"type": "started"},
        {"type": "step_started", "step_id": "fetch", "agent": "importer"},
        {
            "type": "step_completed",
            "step_id": "fetch",
            "output": "412 rows",
            "resources": {"file": "orders.csv"},
        },
        {"type": "step_failed", "step_id": "load", "error": "row 17: unknown sku"},
    ):
        client.post(f"/v1/workflows/nightly-import/events?namespace={SPACE}", json=event)
