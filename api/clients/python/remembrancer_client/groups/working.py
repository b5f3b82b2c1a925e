"""Calls on working memory, and the hooks that report events of an agent's session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from remembrancer_client.answers.retrieval import RetrieveAnswer
from remembrancer_client.answers.threads import (
    ItemsAnswer,
    SessionStopAnswer,
    TodoCompletedAnswer,
    TodoCreatedAnswer,
    WorkingCleared,
    WorkingCreated,
)
from remembrancer_client.calls import Call, ConnectionT_co, Description, Group, Request
from remembrancer_client.options.sessions import (
    ChatMessage,
    ClearOptions,
    DoneOptions,
    PromptOptions,
    StopOptions,
    TodoOptions,
    WorkingListOptions,
    WorkingOptions,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Working(Group[ConnectionT_co]):
    """Working memory: notes on the current task of a session, which expire."""

    @Call
    def add(self, session_id: str, content: str, **options: Unpack[WorkingOptions]) -> Description[WorkingCreated]:
        """Create a working item: a note on the current task of a session."""
        body = self._body(options, session_id=session_id, content=content)
        return Request("POST", "/v1/working", WorkingCreated, body=body)

    @Call
    def items(self, session_id: str, **options: Unpack[WorkingListOptions]) -> Description[ItemsAnswer]:
        """The items of a session, oldest first."""
        query = self._query(options, session_id=session_id)
        return Request("GET", "/v1/working", ItemsAnswer, query=query, repeatable=True)

    @Call
    def clear(self, session_id: str, **options: Unpack[ClearOptions]) -> Description[WorkingCleared]:
        """Clear a to-do's items, one item, or all of the session."""
        body = self._body(options, session_id=session_id)
        return Request("POST", "/v1/working/clear", WorkingCleared, body=body)


class Hooks(Group[ConnectionT_co]):
    """Calls that report what happens in an agent's session: prompts, to-dos, and its end."""

    @Call
    def prompt_submit(
        self, session_id: str, prompt: str, **options: Unpack[PromptOptions]
    ) -> Description[RetrieveAnswer[str]]:
        """The context for a prompt. Due tasks in it are marked as fired."""
        body = self._body(options, session_id=session_id, prompt=prompt)
        return Request("POST", "/v1/hooks/prompt-submit", RetrieveAnswer[str], body=body)

    @Call
    def session_stop(
        self, session_id: str, messages: Sequence[ChatMessage], **options: Unpack[StopOptions]
    ) -> Description[SessionStopAnswer]:
        """Send the messages of a session that has ended. The answer says what became of each."""
        body = self._body(options, session_id=session_id, messages=list(messages))
        return Request("POST", "/v1/hooks/session-stop", SessionStopAnswer, body=body)

    @Call
    def todo_created(
        self, session_id: str, todo_id: str, content: str, **options: Unpack[TodoOptions]
    ) -> Description[TodoCreatedAnswer]:
        """Put a new to-do into working memory."""
        body = self._body(options, session_id=session_id, todo_id=todo_id, content=content)
        return Request("POST", "/v1/hooks/todo-created", TodoCreatedAnswer, body=body)

    @Call
    def todo_completed(
        self, session_id: str, todo_id: str, **options: Unpack[DoneOptions]
    ) -> Description[TodoCompletedAnswer]:
        """Clear the working items of a to-do that is done. If it took over five steps, store them as a procedure."""
        body = self._body(options, session_id=session_id, todo_id=todo_id)
        return Request("POST", "/v1/hooks/todo-completed", TodoCompletedAnswer, body=body)
