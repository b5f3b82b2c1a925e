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
from remembrancer_client.calls import Call, ConnectionT_co, Description, Group
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
        return self._post("/v1/working", WorkingCreated, options, session_id=session_id, content=content)

    @Call
    def items(self, session_id: str, **options: Unpack[WorkingListOptions]) -> Description[ItemsAnswer]:
        """The items of a session, oldest first."""
        return self._get("/v1/working", ItemsAnswer, options, session_id=session_id)

    @Call
    def clear(self, session_id: str, **options: Unpack[ClearOptions]) -> Description[WorkingCleared]:
        """Clear a to-do's items, one item, or all of the session."""
        return self._post("/v1/working/clear", WorkingCleared, options, session_id=session_id)


class Hooks(Group[ConnectionT_co]):
    """Calls that report what happens in an agent's session: prompts, to-dos, and its end."""

    @Call
    def prompt_submit(
        self, session_id: str, prompt: str, **options: Unpack[PromptOptions]
    ) -> Description[RetrieveAnswer[str]]:
        """The context for a prompt. Due tasks in it are marked as fired."""
        return self._post("/v1/hooks/prompt-submit", RetrieveAnswer[str], options, session_id=session_id, prompt=prompt)

    @Call
    def session_stop(
        self, session_id: str, messages: Sequence[ChatMessage], **options: Unpack[StopOptions]
    ) -> Description[SessionStopAnswer]:
        """Send the messages of a session that has ended. The answer says what became of each."""
        said = {"session_id": session_id, "messages": list(messages)}
        return self._post("/v1/hooks/session-stop", SessionStopAnswer, options, **said)

    @Call
    def todo_created(
        self, session_id: str, todo_id: str, content: str, **options: Unpack[TodoOptions]
    ) -> Description[TodoCreatedAnswer]:
        """Put a new to-do into working memory."""
        todo = {"session_id": session_id, "todo_id": todo_id, "content": content}
        return self._post("/v1/hooks/todo-created", TodoCreatedAnswer, options, **todo)

    @Call
    def todo_completed(
        self, session_id: str, todo_id: str, **options: Unpack[DoneOptions]
    ) -> Description[TodoCompletedAnswer]:
        """Clear the working items of a to-do that is done. If it took over five steps, store them as a procedure."""
        todo = {"session_id": session_id, "todo_id": todo_id}
        return self._post("/v1/hooks/todo-completed", TodoCompletedAnswer, options, **todo)
