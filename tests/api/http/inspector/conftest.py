"""A visitor of the inspector (the service's web pages): an HTTP client that sends forms without
running scripts.
"""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from api.auth.keys import Role
from api.wiring.container import Services
from tests.api.conftest import KEYS, connect

HOSTILE = """<script>alert(1)</script> "><img src=x onerror=alert(2)> {{ 7 * 7 }} & ' \u202e"""
"""A text that must be shown as it is."""

ORIGIN = {"Origin": "http://test", "Sec-Fetch-Site": "same-origin"}


@dataclass
class Visit:
    """A visitor who opens pages of the inspector and sends their forms. namespace: parameter of
    every page and form.
    """

    client: httpx.AsyncClient
    namespace: str = "n"

    async def open(self, path: str = "", status: int = 200, **query: Any) -> str:
        """The HTML of the page at /inspect`path`. Fails if the answer has another status than
        `status`.
        """
        got = await self.client.get(
            f"/inspect{path}", params={"namespace": self.namespace, **query}
        )
        assert got.status_code == status, got.text
        assert got.headers["content-type"] == "text/html; charset=utf-8"
        return got.text

    async def token(self) -> str:
        """The anti-forgery token in this visitor's forms, read from the search page."""
        page = (
            await self.client.get(
                "/inspect/search", params={"namespace": self.namespace, "q": "any"}
            )
        ).text
        match = re.search(r'name="token" value="([^"]+)"', page)
        assert match, page
        return match[1]

    async def send(self, path: str, status: int = 303, **fields: Any) -> httpx.Response:
        """Send a form with its anti-forgery token, and return the answer. Fails if its status is
        not `status`.
        """
        data = {"token": await self.token(), "namespace": self.namespace, **fields}
        got = await self.client.post(f"/inspect{path}", data=data, headers=ORIGIN)
        assert got.status_code == status, got.text
        return got

    async def write(self, content: str, kind: str = "semantic", **fields: Any) -> str:
        """Store a memory over the API and return its id."""
        body = {"namespace": self.namespace, "type": kind, "content": content, **fields}
        memory_id: str = (await self.client.post("/v1/memories", json=body)).json()["id"]
        return memory_id


def text_of(page: str) -> str:
    """The visible text of a page, with single spaces between words."""
    without_tags = re.sub(
        r"<[^>]*>", " ", re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    )
    return " ".join(html.unescape(without_tags).split())


@pytest.fixture
async def visit(services: Services) -> AsyncIterator[Visit]:
    """A visitor of a service that needs no API key."""
    async with connect(services) as client:
        yield Visit(client)


async def log_in(client: httpx.AsyncClient, tenant: str, role: Role) -> httpx.Response:
    """Log in with the key that has this tenant and role, and return the answer. The client keeps
    the cookie.
    """
    return await client.post("/inspect/login", data={"key": KEYS[tenant, role]}, headers=ORIGIN)


@pytest.fixture
async def guarded_client(guarded: Services) -> AsyncIterator[httpx.AsyncClient]:
    """A browser-like client, not logged in, of a service that needs an API key."""
    async with connect(guarded) as client:
        yield client
