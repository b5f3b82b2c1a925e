"""The command `remembrancer import claude-code` on a running service, while importer, service and
store are killed.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.project import project_namespace
from api.settings import Settings
from benchmarks.harness.service import Service, environment, free_port, kill, start
from benchmarks.harness.synthetic import name
from tests.ingest.files.past.transcripts import ClaudeTranscript
from tests.soak.service import Sizes, pids_of, seeded, stored_memories

_LIMIT_S = 1_800.0
_POLL_S = 0.02
_PROJECTS = 3
_PROMPTS = (
    "We moved the {0} service to the {1} cluster because its old host ran out of memory.",
    "Remind me to renew the certificate of {0} before {1} is switched off.",
    "In the {0} repository we use tabs, and every commit names a ticket of {1}.",
    "The nightly job of {0} failed again: it waits for the lock of {1}.",
)
_ANSWERS = (
    (
        "I moved {0}: it now runs on {1}, and the old host is drained. The health check "
        "answers in 40 ms."
    ),
    "Noted. The certificate of {0} is renewed by the job of {1}, which I extended.",
    "Understood: tabs in {0}, and I added a hook that refuses a commit without a ticket of {1}.",
    (
        "The cause is the order of locks: {0} takes its own lock first, {1} takes it last. I "
        "changed {0}."
    ),
)
_VICTIMS = ("importer", "service", "importer", "service and store", "importer")


@dataclass(slots=True)
class PastImport:
    """Imports the transcripts in `home` to a service, which is always started on the same port."""

    settings: Settings
    home: Path
    port: int
    service: Service | None = None

    def serve(self) -> Service:
        """The running service; it is started if it does not run."""
        if self.service is None:
            self.service = start(self.settings, self.port)
        return self.service

    def start(self) -> subprocess.Popen[bytes]:
        """Start an import and return its process."""
        where = [
            "--url",
            f"http://127.0.0.1:{self.port}",
            "--data-dir",
            str(self.home / "client"),
            "--json",
        ]
        command = [
            sys.executable,
            "-c",
            "from api.cli.entry import main; main()",
            "import",
            "claude-code",
            *where,
        ]
        variables = environment(self.settings) | {
            "HOME": str(self.home),
            "CLAUDE_CONFIG_DIR": str(self.home / ".claude"),
        }
        return subprocess.Popen(
            command, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )

    def kill_once(
        self, victim: str, parts: int, later_s: float, child: subprocess.Popen[bytes]
    ) -> bool:
        """Kill a process `later_s` seconds after the import's journal has `parts` lines.

        victim: "importer" for the import `child`, otherwise a name that `pids_of` knows. Returns
        False if the import ended before.
        """
        while child.poll() is None and self.parts() < parts:
            time.sleep(_POLL_S)
        time.sleep(later_s)
        if child.poll() is not None:
            return False
        if victim == "importer":
            kill([child.pid])
            child.communicate()
        else:
            service = self.serve()
            service.kill(pids_of(service, victim))
            self.service = None
            self.serve()
        return True

    def parts(self) -> int:
        """The number of lines in the import's journal, one for each part of a transcript that was
        sent.
        """
        journals = (self.home / "client" / "journal").glob("sessions-*.jsonl")
        return sum(path.read_bytes().count(b"\n") for path in journals)

    def noted(self) -> Counter[str]:
        """For the key of each sent message, how often the import's journal contains it."""
        journals = (self.home / "client" / "journal").glob("sessions-*.jsonl")
        lines = [json.loads(line) for path in journals for line in path.read_bytes().splitlines()]
        return Counter(key for line in lines for key in line["keys"])


@pytest.mark.soak
def test_a_killed_import_of_transcripts_loses_and_doubles_nothing(
    settings: Settings, sizes: Sizes
) -> None:
    """An import that is killed again and again gives the same memories as an undisturbed import,
    each once.
    """
    messages = sizes.pick(600, 5_000)
    home = settings.data_dir / "home"
    said = write_transcripts(home, messages)
    other = settings.model_copy(update={"data_dir": settings.data_dir / "undisturbed"})
    other.data_dir.mkdir()
    began = time.monotonic()
    undisturbed, _ = _run(PastImport(other, home, free_port()), {}, seeded())
    # The figure
    print(f"\n{messages} messages in {time.monotonic() - began:.0f} s, undisturbed")  # noqa: T201
    for path in (home / "client" / "journal").glob("*"):
        path.unlink()
    killed = PastImport(settings, home, free_port())
    victims = _VICTIMS[: sizes.pick(3, 5)]
    parts = 2 * messages // 100  # a session of a hundred messages is sent in two
    at = {1 + number * parts // len(victims): victim for number, victim in enumerate(victims)}
    memories, kills = _run(killed, at, seeded())
    assert kills == sizes.pick(3, 5)
    assert killed.noted() == Counter(said)
    assert memories == undisturbed
    assert sum(memories.values()) == len(memories) > messages / 4


def _run(
    run: PastImport, victims: Mapping[int, str], rng: random.Random
) -> tuple[Counter[tuple[Any, ...]], int]:
    """Run an import and kill processes meanwhile; return the resulting memories and the number of
    kills.

    victims: the process to kill, by the number of parts sent before.
    """
    run.serve()
    kills = 0
    child = run.start()
    for parts, victim in victims.items():
        kills += run.kill_once(victim, parts, rng.uniform(0.0, 1.5), child)
        if victim == "importer":
            child = run.start()
    output, _ = child.communicate(timeout=_LIMIT_S)
    assert child.returncode == 0, output
    report = json.loads(output)
    assert (report["stopped"], report["problems"], report["counts"]["failed"]) == (None, [], 0)
    print(  # noqa: T201
        f"last run: {report['sent']} sent in {report['seconds']:.0f} s, {report['earlier']} before"
    )
    run.serve().stop()
    namespaces = [project_namespace(f"/projects/p{number}") for number in range(_PROJECTS)]
    memories = [
        memory for namespace in namespaces for memory in stored_memories(run.settings, namespace)
    ]
    return Counter(_identity(memory) for memory in memories), kills


def _identity(memory: dict[str, Any]) -> tuple[Any, ...]:
    names = (
        "namespace",
        "session_id",
        "type",
        "content",
        "created_at",
        "speaker",
        "evidence_count",
    )
    return tuple(memory.get(name) for name in names)


def write_transcripts(home: Path, messages: int) -> list[str]:
    """Write transcripts of three projects with this many messages, and other lines; return the
    messages' keys.
    """
    keys: list[str] = []
    for number in range(messages // 100):
        talk = ClaudeTranscript(f"session-{number}", f"/projects/p{number % _PROJECTS}")
        for turn in range(number * 50, number * 50 + 50):
            names = name(turn), name(turn + 7_919)
            keys.append(f"{talk.session}/{talk.user(_PROMPTS[turn % 4].format(*names))}")
            talk.assistant(_ANSWERS[turn % 4].format(*names))
            keys.append(f"{talk.session}/{talk.leaf}")
        talk.noise()
        path = talk.write(home / ".claude")
        os.utime(path, (time.time() - 60,) * 2)
    return keys
