"""Keys of the keys file, and keys that admins create while the service runs; stored as hashes in the data folder."""

from __future__ import annotations

import hmac
import logging
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from pydantic import TypeAdapter, ValidationError

from api.auth.keys import BadKeys, Caller, KeyRing, Role, key_digest
from memtypes.model.errors import Conflict, NotFound, Unavailable
from memtypes.model.memory import Model
from memtypes.model.scope import Name
from memtypes.model.times import Clock, Instant, rfc3339, to_utc
from memtypes.stores.files import holder_of, locked_by, replace_file

WAIT_S = 5.0

_log = logging.getLogger(__name__)


class StoredKey(Model):
    """A key that was created here. id: the beginning of its hash, by which lists, limits and logs name it."""

    id: str
    sha256: str
    tenant: Name
    role: Role
    created_at: Instant


_STORED = TypeAdapter(list[StoredKey])


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key without its secret. created_at: None for a key of the keys file."""

    id: str
    tenant: str
    role: Role
    created_at: str | None = None


class KeyBook:
    """The keys of the keys file and those created here. A change by another process takes effect at the next call."""

    def __init__(self, ring: KeyRing, path: Path | None = None, wait_s: float = WAIT_S) -> None:
        """path: file of created keys; without one they are kept in memory. wait_s: for a process that changes them.

        Raises BadKeys when the file cannot be used.
        """
        self._wait_s = wait_s
        self._ring = ring
        self._path = path
        self._changing = anyio.Lock()
        self._seen: tuple[int, int] | None = None
        self._stored: tuple[StoredKey, ...] = ()
        if path is not None and path.exists():
            self._stored = tuple(_read(path))
        self._seen = self._stamp()

    def caller(self, key: str | None) -> Caller | None:
        """The caller with `key`, or None. Without any keys file every other call is the default tenant's admin."""
        self._refresh()
        if key and self._stored:
            digest = key_digest(key).hex()
            matches = [stored for stored in self._stored if hmac.compare_digest(stored.sha256, digest)]
            if matches:
                return Caller(matches[0].tenant, matches[0].role, matches[0].id)
        return self._ring.caller(key)

    def known(self) -> list[KnownKey]:
        """Every key without its secret: those of the file first, then in order of creation."""
        self._refresh()
        fixed = [KnownKey(caller.key_id, caller.tenant, caller.role) for _, caller in self._ring.entries]
        created = [KnownKey(key.id, key.tenant, key.role, rfc3339(key.created_at)) for key in self._stored]
        return [*fixed, *created]

    async def create(self, tenant: str, role: Role, clock: Clock) -> tuple[str, str]:
        """(id, key) of a new key; the key itself is not stored and cannot be shown again."""
        key = f"rm_{secrets.token_urlsafe(32)}"
        digest = key_digest(key).hex()
        created = StoredKey(id=digest[:12], sha256=digest, tenant=tenant, role=role, created_at=to_utc(clock()))
        async with self._exclusive():
            await self._store([*self._stored, created])
        return created.id, key

    async def remove(self, key_id: str) -> None:
        """Delete a key that was created here. Raises NotFound, and Conflict for a key of the keys file."""
        async with self._exclusive():
            remaining = [stored for stored in self._stored if stored.id != key_id]
            if len(remaining) == len(self._stored):
                if any(caller.key_id == key_id for _, caller in self._ring.entries):
                    raise Conflict("this key is in the keys file; remove it there and restart the service")
                raise NotFound("there is no key of this id")
            await self._store(remaining)

    @asynccontextmanager
    async def _exclusive(self) -> AsyncIterator[None]:
        """Exclusive access to the keys, across processes, after reading what others changed.

        Raises Unavailable when the keys cannot be written.
        """
        async with self._changing:
            if self._path is None:
                yield
                return
            lock = self._path.with_suffix(".lock")
            try:
                async with locked_by(lock, time.monotonic() + self._wait_s) as held:
                    if not held:
                        raise Unavailable(f"process {holder_of(lock)} does not release the keys; try again")
                    self._refresh()
                    yield
            except OSError as error:
                raise Unavailable(f"the keys cannot be written: {error.strerror}; nothing was changed") from error

    async def _store(self, keys: Sequence[StoredKey]) -> None:
        if self._path is not None:
            await anyio.to_thread.run_sync(replace_file, self._path, _STORED.dump_json(list(keys), indent=2))
            self._seen = self._stamp()
        self._stored = tuple(keys)

    def _refresh(self) -> None:
        """Read the file again when it changed. A file that cannot be read is logged, and the known keys stay."""
        stamp = self._stamp()
        if self._path is None or stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._stored = tuple(_read(self._path)) if stamp else ()
        except BadKeys as error:
            _log.error("%s", error)

    def _stamp(self) -> tuple[int, int] | None:
        if self._path is None:
            return None
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return None
        return stat.st_mtime_ns, stat.st_ino


def _read(path: Path) -> list[StoredKey]:
    try:
        return _STORED.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise BadKeys(f"created keys {path}: cannot be read; restore the file, or delete it") from error
