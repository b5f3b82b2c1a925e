"""HEAD and OPTIONS: HEAD answers like GET, unless the GET may change what it returns."""

from __future__ import annotations

import httpx
import pytest

pytestmark = pytest.mark.anyio

CHANGING = {"/v1/items", "/v1/prospective/due", "/v1/threads/{thread_id}"}
"""Paths whose GET may change what it returns, such as its time to live. A HEAD returns nothing, so
it is refused.
"""


async def test_head_answers_like_get(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()["paths"]
    paths = [path for path, operations in described.items() if "get" in operations]
    assert set(paths) > CHANGING
    for path in sorted(set(paths) - CHANGING):
        head = await client.head(path)
        get = await client.get(path)
        assert head.status_code == get.status_code != 405, path
        assert head.headers.keys() == get.headers.keys(), path


@pytest.mark.parametrize("path", sorted(CHANGING))
async def test_head_is_405_where_get_changes_something(
    client: httpx.AsyncClient, path: str
) -> None:
    """HEAD is a 405 on paths whose GET may change what it returns. The Allow header does not list
    it.
    """
    response = await client.head(path, params={"namespace": "n"})
    assert response.status_code == 405
    assert "HEAD" not in response.headers["allow"]


async def test_options_names_every_method_of_a_path(client: httpx.AsyncClient) -> None:
    """The answer to OPTIONS allows the documented methods, OPTIONS, and HEAD where the path
    supports it.
    """
    described = (await client.get("/openapi.json")).json()["paths"]
    for path, operations in described.items():
        methods = {name.upper() for name in operations} | {"OPTIONS"}
        methods |= {"HEAD"} if "get" in operations and path not in CHANGING else set()
        answer = await client.options(path)
        assert answer.status_code == 204, path
        assert set(answer.headers["allow"].split(", ")) == methods, path
