"""Drafts from the messages of an ended session."""

from __future__ import annotations

from ingest.conversations.sessions import ABOUT_USER, SessionMessage, session_drafts


def message(role: str, text: str) -> SessionMessage:
    """A message of a session; its text may be empty, as when all of it was recalled memories."""
    return SessionMessage(role=role, content="x").model_copy(update={"content": text})


def test_a_users_message_gives_an_event_an_intention_and_a_procedure() -> None:
    """The assistant's same text gives only an event, and an empty message gives nothing."""
    text = "We met Ana. Remind me to call her tomorrow. To deploy: 1. build 2. push"
    messages = [message("user", text), message("user", ""), message("assistant", text)]
    assert [(index, str(draft.type)) for index, draft in session_drafts("s", messages)] == [
        (0, "episodic"),
        (0, "prospective"),
        (0, "procedural"),
        (2, "episodic"),
    ]


def test_facts_about_the_user_come_from_the_users_messages() -> None:
    """Each fact is tagged and names its message as the source."""
    text = "I live in Lisbon."
    drafts = session_drafts("s", [message("assistant", text), message("user", text)])
    assert [(index, draft.type) for index, draft in drafts] == [(0, "episodic"), (1, "episodic"), (1, "semantic")]
    _, fact = drafts[-1]
    assert fact.source is not None
    assert (fact.content, fact.source.thread_id, fact.source.turns, fact.tags) == (text, "s", [1], [ABOUT_USER])
