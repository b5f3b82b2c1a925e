"""To-dos of Claude Code and Codex: what their tools report, what the next prompts show, and what is
left when a session has ended. Twenty scripted sessions of each client: `make real-todos`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.project import project_namespace
from tests.real_clients.clients import ClaudeCode, Codex, RealClient
from tests.real_clients.conftest import MemoryService
from tests.real_clients.projects import PROJECTS
from tests.real_clients.stub_models import StubModel, ToolCall

pytestmark = pytest.mark.real_clients

_BLOCK = re.compile(r"<working_memory>(.*?)</working_memory>", re.DOTALL)
_WORK = ("Read the code of", "Write the tests of", "Rewrite", "Document", "Release")
ABANDONED = "session_ended"


@dataclass(frozen=True, slots=True)
class ScriptedSession:
    """A session in which a model keeps to-dos. made: the statuses after its first prompt, by the
    to-dos' texts. later: the statuses after its second prompt; a to-do that it lacks is deleted.
    """

    name: str
    made: Mapping[str, str]
    later: Mapping[str, str]

    @classmethod
    def number(cls, number: int) -> ScriptedSession:
        """The session number `number` of twenty: two to five to-dos, which are completed, worked
        on, deleted and left open in turns.
        """
        subject = PROJECTS[number].folder
        texts = [f"{work} {subject}" for work in _WORK[: 2 + number % 4]]
        made = {
            text: "in_progress" if place == 0 else "pending" for place, text in enumerate(texts)
        }
        later = dict(made)
        later[texts[0]] = "completed"
        if number % 5 != 4:  # every fifth session abandons what is pending
            later[texts[1]] = "in_progress"
        if number % 3 == 0:
            del later[texts[-1]]
        if number % 7 == 0:
            later[f"Tell Ann of {subject}"] = "pending"
        return cls(subject, made, later)

    def shown(self, statuses: Mapping[str, str]) -> list[str]:
        """The entries of "Task at hand" for to-dos with these statuses: those in progress first."""
        is_open = [(text, status) for text, status in statuses.items() if status != "completed"]
        in_order = sorted(is_open, key=lambda pair: pair[1] != "in_progress")
        return [f"[{status.replace('_', ' ')}] {text}" for text, status in in_order]

    @property
    def ends(self) -> dict[str, str]:
        """Why each to-do is over when the session has ended."""
        missing = {text: "deleted" for text in self.made if text not in self.later}
        over = {
            text: "completed" if status == "completed" else ABANDONED
            for text, status in self.later.items()
        }
        return missing | over


SESSIONS = [ScriptedSession.number(number) for number in range(len(PROJECTS))]


def by_tasks(session: ScriptedSession) -> list[list[ToolCall]]:
    """The calls of Claude Code's task tools in the session's first two prompts."""
    numbers = {text: str(place) for place, text in enumerate({**session.made, **session.later}, 1)}

    def create(texts: Sequence[str]) -> Iterator[ToolCall]:
        for text in texts:
            yield ToolCall("TaskCreate", {"subject": text, "description": f"{text}, all of it."})

    def update(text: str, status: str) -> ToolCall:
        return ToolCall("TaskUpdate", {"taskId": numbers[text], "status": status})

    first = [*create([*session.made])]
    first += [update(text, status) for text, status in session.made.items() if status != "pending"]
    second = [*create([text for text in session.later if text not in session.made])]
    for text in numbers:
        status = session.later.get(text, "deleted")
        if status != session.made.get(text, "pending"):
            second.append(update(text, status))
    return [first, second]


def by_lists(session: ScriptedSession) -> list[list[ToolCall]]:
    """The calls of Claude Code's TodoWrite in the session's first two prompts."""
    return [
        [
            ToolCall(
                "TodoWrite",
                {
                    "todos": [
                        {"content": text, "status": status, "activeForm": f"Now: {text}"}
                        for text, status in statuses.items()
                    ]
                },
            )
        ]
        for statuses in (session.made, session.later)
    ]


def by_plans(session: ScriptedSession) -> list[list[ToolCall]]:
    """The calls of Codex's update_plan in the session's first two prompts."""
    return [
        [
            ToolCall(
                "update_plan",
                {"plan": [{"step": text, "status": status} for text, status in statuses.items()]},
            )
        ]
        for statuses in (session.made, session.later)
    ]


def follow(model: StubModel, turns: Sequence[Sequence[ToolCall]]) -> None:
    """Let the model make the calls of each turn, one in a request, and then end the turn."""
    replies: list[str | ToolCall] = []
    for calls in turns:
        replies += [*calls, "Done."]
    following = iter(replies)
    model.script = lambda _: next(following, "Done.")


def texts_in(value: object) -> Iterator[str]:
    """All texts in a request, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from texts_in(each)
    elif isinstance(value, dict):
        yield from texts_in([*value.values()])


