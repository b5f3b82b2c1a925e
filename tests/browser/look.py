"""A browser page that records problems: errors, dialogs, and requests to other hosts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.async_api import Browser, BrowserContext, Locator, Page, Request, Response

AXE = Path(__file__).parent / "axe" / "axe.min.js"
"""axe-core 4.14.1, under MPL-2.0; for tests alone."""

SERIOUS = ("serious", "critical")


@dataclass
class Look:
    """A page of the inspector in Chromium. problems: errors, dialogs and requests to other servers
    so far.
    """

    context: BrowserContext
    page: Page
    url: str
    axe: str
    problems: list[str] = field(default_factory=list)

    @classmethod
    async def open(
        cls, browser: Browser, url: str, axe: str, width: int = 1_100, height: int = 800, **how: Any
    ) -> Look:
        """Open an empty browser page that records problems.

        how: `dark` (dark mode), `scripts` (JavaScript, default true).
        """
        context = await browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if how.get("dark") else "light",
            java_script_enabled=how.get("scripts", True),
            reduced_motion="reduce",
        )
        look = cls(context, await context.new_page(), url, axe)
        look.page.on(
            "console", lambda message: look.note(message.type in ("error", "warning"), message.text)
        )
        look.page.on("pageerror", lambda error: look.note(True, str(error)))
        look.page.on("request", look._requested)

        async def dismiss(dialog: Any) -> None:
            look.problems.append(f"a dialog: {dialog.message}")
            await dialog.dismiss()

        look.page.on("dialog", dismiss)
        return look

    def note(self, wrong: bool, what: str) -> None:  # noqa: FBT001 - of the browser's events
        """Record the text `what` as a problem if `wrong` is true."""
        if wrong:
            self.problems.append(what)

    def _requested(self, request: Request) -> None:
        self.note(not request.url.startswith(self.url + "/"), f"a request to {request.url}")

    async def close(self) -> None:
        """Close the page, and fail if a problem was recorded."""
        await self.context.close()
        assert self.problems == []

    async def go(self, path: str = "", **query: str) -> None:
        """Open a page in the namespace of the samples and wait until everything that it loads has
        arrived.
        """
        answer = await self.page.goto(
            f"{self.url}/inspect{path}?{urlencode({'namespace': 'sample', **query})}"
        )
        assert answer is not None
        assert answer.status == 200
        await self._loaded()

    async def text(self) -> str:
        """The visible text of the page."""
        return await self.page.locator("main").inner_text()

    def button(self, name: str) -> Locator:
        """The first visible button with this name."""
        return self.page.get_by_role("button", name=name, exact=True).locator("visible=true").first

    async def press(self, name: str) -> None:
        """Press a button by name, and wait for the page or the page fragment that it loads."""
        await self.follow(self.button(name))

    async def follow(self, link: Locator) -> None:
        """Click a link or button, and wait for the page or the page fragment that it loads."""
        async with self.page.expect_response(_brings_content) as answered:
            await link.click()
        await (await answered.value).finished()
        await self._loaded()

    async def _loaded(self) -> None:
        """Wait for the page and for the fragments that htmx loads into it."""
        await self.page.wait_for_load_state()
        await self.page.locator(".htmx-request, .htmx-swapping, .htmx-settling").first.wait_for(
            state="detached"
        )

    async def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        width: int = await self.page.evaluate(
            "document.documentElement.scrollWidth - window.innerWidth"
        )
        return width

    async def violations(self, part: str = "html") -> list[str]:
        """Serious findings of axe-core (accessibility) in the element `part`, each with the HTML
        elements concerned.
        """
        # Not a script of the page: its policy allows none from elsewhere.
        await self.page.evaluate(self.axe)
        found: list[dict[str, Any]] = await self.page.evaluate(
            (
                "part => axe.run(part, {resultTypes: ['violations']}).then(result => "
                "result.violations)"
            ),
            part,
        )
        return [
            f"{one['id']}: {[node['html'][:120] for node in one['nodes'][:3]]}"
            for one in found
            if one["impact"] in SERIOUS
        ]


def _brings_content(answer: Response) -> bool:
    """Whether an answer contains a page or a part of a page, and is no redirect."""
    return answer.request.resource_type in ("document", "xhr") and not 300 <= answer.status < 400
