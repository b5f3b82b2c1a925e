"""The real Claude Code and Codex, each with a separate home folder and a stub in place of its
model.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from tests.processes import REPOSITORY
from tests.real_clients.stub_models import StubModel

TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class ClientRun:
    """One run of a client. answer: the model's last text. session_id: the id with which the session
    can be resumed.
    """

    answer: str
    session_id: str
    seconds: float
    stderr: str


@dataclass(slots=True)
class RealClient(ABC):
    """A coding agent with a separate home folder. name: the argument of `remembrancer install` for
    it.

    environment: environment variables that are set besides PATH and HOME.
    """

    name: ClassVar[str]

    program: Path
    home: Path
    model: StubModel
    environment: dict[str, str] = field(default_factory=dict)

    @abstractmethod
    def ask(self, folder: Path, *prompts: str, resume: str | None = None) -> ClientRun:
        """Send the prompts one after another, with `folder` as the working folder.

        resume: the id of the session to continue; None for a new session.
        """

    @abstractmethod
    def configure(self) -> None:
        """Point the client at the stub model."""

    def installer(self, *arguments: str) -> str:
        """Run `remembrancer ARGUMENTS` as the user of this home folder, and return its output."""
        done = self._run([sys.executable, "-m", "api", *arguments], REPOSITORY)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _variables(self) -> dict[str, str]:
        """The environment variables with which the client runs."""
        known = {
            name: value
            for name, value in os.environ.items()
            if name in {"PATH", "PYTHONPATH", "LANG", "TMPDIR"}
        }
        return known | {"HOME": str(self.home)} | self.environment

    def _run(self, command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=folder,
            env=self._variables(),
            input="",
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )


class ClaudeCode(RealClient):
    """The Claude Code program of the PyPI package claude-agent-sdk."""

    name = "claude-code"

    def configure(self) -> None:
        """Set the environment variables that select the stub model and disable all other network
        calls and updates.
        """
        self.environment = {
            "ANTHROPIC_BASE_URL": self.model.url,
            "ANTHROPIC_API_KEY": "stub",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "IS_SANDBOX": "1",
        }

    def ask(
        self, folder: Path, *prompts: str, resume: str | None = None, options: tuple[str, ...] = ()
    ) -> ClientRun:
        """Send the prompts in one run of Claude Code.

        resume: id of the session to continue. options: more arguments of the program.
        """
        session = ("--resume", resume) if resume else ()
        command = [
            str(self.program),
            "-p",
            "--verbose",
            "--input-format",
            "stream-json",
            "--output-format",
            "stream-json",
        ]
        started = time.monotonic()
        result = dict[str, Any]()
        with (
            (self.home / "stderr").open("w") as errors,
            subprocess.Popen(
                [*command, *session, *options],
                cwd=folder,
                env=self._variables(),
                text=True,
                stderr=errors,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            ) as process,
        ):
            assert process.stdin is not None
            assert process.stdout is not None
            for prompt in prompts:
                print(
                    json.dumps({"type": "user", "message": {"role": "user", "content": prompt}}),
                    file=process.stdin,
                    flush=True,
                )
                events = (json.loads(line) for line in process.stdout)
                result = next((event for event in events if event.get("type") == "result"), {})
            process.stdin.close()
            process.wait(TIMEOUT_S)
        notices = (self.home / "stderr").read_text()
        assert process.returncode == 0, notices
        assert result, notices
        return ClientRun(
            result["result"], result["session_id"], time.monotonic() - started, notices
        )

    def run(self, *arguments: str, folder: Path | None = None) -> str:
        """Run `claude ARGUMENTS` and return its output."""
        done = self._run([str(self.program), *arguments], folder or self.home)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


class Codex(RealClient):
    """The Codex of the npm package @openai/codex."""

    name = "codex"

    def configure(self) -> None:
        """Write a configuration that selects the stub model and waits 10 seconds for MCP
        servers.
        """
        self.environment = {"STUB_KEY": "stub"}
        folder = self.home / ".codex"
        folder.mkdir()
        (folder / "config.toml").write_text(
            "mcp_optional_startup_grace_ms = 10000\n"
            f'model = "stub"\nmodel_provider = "stub"\n\n[model_providers.stub]\nname = "stub"\n'
            f'base_url = "{self.model.url}/v1"\nwire_api = "responses"\nenv_key = "STUB_KEY"\n'
        )

    def ask(self, folder: Path, *prompts: str, resume: str | None = None) -> ClientRun:
        """Send the prompts, each in a separate run of the program that continues the session.

        Hooks run without confirmation.
        """
        *earlier, prompt = prompts
        for each in earlier:
            resume = self.ask(folder, each, resume=resume).session_id
        options = ["--json", "--skip-git-repo-check", "--dangerously-bypass-hook-trust"]
        session = ["resume", resume] if resume else []
        started = time.monotonic()
        done = self._run([str(self.program), "exec", *session, *options, prompt], folder)
        seconds = time.monotonic() - started
        assert done.returncode == 0, done.stdout + done.stderr
        events = _json_lines(done.stdout)
        session_id = next(
            event["thread_id"] for event in events if event["type"] == "thread.started"
        )
        answers = [
            event["item"]["text"]
            for event in events
            if event.get("item", {}).get("type") == "agent_message"
        ]
        return ClientRun(answers[-1], session_id, seconds, done.stderr)


def _json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
