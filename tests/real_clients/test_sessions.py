"""Sessions of Claude Code and of Codex with a memory: what they send to their models, and what is
stored.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.real_clients.clients import RealClient
from tests.real_clients.conftest import MemoryService
from tests.real_clients.projects import HERON, PROJECTS, ScriptedProject, wait_until_stored
from tests.real_clients.stub_models import StubModel

pytestmark = pytest.mark.real_clients


@pytest.fixture(params=["claude_code", "codex"])
def client(request: pytest.FixtureRequest) -> RealClient:
    """Claude Code or Codex, with an empty home folder; a test runs once with each."""
    client: RealClient = request.getfixturevalue(request.param)
    return client


@pytest.fixture
def installed(client: RealClient, service: MemoryService) -> RealClient:
    """The client after `remembrancer install` has set it up for the service."""
    client.installer("install", client.name, "--url", service.url)
    return client


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.secret)
def test_fact_of_the_first_session_is_in_the_prompt_of_the_second(
    installed: RealClient,
    service: MemoryService,
    model: StubModel,
    tmp_path: Path,
    project: ScriptedProject,
) -> None:
    """A question in a project's second session gets the fact told in the first, and no other
    project's fact.
    """
    folder = tmp_path / project.folder
    folder.mkdir(parents=True)
    installed.ask(folder, project.fact)
    wait_until_stored(service, folder, project.secret)
    model.clear()
    installed.ask(folder, project.question)
    sent = model.sent()
    assert sent.count(project.fact) == 1
    assert not [
        other.secret for other in PROJECTS if other.secret != project.secret and other.fact in sent
    ]


def test_a_fact_is_injected_once_a_session(
    installed: RealClient, service: MemoryService, model: StubModel, tmp_path: Path
) -> None:
    """A fact is added to the first prompt that it fits, and to no later prompt of the session or
    its resume.
    """
    folder = tmp_path / "once"
    folder.mkdir()
    installed.ask(folder, HERON.fact)
    wait_until_stored(service, folder, HERON.secret)
    model.clear()
    session = installed.ask(
        folder, HERON.question, f"Again: {HERON.question}", f"Once more: {HERON.question}"
    )
    assert model.sent_last().count(HERON.fact) == 1
    installed.ask(folder, f"And again: {HERON.question}", resume=session.session_id)
    assert model.sent_last().count(HERON.fact) == 1


def test_nothing_that_was_recalled_is_captured_again(
    installed: RealClient, service: MemoryService, model: StubModel, tmp_path: Path
) -> None:
    """If a model repeats a recalled memory in its answer, no second memory of it is stored, however
    often.
    """
    folder = tmp_path / "loop"
    folder.mkdir()
    installed.ask(folder, HERON.fact)
    wait_until_stored(service, folder, HERON.secret)
    before = [content for content in service.contents(folder) if HERON.secret in content]
    for number in range(3):
        model.script = lambda _: f"From the memory of this project:\n- {HERON.fact}"
        installed.ask(
            folder, f"{HERON.question} I ask for the {number}. time, for marker-{number}."
        )
        wait_until_stored(service, folder, f"marker-{number}")
    time.sleep(1)
    assert [content for content in service.contents(folder) if HERON.secret in content] == before


def test_service_that_is_stopped_blocks_no_prompt(
    client: RealClient, model: StubModel, tmp_path: Path
) -> None:
    """If the hooks cannot reach their service, a prompt is answered about as fast as without
    hooks.
    """
    folder = tmp_path / "away"
    folder.mkdir()
    client.ask(folder, "Hello.")  # the first start of all is slow
    plain = client.ask(folder, "Hello.").seconds
    client.installer("install", client.name, "--url", "http://127.0.0.1:9")
    model.clear()
    run = client.ask(folder, "Are you there?")
    assert run.answer == "Done."
    assert "Are you there?" in model.sent()
    assert run.seconds < plain + 4
