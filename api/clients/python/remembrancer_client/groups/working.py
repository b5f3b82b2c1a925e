"""Calls on working memory, and the hooks that report events of an agent's session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from remembrancer_client.answers import (
    ItemsAnswer,
    RetrieveAnswer,
    SessionStopAnswer,
    TodoCompletedAnswer,
    TodoCreatedAnswer,
    WorkingCleared,
    WorkingCreated,
)
from remembrancer_client.calls import Call, ConnectionT_co, Group
from remembrancer_client.options import (
    ClearOptions,
    DoneOptions,
    PromptOptions,
    SessionMessage,
    StopOptions,
    TodoOptions,
    WorkingListOptions,
    WorkingOptions,
)
from remembrancer_client.request import Description

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Working(Group[ConnectionT_co]):
    """The group `client.working`: calls on working memory, the notes on a session's current task.
    They expire.
    """

    @Call
    def add(
        self, session_id: str, content: str, **options: Unpack[WorkingOptions]
    ) -> Description[WorkingCreated]:
        """Create a working item: a note on the current task of a session."""
        return self._post(
            "/v1/working", WorkingCreated, options, session_id=session_id, content=content
        )

    @Call
    def items(
        self, session_id: str, **options: Unpack[WorkingListOptions]
    ) -> Description[ItemsAnswer]:
        """The working items of a session, oldest first."""
        return self._get("/v1/working", ItemsAnswer, options, session_id=session_id)

    @Call
    def clear(
        self, session_id: str, **options: Unpack[ClearOptions]
    ) -> Description[WorkingCleared]:
        """Clear the working items of a to-do, one item, or all items of the session."""
        return self._post("/v1/working/clear", WorkingCleared, options, session_id=session_id)


class Hooks(Group[ConnectionT_co]):
    """The group `client.hooks`: calls that report an agent session's prompts, to-dos and
    messages.
    """

    @Call
    def prompt_submit(
        self, session_id: str, prompt: str, **options: Unpack[PromptOptions]
    ) -> Description[RetrieveAnswer]:
        """The context for a prompt. Due tasks in the context are marked as fired, so that they are
        not shown again.
        """
        return self._post(
            "/v1/hooks/prompt-submit",
            RetrieveAnswer,
            options,
            session_id=session_id,
            prompt=prompt,
        )

    @Call
    def session_stop(
        self, session_id: str, messages: Sequence[SessionMessage], **options: Unpack[StopOptions]
    ) -> Description[SessionStopAnswer]:
        """Store what is worth keeping of a session's messages. The answer has a result for each
        message.
        """
        session = {"session_id": session_id, "messages": list(messages)}
        return self._post("/v1/hooks/session-stop", SessionStopAnswer, options, **session)

    @Call
    def todo_created(
        self, session_id: str, todo_id: str, content: str, **options: Unpack[TodoOptions]
    ) -> Description[TodoCreatedAnswer]:
        """Add a to-do of an agent to its working memory."""
        todo = {"session_id": session_id, "todo_id": todo_id, "content": content}
        return self._post("/v1/hooks/todo-created", TodoCreatedAnswer, options, **todo)

    @Call
    def todo_completed(
        self, session_id: str, todo_id: str, **options: Unpack[DoneOptions]
    ) -> Description[TodoCompletedAnswer]:
        """Clear the working items of a completed to-do. If it has more than five steps, store them
        as a procedure.
        """
        todo = {"session_id": session_id, "todo_id": todo_id}
        return self._post("/v1/hooks/todo-completed", TodoCompletedAnswer, options, **todo)
