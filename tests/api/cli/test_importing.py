"""Importing a changed file again, over HTTP: which memories of its earlier version are replaced,
ended or kept.
"""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from api.cli.client import ApiClient
from api.cli.importing import import_rows, report_view
from api.wiring.container import Services
from ingest.files.readers.sources import Format
from ingest.files.report import ImportReport
from ingest.files.row_to_item import RowOptions
from ingest.files.run import ImportRequest
from memtypes.model.policy import MemoryType
from tests.api.conftest import connect
from tests.api.fake_services import fake_services

pytestmark = pytest.mark.anyio

NOTE = "# Shop\n\n## Deploy\nWe deploy to {host}.\n\n## Backup\nBackups go to the NAS.\n"
CONTACT = "\n## Contact\nMaria knows the printer.\n"


@dataclass
class Desk:
    """A folder of files, and a service into whose namespace n they are imported."""

    folder: Path
    http: httpx.AsyncClient
    times: list[datetime]

    async def imported(
        self, text: str, name: str = "note.md", form: Format | None = None
    ) -> ImportReport:
        """Write `text` to the file `name` and import it an hour after the last import."""
        (self.folder / name).write_text(text, encoding="utf-8")
        return await self.again(name, form)

    async def again(
        self, name: str = "note.md", form: Format | None = None, client: type[ApiClient] = ApiClient
    ) -> ImportReport:
        """Import the file `name` as it is, an hour after the last import. client: makes the
        calls.
        """
        self.times.append(self.times[-1] + timedelta(hours=1))
        rows = RowOptions(MemoryType.SEMANTIC, extra_to_metadata=True)
        paths = (str(self.folder / name),)
        request = ImportRequest(paths, "n", "here", rows, form, journal=self.folder / "journal")
        return await import_rows(request, client(self.http), quiet=True)

    async def call(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """The service's answer to a call on a memory or a list of namespace n."""
        response = await self.http.request(
            method, f"/v1/{path}", params={"namespace": "n"}, json=body or None
        )
        assert response.is_success, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def current(self) -> dict[str, dict[str, Any]]:
        """The current memories by the last line of their texts."""
        memories = (await self.call("GET", "memories"))["memories"]
        return {memory["content"].splitlines()[-1]: memory for memory in memories}


class DyingClient(ApiClient):
    """A client that dies when it shall change a memory."""

    async def patch(self, path: str, query: Mapping[str, str], body: object) -> dict[str, Any]:
        """Raise an error in place of the call."""
        raise RuntimeError(f"died before {path} {query} {body}")


@pytest.fixture
def times() -> list[datetime]:
    """The times of the service's clock; the last one is now."""
    return [datetime.now(UTC)]


@pytest.fixture
def services(times: list[datetime]) -> Services:
    """Services with an in-memory store, at the last of `times`."""
    return fake_services(lambda: times[-1])


@pytest.fixture
async def desk(tmp_path: Path, times: list[datetime], services: Services) -> AsyncIterator[Desk]:
    """A `Desk` with an empty folder and an empty namespace."""
    async with connect(services) as http:
        yield Desk(tmp_path, http, times)


def changes(report: ImportReport) -> list[str]:
    """The changes that an import made to memories of an earlier version of a file, sorted."""
    return sorted(row.change for row in report.former)


async def test_a_changed_section_replaces_its_former_text(desk: Desk) -> None:
    await desk.imported(NOTE.format(host="Hetzner"))
    before = await desk.current()
    await desk.call("PATCH", f"memories/{before['Backups go to the NAS.']['id']}", pinned=True)
    report = await desk.imported("Read this first.\n\n" + NOTE.format(host="AWS, with Terraform"))
    after = await desk.current()
    assert set(after) == {
        "Read this first.",
        "We deploy to AWS, with Terraform.",
        "Backups go to the NAS.",
    }
    stored = after["Backups go to the NAS."]
    assert (stored["id"], stored["pinned"]) == (before["Backups go to the NAS."]["id"], True)
    new_id = after["We deploy to AWS, with Terraform."]["id"]
    versions = (await desk.call("GET", f"memories/{new_id}/history"))["versions"]
    assert [version["memory"]["content"] for version in versions] == [
        "We deploy to Hetzner.",
        "We deploy to AWS, with Terraform.",
    ]
    assert changes(report) == ["replaced"]
    assert report.former[0].id == before["We deploy to Hetzner."]["id"]
    assert new_id in str(report.former[0])


async def test_a_replacement_by_an_import_is_a_decision_that_can_be_undone(desk: Desk) -> None:
    """A replaced section is listed as a decision. After its undo both texts are current, also after
    another import.
    """
    await desk.imported(NOTE.format(host="Hetzner"))
    await desk.imported(NOTE.format(host="AWS, with Terraform"))
    (decision,) = (await desk.call("GET", "decisions"))["decisions"]
    assert (decision["kind"], decision["content"]) == ("replaced", "We deploy to Hetzner.")
    await desk.call("POST", f"memories/{decision['id']}/undo")
    await desk.again()
    assert {"We deploy to Hetzner.", "We deploy to AWS, with Terraform."} < set(
        await desk.current()
    )


async def test_a_removed_section_is_ended_and_can_be_restored(desk: Desk) -> None:
    await desk.imported(NOTE.format(host="Hetzner") + CONTACT)
    ended = (await desk.current())["Maria knows the printer."]["id"]
    report = await desk.imported(NOTE.format(host="Hetzner"))
    assert "Maria knows the printer." not in await desk.current()
    assert [(row.id, row.change, row.why) for row in report.former] == [
        (ended, "ended", "no longer in the file")
    ]
    assert (await desk.call("POST", f"memories/{ended}/restore"))["state"] == "current"


async def test_a_section_that_is_in_the_file_again_is_current_again(desk: Desk) -> None:
    """After a section was removed or changed, the file's first version makes its texts current
    again.
    """
    first = NOTE.format(host="Hetzner") + CONTACT
    await desk.imported(first)
    await desk.imported(NOTE.format(host="AWS, with Terraform"))
    report = await desk.imported(first)
    assert set(await desk.current()) == {
        "We deploy to Hetzner.",
        "Backups go to the NAS.",
        "Maria knows the printer.",
    }
    assert changes(report) == ["replaced", "restored"]


async def test_a_dated_note_that_is_changed_back_has_its_first_text(desk: Desk) -> None:
    """Versions of a note with the same date replace each other in the order of their imports."""
    dated = "---\ncreated: 2024-01-05\n---\n" + NOTE
    for host in ("Hetzner", "AWS, with Terraform", "Hetzner"):
        await desk.imported(dated.format(host=host))
        assert set(await desk.current()) == {f"We deploy to {host}.", "Backups go to the NAS."}


async def test_a_removed_section_with_another_source_is_not_ended(desk: Desk) -> None:
    """A removed section is kept, and the report says so, if it is pinned, was said elsewhere, or is
    in another file.
    """
    await desk.imported(
        CONTACT + "\n## Till\nThe till closes at six.\n\n## Door\nThe door has a code.\n",
        "other.md",
    )
    everything = (
        NOTE.format(host="Hetzner")
        + CONTACT
        + "\n## Van\nThe van is blue.\n\n## Cat\nThe cat is Tom.\n"
    )
    await desk.imported(everything)
    fact = {"namespace": "n", "type": "semantic", "content": "The van is blue."}
    assert (await desk.http.post("/v1/memories", json=fact)).json()["status"] == "merged"
    memories = await desk.current()
    await desk.call("PATCH", f"memories/{memories['The cat is Tom.']['id']}", pinned=True)
    report = await desk.imported(NOTE.format(host="Hetzner"))
    assert {"Maria knows the printer.", "The van is blue.", "The cat is Tom."} < set(
        await desk.current()
    )
    assert sorted(row.why for row in report.former) == [
        "another source says it, too",
        "it is pinned",
    ]


async def test_a_file_that_is_empty_or_unreadable_ends_nothing(desk: Desk) -> None:
    """No memory is ended if the file has no rows now, or a row that could not be stored."""
    await desk.imported(NOTE.format(host="Hetzner"))
    assert (await desk.imported("")).former == []
    (desk.folder / "note.md").write_bytes(b"# Shop\n\n## New\nA new text.\n\n## Broken\n\xff\xfe\n")
    assert (await desk.again()).former == []
    assert {"We deploy to Hetzner.", "Backups go to the NAS.", "A new text."} == set(
        await desk.current()
    )


async def test_a_renamed_note_keeps_its_memories(desk: Desk) -> None:
    """A renamed note has the memories that it had under its former name, and a change replaces
    them.
    """
    await desk.imported(NOTE.format(host="Hetzner"), "old.md")
    (desk.folder / "old.md").rename(desk.folder / "new.md")
    await desk.again("new.md")
    report = await desk.imported(NOTE.format(host="AWS, with Terraform"), "new.md")
    assert set(await desk.current()) == {
        "We deploy to AWS, with Terraform.",
        "Backups go to the NAS.",
    }
    assert changes(report) == ["replaced"]


async def test_a_note_is_replaced_as_a_whole(desk: Desk) -> None:
    """The memory of a changed short note replaces that of its former text; the pin of the former
    one stays on it.
    """
    await desk.imported("The office machine takes beans.\n", form=Format.OBSIDIAN)
    (memory,) = (await desk.current()).values()
    await desk.call("PATCH", f"memories/{memory['id']}", pinned=True)
    await desk.imported(
        "Since May, the machine takes pods from the second floor.\n", form=Format.OBSIDIAN
    )
    ((text, memory),) = (await desk.current()).items()
    assert (text, memory["pinned"]) == (
        "Since May, the machine takes pods from the second floor.",
        True,
    )


@pytest.mark.parametrize(
    ("form", "row"),
    [
        (Format.JSONL, '{{"id": 7, "content": "{}"}}'),
        (Format.MEM0, '{{"id": "11", "memory": "{}", "hash": "x"}}'),
        (Format.ZEP, '{{"uuid": "11", "fact": "{}", "valid_at": null}}'),
        (Format.LANGGRAPH, '{{"namespace": ["a"], "key": "k", "value": {{"text": "{}"}}}}'),
    ],
)
async def test_a_record_with_an_id_replaces_its_former_text(
    desk: Desk, form: Format, row: str
) -> None:
    other = (
        row.replace("7", "8")
        .replace("11", "12")
        .replace('"k"', '"l"')
        .format("The till closes at six.")
    )
    await desk.imported(f"{row.format('Ann lives in Berlin.')}\n{other}\n", "rows.jsonl", form)
    report = await desk.imported(
        f"{row.format('Her new flat is in a suburb of Hamburg.')}\n", "rows.jsonl", form
    )
    assert set(await desk.current()) == {
        "Her new flat is in a suburb of Hamburg.",
        "The till closes at six.",
    }
    assert changes(report) == ["replaced"]


async def test_a_fact_that_has_ended_in_zep_since_expires(desk: Desk) -> None:
    """A fact of Zep that was current at the first import expires when a later export says that it
    has ended.
    """
    fact: dict[str, Any] = {
        "uuid": "11",
        "fact": "Bob works for ACME.",
        "valid_at": "2024-01-02T10:00:00Z",
    }
    await desk.imported(json.dumps(fact), "first.json", Format.ZEP)
    ended = json.dumps({**fact, "invalid_at": "2025-08-01T00:00:00Z"})
    assert changes(await desk.imported(ended, "second.json", Format.ZEP)) == ["ended"]
    assert await desk.current() == {}
    assert changes(await desk.again("second.json", Format.ZEP)) == []


async def test_an_import_that_broke_off_ends_former_texts_when_it_is_run_again(desk: Desk) -> None:
    """If an import dies after it has stored the rows of a file, the next run replaces and ends the
    former texts.
    """
    await desk.imported(NOTE.format(host="Hetzner") + CONTACT)
    (desk.folder / "note.md").write_text(NOTE.format(host="AWS, with Terraform"))
    with pytest.raises(RuntimeError):
        await desk.again(client=DyingClient)
    assert changes(await desk.again()) == ["ended", "replaced"]
    assert set(await desk.current()) == {
        "We deploy to AWS, with Terraform.",
        "Backups go to the NAS.",
    }


async def test_the_summary_names_former_texts(desk: Desk) -> None:
    """The summary counts the former texts that were replaced or ended, and lists each of them."""
    await desk.imported(NOTE.format(host="Hetzner") + CONTACT)
    report = await desk.imported(NOTE.format(host="AWS, with Terraform"))
    shown = io.StringIO()
    Console(width=400, file=shown).print(report_view(report))
    assert "ended 1, replaced 1" in shown.getvalue()
    assert "ended, no longer in the file: Maria knows the printer." in shown.getvalue()
