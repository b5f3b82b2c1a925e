"""The MCP endpoint /mcp as part of the HTTP API: keys, roles, tenants, namespaces, agents, limits
and metrics.
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import unquote

import pytest

from api.auth.keys import KeyBook, KeyEntry, Role, hashed
from api.auth.rate_limit import RateLimit
from api.http.app import BODY_BYTES
from api.http.mcp.mount import AGENT_HEADER, PROJECT_HEADER, TOOLS_HEADER
from api.http.request import NAMESPACE_HEADER
from api.project import project_namespace
from api.wiring.container import Services
from tests.api.conftest import bearer, problem
from tests.api.http.mcp.conftest import (
    ERAS,
    call,
    mcp_client,
    raw_client,
    receipt_of,
    refused,
    remembered,
    rpc,
)

FACT = "The deploy key of the staging cluster expires in June."
READING = ["memory_recall", "memory_search", "memory_why"]


async def test_a_call_without_a_known_key_is_refused(guarded: Services) -> None:
    """If the service needs keys, /mcp and /mcp/NAMESPACE answer 401 to a call without a known
    key.
    """
    async with raw_client(guarded) as client:
        for path in ("/mcp", "/mcp/", "/mcp/n"):
            problem(await client.post(path, json=rpc("tools/list")), 401)
            problem(
                await client.post(
                    path, json=rpc("ping"), headers={"Authorization": "Bearer wrong-key"}
                ),
                401,
            )
            accepted = await client.post(
                path, json=rpc("ping"), headers=bearer("acme", Role.READER)
            )
            assert accepted.status_code == 200


async def test_pages_of_other_sites_are_refused_without_keys(services: Services) -> None:
    """Without keys, a request with a Host or Origin other than localhost is a 403."""
    async with raw_client(services, local_only=True) as client:
        problem(
            await client.post("/mcp", json=rpc("ping"), headers={"Origin": "http://evil.example"}),
            403,
        )
        problem(
            await client.post("/mcp/n", json=rpc("ping"), headers={"Host": "evil.example"}), 403
        )
        assert (await client.post("/mcp", json=rpc("ping"))).status_code == 200


@pytest.mark.parametrize("mode", ERAS)
async def test_a_reader_is_offered_only_tools_that_read(guarded: Services, mode: str) -> None:
    """With a reader's key, only the three reading tools are listed.

    Other tools answer that they need a writer's key.
    """
    async with mcp_client(guarded, "/mcp/n", mode, bearer("acme", Role.WRITER)) as writer:
        memory_id = await remembered(writer, FACT)
    async with mcp_client(guarded, "/mcp/n", mode, bearer("acme", Role.READER)) as reader:
        assert [tool.name for tool in (await reader.list_tools()).tools] == READING
        for tool, arguments in (
            ("memory_remember", {"content": "x"}),
            ("memory_correct", {"id": memory_id, "content": "x"}),
            ("memory_forget", {"id": memory_id}),
        ):
            assert "needs a key of the role writer" in await refused(reader, tool, **arguments)
        assert memory_id in await call(reader, "memory_search", query="staging deploy key")
        assert FACT in await call(reader, "memory_recall", query="staging deploy key", budget=500)


async def test_a_key_reaches_its_own_tenant_only(guarded: Services) -> None:
    """A key cannot find, read, change or explain another tenant's memories, even in a namespace of
    the same name.
    """
    async with mcp_client(guarded, "/mcp/n", headers=bearer("acme", Role.WRITER)) as client:
        memory_id = await remembered(client, FACT)
        receipt = receipt_of(await call(client, "memory_recall", query="staging deploy key"))
    async with mcp_client(guarded, "/mcp/n", headers=bearer("other", Role.ADMIN)) as client:
        assert (
            await call(client, "memory_search", query="staging deploy key") == "No memory matches."
        )
        for tool in ("memory_why", "memory_forget"):
            assert "no memory" in await refused(client, tool, id=memory_id)
        assert "no memory" in await refused(
            client, "memory_correct", id=memory_id, content="Taken over."
        )
        assert "no receipt" in await refused(client, "memory_why", receipt_id=receipt)


@pytest.mark.parametrize(
    ("path", "headers", "namespace"),
    [
        ("/mcp/one", {NAMESPACE_HEADER: "two"}, "one"),
        ("/mcp/one/", {}, "one"),
        ("/mcp", {NAMESPACE_HEADER: "two", PROJECT_HEADER: "/p/shop"}, "two"),
        ("/mcp", {PROJECT_HEADER: "/p/shop"}, project_namespace("/p/shop")),
        ("/mcp", {}, "home"),
        ("/mcp/a%2Fb%20c", {}, "a/b c"),
        ("/mcp/a/b", {}, "a/b"),
        ("/mcp/%E6%97%A5%E6%9C%AC", {}, "日本"),
    ],
)
async def test_the_namespace_comes_from_the_path_or_a_header_or_the_key(
    services: Services, path: str, headers: dict[str, str], namespace: str
) -> None:
    entry = KeyEntry(key="acme-home-key", tenant="acme", role=Role.WRITER, namespace="home")
    services = replace(services, keys=KeyBook(hashed([entry])))
    key = {"Authorization": "Bearer acme-home-key"}
    async with mcp_client(services, path, headers=key | headers) as client:
        memory_id = await remembered(client, FACT)
    async with raw_client(services) as http:
        stored = await http.get(
            f"/v1/memories/{memory_id}", params={"namespace": namespace}, headers=key
        )
    assert stored.json()["content"] == FACT
    assert stored.json()["source"]["caller"] == "mcp"


async def test_the_namespace_is_default_if_nothing_names_one(services: Services) -> None:
    """If neither the path, a header nor the key names a namespace, a memory is stored in
    `default`.
    """
    async with mcp_client(services) as client:
        memory_id = await remembered(client, FACT)
    async with raw_client(services) as http:
        stored = await http.get(f"/v1/memories/{memory_id}", params={"namespace": "default"})
        assert stored.status_code == 200


async def test_a_tool_accepts_no_namespace_as_argument(services: Services) -> None:
    """A namespace, tenant, agent or session among a tool's arguments is refused as an unknown
    field.
    """
    async with mcp_client(services, "/mcp/n") as client:
        for name in ("namespace", "tenant", "agent_id", "session_id"):
            text = await refused(client, "memory_remember", content=FACT, **{name: "other"})
            assert text.startswith(f"{name}: unknown field; ")


async def test_a_receipt_of_another_namespace_is_not_explained(services: Services) -> None:
    """The tool memory_why explains a receipt only in the namespace in which the recall was made."""
    async with mcp_client(services, "/mcp/one") as client:
        await remembered(client, FACT)
        receipt = receipt_of(await call(client, "memory_recall", query="staging deploy key"))
        assert receipt in await call(client, "memory_why", receipt_id=receipt)
    async with mcp_client(services, "/mcp/two") as client:
        assert "no such receipt" in await refused(client, "memory_why", receipt_id=receipt)


async def test_a_key_bound_to_agents_acts_only_as_one_of_them(services: Services) -> None:
    entries = [
        KeyEntry(key="one-agent-key", tenant="acme", role=Role.WRITER, agents=["a"]),
        KeyEntry(key="two-agent-key", tenant="acme", role=Role.WRITER, agents=["a", "b"]),
    ]
    services = replace(services, keys=KeyBook(hashed(entries)))
    one, two = ({"X-API-Key": entry.key} for entry in entries)
    async with mcp_client(services, "/mcp/n", headers=one) as client:
        memory_id = await remembered(client, FACT)
    async with raw_client(services) as http:
        stored = await http.get(f"/v1/memories/{memory_id}", params={"namespace": "n"}, headers=one)
    assert stored.json()["agent_id"] == "a"
    async with mcp_client(services, "/mcp/n", headers=one | {AGENT_HEADER: "b"}) as client:
        assert "this key acts as 'a'" in await refused(client, "memory_recall", query="deploy key")
    async with mcp_client(services, "/mcp/n", headers=two) as client:
        assert "agent_id" in await refused(client, "memory_recall", query="deploy key")
    async with mcp_client(services, "/mcp/n", headers=two | {AGENT_HEADER: "b"}) as client:
        receipt = receipt_of(await call(client, "memory_recall", query="staging deploy key"))
        assert receipt in await call(client, "memory_why", receipt_id=receipt)
    async with mcp_client(services, "/mcp/n", headers=one) as client:
        assert "another agent" in await refused(client, "memory_why", receipt_id=receipt)


async def test_a_header_chooses_which_tools_are_offered(services: Services) -> None:
    """With `read` in the tools header, the tools that change memories are neither listed nor
    run.
    """
    async with mcp_client(services, "/mcp/n", headers={TOOLS_HEADER: "read"}) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == READING
        assert "not among the tools" in await refused(client, "memory_remember", content=FACT)
    async with raw_client(services) as http:
        problem_answer = problem(
            await http.post("/mcp", json=rpc("ping"), headers={TOOLS_HEADER: "few"}), 422
        )
    assert problem_answer["errors"][0]["message"] == "must be one of read, default, all"


@pytest.mark.parametrize("path", ["/mcp/%FF", "/mcp/%20", "/mcp/a%00b", f"/mcp/{'x' * 257}"])
async def test_an_invalid_namespace_in_the_path_is_a_problem(services: Services, path: str) -> None:
    async with raw_client(services) as client:
        body = problem(await client.post(path, json=rpc("ping")), 422)
    assert body["errors"][0]["path"] == "namespace"
    assert body["instance"] == unquote(path)


async def test_only_post_is_answered(services: Services) -> None:
    """Any method but POST is a 405. A GET would open a stream of messages, which this server never
    sends.
    """
    async with raw_client(services) as client:
        for method in ("GET", "DELETE", "PUT"):
            answer = await client.request(method, "/mcp/n")
            problem(answer, 405)
            assert answer.headers["allow"] == "POST"
        assert (await client.post("/mcpx", json=rpc("ping"))).status_code == 404


async def test_the_limits_of_body_size_and_call_rate_apply_to_mcp(services: Services) -> None:
    limited = replace(services, rate=RateLimit(2))
    async with raw_client(limited) as client:
        body = rpc(
            "tools/call", {"name": "memory_remember", "arguments": {"content": "x" * BODY_BYTES}}
        )
        assert (await client.post("/mcp", json=body)).status_code == 413
        assert (await client.post("/mcp", json=rpc("ping"))).status_code == 200
        answer = await client.post("/mcp", json=rpc("ping"))
        problem(answer, 429)
        assert int(answer.headers["retry-after"]) > 0


async def test_calls_are_counted_by_tool_and_namespaces_are_no_labels(services: Services) -> None:
    """Metrics count MCP calls by the names of known tools. They have neither unknown names nor
    namespaces.
    """
    async with raw_client(services) as client:
        for name in ("memory_recall", "memory_recall", "no_such_tool"):
            body = rpc("tools/call", {"name": name, "arguments": {"query": "anything"}})
            await client.post("/mcp/private%20name", json=body)
        metrics = (await client.get("/metrics")).text
    assert 'remembrancer_mcp_calls_total{tool="memory_recall"} 2.0' in metrics
    assert 'remembrancer_requests_total{method="POST",route="/mcp",status="200"} 3.0' in metrics
    assert "no_such_tool" not in metrics
    assert "private" not in metrics
