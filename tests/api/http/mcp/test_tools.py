"""The MCP tools, prompts and resources, called by the SDK's client over HTTP."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError

from api.http.mcp.mount import McpMount
from api.http.mcp.texts import receipt_text
from api.wiring.container import Services
from ingest.screening.redaction.redactor import RedactionRules, RuleBook
from memtypes.model.policy import MemoryType
from memtypes.model.scope import DEFAULT_TENANT
from retrieval.ranking.ranked import CandidateOutcome
from retrieval.receipts.model import Receipt
from tests.api.conftest import NOW
from tests.api.fake_services import AwayStore, fake_services
from tests.api.http.mcp.conftest import ERAS, call, mcp_client, receipt_of, refused, remembered

HOLD = "A hold under an advisory lock costs 7 ms at the median."


@pytest.mark.parametrize("mode", ERAS)
async def test_a_remembered_statement_is_recalled_in_both_protocol_versions(
    services: Services, mode: str
) -> None:
    """A stored statement is recalled as plain text, in the older and in the newer version of the
    protocol.
    """
    async with mcp_client(services, "/mcp/n", mode) as client:
        assert (client.server_info is None) or client.server_info.name == "remembrancer"
        assert (await call(client, "memory_remember", content=HOLD, type="semantic")).startswith(
            "stored "
        )
        text = await call(client, "memory_recall", query="what does a hold cost?")
        assert f"## Knowledge\n- {HOLD}\n" in text
        assert text.splitlines()[-1].startswith("receipt ")
        assert text.splitlines()[-1].endswith(" of 1000 tokens")


async def test_the_same_statement_again_is_merged(client: Client) -> None:
    """If the same statement is stored again, the answer names the memory into which it was
    merged.
    """
    memory_id = await remembered(client, HOLD, type="semantic")
    assert await call(client, "memory_remember", content=HOLD, type="semantic") == (
        f"merged into {memory_id}, which says the same (semantic)"
    )


async def test_a_due_time_makes_a_to_do(client: Client) -> None:
    """A statement that is stored with a due time becomes a to-do. If the call names another type,
    it is refused.
    """
    text = await call(
        client, "memory_remember", content="Renew the certificate", due="2030-01-31T10:00:00+01:00"
    )
    assert "(prospective, due 2030-01-31 09:00Z)" in text
    refusal = await refused(
        client, "memory_remember", content="x", type="semantic", due="2030-01-31T09:00:00Z"
    )
    assert refusal == "due: only a to-do, of type prospective, can be due"
    assert "RFC 3339" in await refused(client, "memory_remember", content="x", due="next week")


async def test_a_secret_is_not_stored(client: Client) -> None:
    """A secret is removed from a stored statement, and the answer says how many were removed."""
    secret = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    text = await call(
        client, "memory_remember", content=f"The token of the build is {secret}", type="semantic"
    )
    assert "removed from the text: 1 " in text
    assert secret not in text + await call(client, "memory_recall", query="the token of the build")


async def test_a_rejected_text_is_an_error_with_its_reason() -> None:
    """If the tenant's rules reject a text, memory_remember returns an error with the reason, and
    stores nothing.
    """
    rules = RuleBook(default=RedactionRules(never_keep_types=frozenset({MemoryType.EPISODIC})))
    async with mcp_client(fake_services(lambda: NOW, book=rules), "/mcp/n") as client:
        assert (await refused(client, "memory_remember", content=HOLD, type="episodic")).startswith(
            "not stored: "
        )
        assert await call(client, "memory_search", query="hold") == "No memory matches."


async def test_search_lists_one_line_a_hit(client: Client) -> None:
    """memory_search returns a line for each hit: id, type, date, score and the first words, cut if
    long.
    """
    memory_id = await remembered(
        client, "Hold the lock\nfor one transaction. " + "word " * 200, type="procedural"
    )
    (line,) = (await call(client, "memory_search", query="hold the lock")).splitlines()
    assert line.startswith(f"{memory_id} · procedural · 2026-03-01 · ")
    assert line.endswith(" ...")
    assert "Hold the lock for one transaction." in line
    assert len(line) < 300


async def test_correcting_the_content_replaces_the_statement(client: Client) -> None:
    """The answer to a correction quotes the new and the old text, and the old text stays in the
    memory's history.
    """
    memory_id = await remembered(client, HOLD, type="semantic")
    text = await call(
        client, "memory_correct", id=memory_id, content="A hold under an advisory lock costs 9 ms."
    )
    assert text.splitlines()[:3] == [
        f"corrected {memory_id}",
        "it says now: A hold under an advisory lock costs 9 ms.",
        f"it replaces: {HOLD} (kept in its history)",
    ]
    recalled = await call(client, "memory_recall", query="what does a hold cost?")
    assert "9 ms" in recalled
    assert "7 ms" not in recalled
    assert HOLD in await call(client, "memory_why", id=memory_id)


async def test_done_completes_a_to_do_and_takes_it_out_of_recall(client: Client) -> None:
    """A completed to-do is not recalled until `done: false` reopens it. A fact cannot be marked as
    done.
    """
    task = await remembered(client, "Write the runbook page", type="prospective")
    assert "status: completed (before: pending)" in await call(
        client, "memory_correct", id=task, done=True
    )
    assert "runbook" not in await call(
        client, "memory_recall", query="what is left to do?", types=["prospective"]
    )
    assert "status: pending (before: completed)" in await call(
        client, "memory_correct", id=task, done=False
    )
    assert "runbook" in await call(
        client, "memory_recall", query="what is left to do?", types=["prospective"]
    )
    fact = await remembered(client, HOLD, type="semantic")
    for done in (True, False):
        refusal = await refused(client, "memory_correct", id=fact, done=done, content="changed")
        assert refusal == "done: only a to-do can be done or open; this memory is semantic"
    assert HOLD in await call(client, "memory_search", query="hold")  # nothing was changed
    assert "pinned: it does not fade" in await call(client, "memory_correct", id=fact, pinned=True)
    assert "nothing changed" in await call(client, "memory_correct", id=fact, pinned=True)
    assert "say what to change" in await refused(client, "memory_correct", id=fact)


async def test_a_recall_as_of_an_earlier_time_has_a_task_open_that_was_done_since() -> None:
    clock = [NOW]
    async with mcp_client(fake_services(lambda: clock[0]), "/mcp/n") as client:
        task = await remembered(client, "Write the runbook page", type="prospective")
        clock[0] += timedelta(days=1)
        await call(client, "memory_correct", id=task, done=True)
        question = {"query": "what is left to do?", "types": ["prospective"]}
        assert "runbook" not in await call(client, "memory_recall", **question)
        then = await call(client, "memory_recall", **question, as_of=NOW.isoformat())
        assert "[pending] Write the runbook page" in then


async def test_a_forgotten_memory_is_gone(client: Client) -> None:
    """The tool memory_forget quotes the deleted memory. Afterwards its id is unknown and no search
    finds it.
    """
    memory_id = await remembered(client, HOLD, type="semantic")
    assert (
        await call(client, "memory_forget", id=memory_id.upper()) == f"deleted {memory_id}: {HOLD}"
    )
    assert await call(client, "memory_search", query="hold") == "No memory matches."
    assert "no memory" in await refused(client, "memory_forget", id=memory_id)
    assert "no memory" in await refused(client, "memory_forget", id="not-an-id")


async def test_why_explains_a_recall_and_what_it_left_out(client: Client) -> None:
    """For a receipt, memory_why lists the shown and the omitted memories.

    With the id of one of them, it lists the signals of its score.
    """
    included = await remembered(client, "The build runs on Friday.", type="semantic")
    large = await remembered(
        client, "The build log of Friday says: " + "word " * 300, type="semantic"
    )
    recalled = await call(
        client, "memory_recall", query="when does the build run on friday?", budget=120
    )
    receipt = receipt_of(recalled)
    text = await call(client, "memory_why", receipt_id=receipt)
    assert text.startswith(f"receipt {receipt} of 2026-03-01 12:00Z, query: ")
    assert f"- {included} semantic, score " in text
    assert f"- {large} semantic, because " in text
    signals = await call(client, "memory_why", receipt_id=receipt, id=included)
    assert f"{included} in receipt {receipt}: recalled" in signals
    assert "- similarity " in signals
    assert "not among the listed" in await call(
        client, "memory_why", receipt_id=receipt, id="00000000-0000-0000-0000-000000000000"
    )
    assert await call(client, "memory_why") == "Nothing was decided by itself."


async def test_a_decision_is_listed_by_why_and_taken_back_by_undo(client: Client) -> None:
    old = await remembered(client, "The limit is 300 requests per minute.", type="semantic")
    await remembered(client, "The limit is 500 requests per minute.", type="semantic")
    listed = await call(client, "memory_why")
    assert listed.startswith(f"{old} · ")
    assert "The limit is 300" in listed
    assert await call(client, "memory_undo", id=old) == (
        f"back: {old}: The limit is 300 requests per minute."
    )
    assert old not in await call(client, "memory_why")
    assert "to undo" in await refused(client, "memory_undo", id=old)


async def test_why_counts_unlisted_candidates_by_reason(client: Client, services: Services) -> None:
    """Candidates that a receipt only counts are explained by their number and a sentence with the
    reason.
    """
    await remembered(client, HOLD)
    receipt_id = receipt_of(await call(client, "memory_recall", query="how long may a hold take?"))
    receipt = Receipt.model_validate_json(await services.receipts.text(DEFAULT_TENANT, receipt_id))
    outcomes = {CandidateOutcome.DUPLICATE_OF: 2, CandidateOutcome.SUPERSEDED: 1}
    unlisted = receipt.unlisted.model_copy(update={"outcomes": outcomes})
    text = receipt_text(receipt.model_copy(update={"unlisted": unlisted}), {})
    assert text.endswith(
        "\n- 2 more: it says the same as another\n- 1 more: a newer memory replaced it"
    )


async def test_why_tells_where_a_memory_comes_from(client: Client) -> None:
    """For a memory's id, memory_why answers with its type, state, text and source."""
    memory_id = await remembered(client, HOLD, type="semantic")
    text = await call(client, "memory_why", id=memory_id)
    assert text.startswith(f"{memory_id} · semantic · current\n{HOLD}\n")
    assert "source: mcp" in text


