"""The tools that MCP clients load at the start (their size, hints and schemas), and token counts of
recalls.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace

import anyio
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from api.http.mcp.catalog import INSTRUCTIONS, TOOLS
from api.http.mcp.texts import recalled_text
from api.http.mcp.tools import TOOL_CALLS
from api.wiring.container import Services
from memtypes.encoders.tiktoken import TiktokenTokenizer
from retrieval.answer import ContextMetadata, FloorAnswer, RetrieveAnswer
from retrieval.context.entries import EntryCounter
from retrieval.retriever import Retriever
from tests.api.conftest import NOW
from tests.api.fake_services import fake_services
from tests.api.http.mcp.conftest import call, mcp_client

MAX_TOKENS = 1_200
FOOTER = re.compile(r"receipt [0-9a-f-]{36} · (\d+) of (\d+) tokens\Z")


@pytest.fixture(scope="module")
def tokenizer() -> TiktokenTokenizer:
    """The tokenizer cl100k_base, which counts the tokens of a recall."""
    return anyio.run(TiktokenTokenizer.open, "cl100k_base")


async def test_definitions_of_all_tools_are_small(
    services: Services, tokenizer: TiktokenTokenizer
) -> None:
    """The names, descriptions and parameters of all tools have at most 1,200 tokens (cl100k_base)
    as JSON.
    """
    async with mcp_client(services) as client:
        tools = (await client.list_tools()).tools
        instructions = client.session.instructions
    definitions = [
        {"name": tool.name, "description": tool.description, "parameters": tool.input_schema}
        for tool in tools
    ]
    assert tokenizer.count(json.dumps(definitions)) <= MAX_TOKENS
    assert instructions in {None, INSTRUCTIONS}


def test_instructions_and_descriptions_are_not_cut_by_clients() -> None:
    """The instructions and the description of each tool have less than 2 KiB, as clients cut longer
    texts.
    """
    assert len(INSTRUCTIONS.encode()) < 2_048
    assert all(len(tool.description.encode()) < 2_048 for tool in TOOLS)
    assert all(tool.name in INSTRUCTIONS for tool in TOOLS)


def test_annotations_say_which_tools_only_read_and_which_delete() -> None:
    """Annotations mark three tools as read-only, and memory_forget as destructive."""
    definitions = {tool.name: tool.definition() for tool in TOOLS}
    assert definitions.keys() == TOOL_CALLS.keys()
    hints = {name: definition["annotations"] for name, definition in definitions.items()}
    assert {name for name, hint in hints.items() if hint["readOnlyHint"]} == {
        "memory_recall",
        "memory_search",
        "memory_why",
    }
    assert {name for name, hint in hints.items() if hint["destructiveHint"]} == {"memory_forget"}
    assert not any(hint["openWorldHint"] for hint in hints.values())
    pinned = {name for name, definition in definitions.items() if "_meta" in definition}
    assert pinned == {"memory_recall"}
    assert definitions["memory_recall"]["_meta"] == {"anthropic/alwaysLoad": True}
    assert not any("outputSchema" in definition for definition in definitions.values())


def test_tool_schemas_have_no_titles_references_or_null() -> None:
    """Clients would strip titles, references and null from the input schemas of tools, or show them
    to the model.
    """
    text = json.dumps([tool.definition()["inputSchema"] for tool in TOOLS])
    assert not re.search(r'"title"|\$ref|anyOf|null', text)


@given(
    context=st.text(max_size=400),
    budget=st.integers(100, 100_000),
    receipt=st.uuids(),
    degraded=st.booleans(),
)
def test_the_last_line_of_a_recall_counts_its_own_tokens_too(
    tokenizer: TiktokenTokenizer, context: str, budget: int, receipt: object, *, degraded: bool
) -> None:
    metadata = ContextMetadata(
        total_tokens=0,
        budget=budget,
        utilization=0,
        per_type={},
        working_tokens=0,
        trimmed_count=0,
        candidates=0,
        tokenizer="cl100k_base",
        outcome="ok",
        floor=FloorAnswer(value=0, dropped=0),
        as_of=NOW,
        degraded=["embedder"] if degraded else [],
    )
    answer = RetrieveAnswer(context=context, items=[], metadata=metadata, receipt_id=str(receipt))
    text = recalled_text(answer, budget, tokenizer.count)
    assert text.startswith(context)
    counted = re.search(r"(\d+) of \d+ tokens( · degraded)?\Z", text)
    assert counted is not None
    assert int(counted[1]) == tokenizer.count(text)
    assert bool(counted[2]) is degraded


_WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=60
)
_MEMORIES = st.lists(_WORDS.filter(lambda text: text.strip()), min_size=1, max_size=12)


# An example takes half a second
@settings(max_examples=20, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(memories=_MEMORIES, budget=st.integers(100, 600))
def test_a_recall_is_never_above_its_budget(
    tokenizer: TiktokenTokenizer, memories: list[str], budget: int
) -> None:
    """For any memories, the text of a recall fits its budget, and its last line counts the tokens
    exactly.
    """

    async def recall() -> str:
        services = with_tokenizer(fake_services(lambda: NOW), tokenizer)
        async with mcp_client(services, "/mcp/n") as client:
            for number, text in enumerate(memories):
                await call(
                    client, "memory_remember", content=f"build {number}: {text}", type="semantic"
                )
            return await call(client, "memory_recall", query="build", budget=budget)

    text = anyio.run(recall)
    counted = FOOTER.search(text)
    assert counted is not None, text
    assert int(counted[1]) == tokenizer.count(text) <= int(counted[2]) == budget


def with_tokenizer(services: Services, tokenizer: TiktokenTokenizer) -> Services:
    """A copy of `services` in which `tokenizer` counts the tokens of memories and contexts."""
    tokenizers = {"cl100k_base": tokenizer}
    parts = replace(services.retriever._parts, tokenizers=tokenizers)
    counter = EntryCounter(tokenizer, parts.entries)
    ingestor = replace(services.ingestor, count_tokens=counter)  # it stores each entry's count
    return replace(services, tokenizers=tokenizers, retriever=Retriever(parts), ingestor=ingestor)


@pytest.mark.parametrize(
    ("module", "late"),
    [("api.http.app", ("mcp", "starlette")), ("api.cli.mcp.command", ("mcp", "litestar", "numpy"))],
)
def test_slow_libraries_are_imported_at_first_use(module: str, late: tuple[str, ...]) -> None:
    """Importing the service loads no MCP SDK, and importing `remembrancer mcp` loads neither the
    SDK nor numpy.
    """
    program = f"import sys, {module}; print([name for name in {late} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
