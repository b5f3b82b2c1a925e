"""API keys: those in the configured keys file, and keys that admins create while the service
runs.
"""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.auth.keys import BadKeys, Caller, KeyBook, KeyEntry, KeyRights, Role, hashed, load_keys
from api.wiring.container import Services
from memtypes.model.errors import Conflict, NotFound, Unavailable
from memtypes.stores.files import locked
from tests.api.conftest import KEYS, bearer, connect

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LISTED = KeyBook(
    hashed(
        [
            KeyEntry(key="reader-key-1", tenant="acme", role=Role.READER),
            KeyEntry(key="writer-key-1", tenant="other", role=Role.WRITER),
        ]
    )
)


def test_without_keys_every_caller_is_the_default_admin() -> None:
    """If no keys are configured, calls with any key or none act as admin of the default tenant."""
    assert KeyBook().caller(None) == Caller("default", Role.ADMIN)
    assert KeyBook().caller("anything") == Caller("default", Role.ADMIN)


def test_known_key_has_its_tenant_and_role() -> None:
    """A call with a configured key gets the tenant and the role of that key's entry."""
    caller = LISTED.caller("writer-key-1")
    assert caller is not None
    assert (caller.tenant, caller.role) == ("other", Role.WRITER)


@given(st.none() | st.text())
def test_unknown_keys_are_refused(key: str | None) -> None:
    if key not in ("reader-key-1", "writer-key-1"):
        assert LISTED.caller(key) is None


def test_the_repr_of_a_hashed_key_does_not_contain_it() -> None:
    assert "writer-key-1" not in repr(
        hashed([KeyEntry(key="writer-key-1", tenant="other", role=Role.WRITER)])
    )


def test_each_role_includes_the_lower_ones() -> None:
    """An admin may do what a writer may, and a writer may do what a reader may."""
    allowed = [(has, needs) for has in Role for needs in Role if has.may(needs)]
    assert len(allowed) == 6
    assert (Role.READER, Role.WRITER) not in allowed
    assert (Role.ADMIN, Role.READER) in allowed


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not JSON"),
        ("{}", "the file: must be a list"),
        ("[]", "has no keys"),
        (
            (
                '[{"key": "abcdefgh", "tenant": "t", "role": "reader"}, {"key": "short", '
                '"tenant": "t", "role": "reader"}]'
            ),
            "entry 1, key: .*at least 8",
        ),
        ('[{"key": "abcdefgh", "tenant": "t", "role": "king"}]', "entry 0, role"),
        ('[{"key": "abcdefgh", "role": "reader"}]', "entry 0, tenant: is required"),
        ('[{"key": "abcdefgh", "tenant": " t", "role": "reader"}]', "entry 0, tenant"),
        ('[{"key": "abcdefgh", "tenant": "t", "role": "reader", "x": 1}]', "entry 0, x"),
        (
            '[{"key": "abcdefgh", "tenant": "t", "role": "reader", "agents": []}]',
            "entry 0, agents: must have 1",
        ),
        (json.dumps([{"key": "abcdefgh", "tenant": "t", "role": "reader"}] * 2), "same key"),
    ],
)
def test_invalid_keys_file_is_refused_with_place_and_reason(
    tmp_path: Path, text: str, why: str
) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(BadKeys, match=why) as caught:
        load_keys(path)
    assert str(path) in str(caught.value)
    assert "abcdefgh" not in str(caught.value)


def test_a_missing_keys_file_is_refused(tmp_path: Path) -> None:
    """Loading a configured keys file that does not exist is an error."""
    with pytest.raises(BadKeys, match="cannot be read"):
        load_keys(tmp_path / "none.json")


def test_keys_file_is_loaded(tmp_path: Path) -> None:
    """A key in the keys file gives its caller the tenant and the role of the entry. The file may
    begin with a BOM.
    """
    path = tmp_path / "keys.json"
    # As Windows' editor saves it
    path.write_text('\ufeff[{"key": "abcdefgh", "tenant": "acme", "role": "admin"}]')
    caller = KeyBook(load_keys(path)).caller("abcdefgh")
    assert caller is not None
    assert (caller.tenant, caller.role) == ("acme", Role.ADMIN)


def clock() -> datetime:
    """A clock that stands still."""
    return NOW


