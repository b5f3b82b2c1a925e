"""Twenty scripted projects, each with a fact to tell the client and a question that the fact
answers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.real_clients.conftest import MemoryService

CAPTURE_S = 20.0


@dataclass(frozen=True, slots=True)
class ScriptedProject:
    """A project. secret: a word of the fact that the question and all other projects do not
    contain.
    """

    folder: str
    fact: str
    question: str
    secret: str


PROJECTS = [
    ScriptedProject(
        "shop",
        "We call the staging database heron-17; it runs in Frankfurt.",
        "Which database do we use for staging?",
        "heron-17",
    ),
    ScriptedProject(
        "client-a/api",
        "Releases of this API go out on Wednesdays, because support is complete then.",
        "On which day do we release?",
        "Wednesdays",
    ),
    ScriptedProject(
        "client-b/api",
        "Releases of this API go out on Mondays, after the board has met.",
        "On which day do we release?",
        "Mondays",
    ),
    ScriptedProject(
        "ledger",
        "We chose Postgres advisory locks over Redlock for the ledger.",
        "How do we lock the ledger?",
        "Redlock",
    ),
    ScriptedProject(
        "mobile",
        "The minimum iOS version is 16.4, because of web push.",
        "Which iOS versions do we support?",
        "16.4",
    ),
    ScriptedProject(
        "site",
        "The brand colour is teal #0f766e, and never the old orange.",
        "What is our brand colour?",
        "0f766e",
    ),
    ScriptedProject(
        "etl",
        "The nightly import must finish before 05:40, when the dashboards refresh.",
        "When must the nightly import be finished?",
        "05:40",
    ),
    ScriptedProject(
        "billing",
        "Invoices are rounded half to even, as the auditor Moser asked.",
        "How do we round invoices?",
        "Moser",
    ),
    ScriptedProject(
        "search",
        "We tuned BM25 with k1 = 0.9 on our own queries.",
        "Which k1 do we use for BM25?",
        "0.9",
    ),
    ScriptedProject(
        "infra",
        "Terraform state is in the bucket tf-state-quokka.",
        "Where is the Terraform state?",
        "quokka",
    ),
    ScriptedProject(
        "docs",
        "Our style guide says: no exclamation marks and no title case.",
        "What does our style guide say about title case?",
        "exclamation",
    ),
    ScriptedProject(
        "games",
        "The physics step is fixed at 120 Hz, or the ragdolls explode.",
        "What is the rate of the physics step?",
        "ragdolls",
    ),
    ScriptedProject(
        "ml",
        "The evaluation set v7 has a leak; only v8 may be reported.",
        "Which evaluation set may we report?",
        "v8",
    ),
    ScriptedProject(
        "ops",
        "The on-call phone is handed over on Thursdays at ten to Priya.",
        "Who takes the on-call phone over?",
        "Priya",
    ),
    ScriptedProject(
        "auth",
        "Refresh tokens live nine days, by decision of the security board.",
        "How long do refresh tokens live?",
        "nine days",
    ),
    ScriptedProject(
        "maps",
        "Tiles are cut at zoom 14; deeper ones are drawn from vectors.",
        "At which zoom do we cut tiles?",
        "zoom 14",
    ),
    ScriptedProject(
        "mail",
        "Bounced mails go to the queue pelican, which is read on Fridays.",
        "To which queue do bounced mails go?",
        "pelican",
    ),
    ScriptedProject(
        "embedded",
        "The watchdog fires after 800 ms; never sleep longer in a task.",
        "After which time does the watchdog fire?",
        "800 ms",
    ),
    ScriptedProject(
        "проект",
        "Отчёты отправляем по пятницам в бухгалтерию, Ольге.",
        "Кому отправляем отчёты?",
        "Ольге",
    ),
    ScriptedProject(
        "my project (old)",
        "The old importer is frozen until the Zürich migration is done.",
        "When may we change the old importer?",
        "Zürich",
    ),
]

HERON = PROJECTS[0]
"""The project of tests that need one."""


def wait_until_stored(service: MemoryService, folder: Path, text: str) -> None:
    """Wait until a memory of the project contains `text`. The service stores a client's texts after
    it has answered.
    """
    end = time.monotonic() + CAPTURE_S
    while not any(text in content for content in service.contents(folder)):
        if time.monotonic() > end:
            pytest.fail(f"{text!r} is not stored: {service.contents(folder)}")
        time.sleep(0.1)