async def test_a_recall_that_finds_nothing_says_so(client: Client) -> None:
    """A recall without hits says that nothing helps, and still ends with the line of its
    receipt.
    """
    text = await call(client, "memory_recall", query="anything at all?")
    assert text.startswith("Nothing is remembered that helps with this.\nreceipt ")


async def test_invalid_arguments_are_explained(client: Client) -> None:
    """The error for invalid arguments has a line for each argument, with its name and what is
    wrong.
    """
    text = await refused(client, "memory_recall", querry="x", budget=99)
    assert set(text.splitlines()) == {
        "query: is required",
        "querry: unknown field; did you mean query?",
        "budget: Input should be greater than or equal to 100",
    }
    assert "blank" in await refused(client, "memory_recall", query="  ")
    with pytest.raises(MCPError, match="Unknown tool"):
        await client.call_tool("memory_everything", {})


async def test_a_store_that_is_away_is_an_error_that_the_model_can_read() -> None:
    """If the memory store is unavailable, a tool says so and when to try again."""
    async with mcp_client(fake_services(lambda: NOW, AwayStore()), "/mcp/n") as client:
        text = await refused(client, "memory_forget", id="00000000-0000-0000-0000-000000000000")
    assert text == "the store is away\nTry again in 3 s, or go on without memory."


