"""How the client prepares prompts and messages for the service, tested without the agent
frameworks.
"""

from __future__ import annotations

from remembrancer_client import AsyncRemembrancer
from remembrancer_client.conversations import (
    MAX_CONTENT,
    capture,
    contents_of,
    query_of,
    recall_text,
)
from tests.api.clients.python.scripted_server import Reply, scripted

STOPPED = Reply(
    200, {"results": [], "counts": {"stored": 0, "merged": 0, "rejected": 0, "failed": 0}}
)


def test_a_query_has_no_control_characters_and_at_most_20000_characters() -> None:
    """A query has no terminal codes. Of a prompt that is too long only the beginning and the end
    become the query.
    """
    assert query_of(" \x1b[1;31mred\x1b[0m\x00 half \ud83d\nline\t\x85 ") == "red half \nline"
    long = query_of("a" * 30_000 + "b" * 30_000)
    assert (len(long), long[0], long[-1]) == (19_999, "a", "b")
    assert query_of(" \x1b[0m\n") == ""


def test_long_texts_are_split_into_parts() -> None:
    text = "".join(map(str, range(200_000)))
    parts = contents_of(text)
    assert [len(part) <= MAX_CONTENT for part in parts] == [True, True, True]
    assert "".join(parts) == text
    assert contents_of(" \x07 ") == []


async def test_nothing_is_sent_for_a_prompt_without_text() -> None:
    """For a prompt or message that is blank or has control characters only, no request is sent to
    the service.
    """
    with scripted(STOPPED) as server:
        async with AsyncRemembrancer(server.url, namespace="n") as memory:
            assert await recall_text(memory, " \x1b[0m ", 100) == ""
            await capture(memory, "s", [("user", "\x00"), ("assistant", " ")])
            assert server.received == []
            await capture(memory, "s", [("user", "\x1b[31mred\x1b[0m"), ("assistant", " ")])
        assert b'"messages":[{"role":"user","content":"red"}]' in server.received[0].body