@pytest.mark.anyio
async def test_created_key_works_until_it_is_revoked(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    other = KeyBook((), path)
    book = KeyBook((), path)
    key_id, key = await book.create(KeyRights(tenant="acme", role=Role.WRITER), clock)
    for item in (book, other, KeyBook((), path)):
        assert item.caller(key) == Caller("acme", Role.WRITER, key_id)
    await book.remove(key_id)
    for item in (book, other, KeyBook((), path)):
        assert item.caller(key) == Caller("default", Role.ADMIN)
    with pytest.raises(NotFound):
        await book.remove(key_id)


@pytest.mark.anyio
async def test_created_keys_are_stored_as_hashes_in_a_private_file(tmp_path: Path) -> None:
    """The file of keys that admins create contains only hashes of the keys, and only its owner can
    read it.
    """
    path = tmp_path / "keys.json"
    _, key = await KeyBook((), path).create(KeyRights(tenant="acme", role=Role.READER), clock)
    assert key not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.anyio
async def test_a_key_whose_file_cannot_be_written_is_not_created(tmp_path: Path) -> None:
    book = KeyBook((), tmp_path / "gone" / "keys.json")
    with pytest.raises(Unavailable, match="cannot be written: No such file"):
        await book.create(KeyRights(tenant="acme", role=Role.READER), clock)
    assert book.list_keys() == []


@pytest.mark.anyio
@pytest.mark.parametrize("processes", [1, 3])
async def test_concurrently_created_keys_are_all_stored(tmp_path: Path, processes: int) -> None:
    path = tmp_path / "keys.json"
    books = [KeyBook((), path) for _ in range(processes)]
    async with anyio.create_task_group() as tasks:
        for number in range(12):
            tasks.start_soon(
                books[number % processes].create,
                KeyRights(tenant=f"tenant {number}", role=Role.READER),
                clock,
            )
    assert len(KeyBook((), path).list_keys()) == 12


@pytest.mark.anyio
async def test_held_key_lock_times_out_and_names_the_process(tmp_path: Path) -> None:
    """If a process does not release the lock of the file of created keys, creating a key raises
    Unavailable.

    The error names the id of that process.
    """
    book = KeyBook((), tmp_path / "keys.json", wait_s=0.05)
    with (
        locked(tmp_path / "keys.lock"),
        pytest.raises(Unavailable, match=f"process {os.getpid()} does not release"),
    ):
        await book.create(KeyRights(tenant="acme", role=Role.READER), clock)


@pytest.mark.anyio
async def test_a_damaged_file_of_created_keys_fails_at_start_but_not_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The service does not start if the file of created keys is damaged.

    If the file becomes damaged later, the running service logs the error and keeps the keys that it
    has loaded.
    """
    path = tmp_path / "keys.json"
    book = KeyBook((), path)
    _, key = await book.create(KeyRights(tenant="acme", role=Role.READER), clock)
    path.write_text("[{]")
    with caplog.at_level(logging.ERROR):
        assert book.caller(key) == Caller("acme", Role.READER, book.list_keys()[0].id)
    assert "cannot be read" in caplog.text
    with pytest.raises(BadKeys, match="cannot be read"):
        KeyBook((), path)


@pytest.mark.anyio
async def test_keys_of_the_keys_file_cannot_be_removed(guarded: Services) -> None:
    """Keys in the configured keys file cannot be revoked, and are listed without a creation
    time.
    """
    keys = guarded.keys.list_keys()
    assert len(keys) == len(KEYS)
    assert keys[0].created_at is None
    with pytest.raises(Conflict, match="keys file"):
        await guarded.keys.remove(keys[0].id)


@pytest.mark.anyio
async def test_admin_creates_lists_and_revokes_keys(guarded: Services) -> None:
    admin = bearer("acme", Role.ADMIN)
    rights = {"tenant": "new", "role": "writer", "agents": ["ann"], "namespace": "notes"}
    async with connect(guarded) as client:
        new_key = (await client.post("/v1/admin/keys", json=rights, headers=admin)).json()
        local = {"X-API-Key": new_key["key"]}
        body = {"namespace": "n", "type": "semantic", "content": "the tide is low"}
        assert (await client.post("/v1/memories", json=body, headers=local)).status_code == 201
        assert (await client.get("/v1/memories?namespace=n", headers=admin)).json()["total"] == 0
        key_list = await client.get("/v1/admin/keys", headers=admin)
        assert new_key["key"] not in key_list.text
        assert new_key == {"id": new_key["id"], "key": new_key["key"], **rights}
        entry = {"id": new_key["id"], **rights, "created_at": "2026-03-01T12:00:00Z"}
        assert key_list.json()["keys"][-1] == entry
        path = f"/v1/admin/keys/{new_key['id']}"
        assert (await client.delete(path, headers=admin)).status_code == 204
        assert (await client.delete(path, headers=admin)).status_code == 404
        assert (await client.get("/v1/memories?namespace=n", headers=local)).status_code == 401


@pytest.mark.anyio
@pytest.mark.parametrize("role", [Role.READER, Role.WRITER])
async def test_key_calls_need_an_admin(guarded: Services, role: Role) -> None:
    """Readers and writers get a 403 when they list, create or revoke keys."""
    headers = bearer("acme", role)
    async with connect(guarded) as client:
        creation = await client.post(
            "/v1/admin/keys", json={"tenant": "t", "role": "admin"}, headers=headers
        )
        listing = await client.get("/v1/admin/keys", headers=headers)
        removed = await client.delete("/v1/admin/keys/any", headers=headers)
    assert [creation.status_code, listing.status_code, removed.status_code] == [403, 403, 403]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tenant": "t"},
        {"tenant": "", "role": "admin"},
        {"tenant": "t", "role": "x"},
        {"tenant": "t", "role": "reader", "agents": []},
    ],
)
async def test_invalid_key_requests_are_422(guarded: Services, body: dict[str, Any]) -> None:
    """A request to create a key gets a 422 if its tenant or role is missing or invalid, or its list
    of agents empty.
    """
    async with connect(guarded) as client:
        answer = await client.post("/v1/admin/keys", json=body, headers=bearer("acme", Role.ADMIN))
    assert answer.status_code == 422