async def test_an_unexpected_fault_shows_no_internals(services: Services) -> None:
    """On an unexpected error the tool's answer says only that the service failed and that its log
    names the cause.
    """
    broken = replace(services, tokenizers={})
    async with mcp_client(broken, "/mcp/n") as client:
        text = await refused(client, "memory_recall", query="anything")
    assert text == "The service failed on this request; its log names the cause."


async def test_prompts_contain_recalled_memories(client: Client) -> None:
    """The MCP prompt `recall` contains memories for its query. `what_is_left` contains the open
    to-dos only.
    """
    await remembered(client, HOLD, type="semantic")
    await remembered(client, "Write the runbook page", type="prospective")
    prompts = {prompt.name: prompt for prompt in (await client.list_prompts()).prompts}
    assert list(prompts) == ["recall", "what_is_left"]
    assert all(prompt.description for prompt in prompts.values())
    recalled = await client.get_prompt("recall", {"query": "what does a hold cost?"})
    assert HOLD in str(recalled.messages[0].content)
    prompt_text = str((await client.get_prompt("what_is_left")).messages[0].content)
    assert "runbook" in prompt_text
    assert "hold" not in prompt_text
    for name, arguments in (("recall", {}), ("other", {"query": "x"})):
        with pytest.raises(MCPError):
            await client.get_prompt(name, arguments)


async def test_resources_are_memories_and_receipts(client: Client) -> None:
    """A memory or receipt can be read by its id as JSON. An unknown address is an error."""
    memory_id = await remembered(client, HOLD, type="semantic")
    receipt = receipt_of(await call(client, "memory_recall", query="hold"))
    memory = json.loads((await client.read_resource(f"memory://{memory_id}")).contents[0].text)  # type: ignore[union-attr]
    assert memory["content"] == HOLD
    assert "tenant" not in memory
    sealed = json.loads((await client.read_resource(f"receipt://{receipt}")).contents[0].text)  # type: ignore[union-attr]
    assert sealed["id"] == receipt
    templates = (await client.list_resource_templates()).resource_templates
    assert [template.uri_template for template in templates] == ["memory://{id}", "receipt://{id}"]
    for uri in ("memory://unknown", "file://etc", f"receipt://{memory_id}"):
        with pytest.raises(MCPError) as error:
            await client.read_resource(uri)
        assert error.value.code == -32602


async def test_a_mount_without_its_lifespan_does_not_answer(services: Services) -> None:
    """The MCP endpoint raises an error if the startup of the application (its lifespan) has not
    run.
    """
    with pytest.raises(AssertionError, match="lifespan"):
        await McpMount(services, 1)._started()