def shown_with_prompts(
    requests: Sequence[dict[str, Any]], prompts: Sequence[str]
) -> list[list[str]]:
    """The entries of "Task at hand" that were added to each of the prompts."""
    shown: list[list[str]] = []
    before = 0
    for prompt in prompts:
        request = next(body for body in requests if prompt in json.dumps(body))
        messages = request.get("messages") or request.get("input")
        blocks = [block for text in texts_in(messages) for block in _BLOCK.findall(text)]
        lines = blocks[-1].splitlines() if len(blocks) > before else []
        shown.append([line[2:] for line in lines if line.startswith("- ")])
        before = len(blocks)
    return shown


def ends_of(service: MemoryService, folder: Path, session_id: str) -> dict[str, str]:
    """Why each item of the session's working memory has ended, by its text."""
    query = {"namespace": project_namespace(str(folder)), "session_id": session_id}
    answer = httpx.get(
        f"{service.url}/v1/working", params={**query, "include_cleared": "true"}, timeout=10
    )
    return {item["content"]: item["cleared_reason"] for item in answer.json()["items"]}


def check(
    client: RealClient,
    service: MemoryService,
    folder: Path,
    session: ScriptedSession,
    turns: Sequence[Sequence[ToolCall]],
) -> None:
    """Run the session, and a new one after it, and check what their prompts showed."""
    folder.mkdir(parents=True)
    client.installer("install", client.name, "--url", service.url)
    follow(client.model, turns)
    prompts = ["Please begin with alpha.", "Please go on with beta.", "Please finish with gamma."]
    client.model.clear()
    run = client.ask(folder, *prompts)
    assert shown_with_prompts(client.model.requests, prompts) == [
        [],
        session.shown(session.made),
        session.shown(session.later),
    ]
    assert ends_of(service, folder, run.session_id) == session.ends
    client.model.clear()
    client.ask(folder, "What is next with delta?")
    assert shown_with_prompts(client.model.requests, ["What is next with delta?"]) == [[]]


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.name)
def test_to_dos_of_claude_code_are_shown_until_they_are_over(
    claude_code: ClaudeCode, service: MemoryService, tmp_path: Path, session: ScriptedSession
) -> None:
    """Every other session uses the earlier tool TodoWrite."""
    uses_tasks = SESSIONS.index(session) % 2 == 0
    claude_code.environment["CLAUDE_CODE_ENABLE_TODO_TOOLS"] = "1"
    claude_code.environment["CLAUDE_CODE_ENABLE_TASKS"] = "1" if uses_tasks else "0"
    turns = by_tasks(session) if uses_tasks else by_lists(session)
    check(claude_code, service, tmp_path / session.name, session, turns)


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.name)
def test_to_dos_of_codex_are_shown_until_they_are_over(
    codex: Codex, service: MemoryService, tmp_path: Path, session: ScriptedSession
) -> None:
    """Codex ends and resumes the session between the prompts, as each is a run of its own."""
    settings = codex.home / ".codex" / "config.toml"
    settings.write_text(f"{settings.read_text()}\n[tools.update_plan]\nenabled = true\n")
    check(codex, service, tmp_path / session.name, session, by_plans(session))


def test_a_plan_in_a_prompt_is_shown_where_the_model_has_no_tool_for_it(
    claude_code: ClaudeCode, service: MemoryService, tmp_path: Path
) -> None:
    claude_code.installer("install", "claude-code", "--url", service.url)
    prompts = ["Plan: 1. Read the parser 2. Port it", "Please go on."]
    claude_code.ask(tmp_path, *prompts)
    assert shown_with_prompts(claude_code.model.requests, prompts)[1] == [
        "[pending] Read the parser",
        "[pending] Port it",
    ]
