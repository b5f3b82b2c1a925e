"""Secrets sent to a running service are stored in no file, and an erased text leaves no bytes in
any file.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.api.privacy.planting import SECRET, doors, plant_files
from tests.processes import REPOSITORY, Process

pytestmark = pytest.mark.slow

ORDINARY = "is kept in the vault until"


def files_with(folder: Path, text: str) -> list[Path]:
    """The files below a directory that contain `text`."""
    return [
        item for item in folder.rglob("*") if item.is_file() and text.encode() in item.read_bytes()
    ]


def through_every_door(client: httpx.Client, namespace: str) -> list[str]:
    """Send all requests of `doors`, which contain the secret, and return the texts of the
    responses.
    """
    report = []
    item = ""
    for method, path, body in doors(namespace):
        answer = client.request(method, path.format(ID=item), json=body)
        assert answer.status_code < 500, answer.text
        report.append(answer.text)
        results = answer.json()
        item = next(
            (results[name] for name in ("id", "receipt_id", "workflow_id") if results.get(name)),
            item,
        )
    return report


def imported(service: Process, folder: Path) -> str:
    """Import the files of `folder` with the importer's command and return all that the command
    prints.
    """
    command = [
        sys.executable,
        "-m",
        "ingest",
        str(folder),
        "--from",
        "auto",
        "--url",
        service.url,
        "-n",
        "files",
    ]
    journal = ["--journal", str(folder.parent / "data" / "journal"), "--json"]
    done = subprocess.run(
        [*command, *journal],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert json.loads(done.stdout)["counts"]["failed"] == 0
    return done.stdout + done.stderr


def moved(client: httpx.Client, namespace: str) -> str:
    """Export a namespace, add the secret to the exported lines, and import them. Return the texts
    of both responses.
    """
    lines = client.post("/v1/admin/export", json={"namespace": namespace}).text
    assert SECRET not in lines
    ndjson = {"Content-Type": "application/x-ndjson"}
    changed = lines.replace("The deploy key", f"{SECRET}: the deploy key")
    answer = client.post(
        "/v1/admin/import?namespace=moved", content=changed.encode(), headers=ndjson
    )
    assert set(answer.json()["counts"]) == {"stored"} or answer.json()["counts"]["failed"] == 0
    return answer.text + client.post("/v1/admin/export", json={"namespace": "moved"}).text


def test_secrets_are_never_stored_and_erased_text_is_gone(
    tmp_path: Path, onnx_directory: Path
) -> None:
    """A secret that was sent is in no response, log or data file. Erasure also removes the text
    around it.
    """
    (folder := tmp_path / "exports").mkdir()
    plant_files(folder)
    service = Process(tmp_path, onnx_directory)
    try:
        service.wait_until_ready()
        with httpx.Client(base_url=service.url, timeout=120) as client:
            answer = [
                *through_every_door(client, "planted"),
                imported(service, folder),
                moved(client, "planted"),
            ]
            leaks = [item for item in answer if SECRET in item]
            assert not leaks
            assert ORDINARY in "".join(answer)
            data = tmp_path / "data"
            assert files_with(data, ORDINARY)
            assert not files_with(data, SECRET)
            for namespace in ("planted", "files", "moved"):
                proof = client.post("/v1/admin/erase", json={"namespace": namespace}).json()
                assert set(proof["remaining"].values()) == {0}, proof
            assert not files_with(data, ORDINARY)
    finally:
        assert service.stop() == 0
    assert SECRET not in service.log.read_text()
