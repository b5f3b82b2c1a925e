"""Plans that prompts state in their text."""

from __future__ import annotations

import pytest

from ingest.working.plans import MAX_PROMPT, MAX_STEP, MAX_STEPS, plan_in
from ingest.working.todos import ListedStatus


def steps(prompt: str) -> list[str]:
    """The texts of the steps of the plan in a prompt."""
    return [todo.content for todo in plan_in(prompt)]


@pytest.mark.parametrize(
    "prompt",
    [
        "Plan: 1. Read the parser 2. Port it 3. Run the tests",
        "Plan:\n1. Read the parser\n2. Port it\n3. Run the tests",
        "Here is my plan:\n\n1) Read the parser\n2) Port it,\n3) Run the tests\n\nStart with 2.",
        "We fix the lexer today. **To-do:** 1. Read the parser; 2. Port it; 3. Run the tests",
        "The next steps:\n  1. Read the parser\n  2. Port it\n  3. Run the tests\nGo on.",
        "Mein Plan: 1. Read the parser 2. Port it 3. Run the tests",
        "Nächste Schritte: 1. Read the parser 2. Port it 3. Run the tests",
        "Próximos pasos: 1. Read the parser 2. Port it 3. Run the tests",
        "計画\uff1a\n1. Read the parser\n2. Port it\n3. Run the tests",
        "- [ ] Read the parser\n- [ ] Port it\n- [ ] Run the tests",
    ],
)
def test_the_steps_of_a_plan_are_found(prompt: str) -> None:
    assert steps(prompt) == ["Read the parser", "Port it", "Run the tests"]


def test_marks_tell_the_status_of_a_step() -> None:
    todos = plan_in("1. [x] read it\n2. [~] port it\n3. [-] drop it\n4. [ ] test it")
    assert [(todo.content, todo.status) for todo in todos] == [
        ("read it", ListedStatus.COMPLETED),
        ("port it", ListedStatus.IN_PROGRESS),
        ("drop it", ListedStatus.CANCELLED),
        ("test it", ListedStatus.PENDING),
    ]


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "What is the plan?",
        "Plan: read the parser, then port it.",
        "Plan: 1. Read the parser",
        "Steps to reproduce: 1. Open the page 2. Click on Save",
        "The tests print: 1. passed 2. failed",
        "It fails since version 1. 2. of the plan is fine.",
        "The plan costs: 1. money 2. time",
        "Why does this fail?\n```\nPlan:\n1. read\n2. port\n```",
        "You said:\n> Plan:\n> 1. read\n> 2. port\nWhy?",
        "Plan: we begin on Monday. 1. and 2. are done.",
        "- [ ] only one",
        "See [x] and [ ] in the table.",
        "Plan: 1. " + "x" * (MAX_STEP + 1) + " 2. port it",
        "Plan: " + " ".join(f"{number}. step {number}" for number in range(1, MAX_STEPS + 3)),
        "Plan: 2. Port it 3. Run the tests",
    ],
)
def test_what_is_no_plan_is_not_one(prompt: str) -> None:
    assert steps(prompt) == []


def test_a_plan_after_a_long_text_is_not_searched_for() -> None:
    plan = "Plan: 1. Read the parser 2. Port it"
    assert steps("word " * (MAX_PROMPT // 5 - 10) + plan) == ["Read the parser", "Port it"]
    assert steps("word " * (MAX_PROMPT // 5) + plan) == []
