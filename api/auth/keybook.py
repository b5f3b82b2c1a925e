"""Keys that admins make while the service runs, beside those of the keys file. Kept as hashes in the data folder."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from pydantic import TypeAdapter, ValidationError

from api.auth.keys import BadKeys, Caller, KeyRing, Role
from memtypes.model.errors import Conflict, NotFound, Unavailable
from memtypes.model.memory import Model
from memtypes.model.scope import Name
from memtypes.model.times import Clock, Instant, to_utc
from memtypes.stores.files import holder_of, locked_by, replace_file

WAIT_S = 5.0

_log = logging.getLogger(__name__)


class KeptKey(Model):
    """A key that was made here. id: the beginning of its hash, which names it in lists, limits and logs."""

    id: str
    sha256: str
    tenant: Name
    role: Role
    created_at: Instant


_KEPT = TypeAdapter(list[KeptKey])


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key as a list shows it, without its secret. created_at: None for one of the keys file."""

    id: str
    tenant: str
    role: Role
    created_at: str | None = None


class KeyBook:
    """The ring of the keys file, and the keys made here. A change by another process is seen at the next call."""

    def __init__(self, ring: KeyRing, path: Path | None = None, wait_s: float = WAIT_S) -> None:
        """path: where made keys are kept; in memory alone without one. wait_s: for another process that changes them.

        Raises BadKeys when the file can't be used.
        """
        self._wait_s = wait_s
        self._ring = ring
        self._path = path
        self._changing = anyio.Lock()
        self._seen: tuple[int, int] | None = None
        self._kept: tuple[KeptKey, ...] = ()
        if path is not None and path.exists():
            self._kept = tuple(_read(path))
        self._seen = self._stamp()

    def caller(self, key: str | None) -> Caller | None:
        """Who holds `key`, or None. Without a keys file a call without a known key is the default tenant's admin."""
        self._refresh()
        if key and self._kept:
            digest = _sha256(key)
            found = [one for one in self._kept if hmac.compare_digest(one.sha256, digest)]
            if found:
                return Caller(found[0].tenant, found[0].role, found[0].id)
        return self._ring.caller(key)

    def known(self) -> list[KnownKey]:
        """Every key without its secret: those of the file first, then as they were made."""
        self._refresh()
        fixed = [KnownKey(caller.key_id, caller.tenant, caller.role) for _, caller in self._ring.entries]
        made = [one.model_dump(mode="json") for one in self._kept]
        return [*fixed, *(KnownKey(one["id"], one["tenant"], one["role"], one["created_at"]) for one in made)]

    async def make(self, tenant: str, role: Role, clock: Clock) -> tuple[str, str]:
        """(id, key) of a new key; the key itself is not kept and can't be shown again."""
        key = f"rm_{secrets.token_urlsafe(32)}"
        digest = _sha256(key)
        made = KeptKey(id=digest[:12], sha256=digest, tenant=tenant, role=role, created_at=to_utc(clock()))
        async with self._alone():
            await self._keep([*self._kept, made])
        return made.id, key

    async def remove(self, key_id: str) -> None:
        """Forget a key that was made here. Raises NotFound, and Conflict for one of the keys file."""
        async with self._alone():
            left = [one for one in self._kept if one.id != key_id]
            if len(left) == len(self._kept):
                if any(caller.key_id == key_id for _, caller in self._ring.entries):
                    raise Conflict("this key is in the keys file; take it out there and start the service again")
                raise NotFound("there is no key of this id")
            await self._keep(left)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Within it nobody else changes the keys, in no other process either, and what they changed is known.

        Raises Unavailable where they can't be written.
        """
        async with self._changing, AsyncExitStack() as held:
            held.enter_context(_written())
            if self._path is not None:
                await held.enter_async_context(_locked(self._path.with_suffix(".lock"), self._wait_s))
            self._refresh()
            yield

    async def _keep(self, kept: Sequence[KeptKey]) -> None:
        if self._path is not None:
            await anyio.to_thread.run_sync(replace_file, self._path, _KEPT.dump_json(list(kept), indent=2))
            self._seen = self._stamp()
        self._kept = tuple(kept)

    def _refresh(self) -> None:
        """Follow a change of the file; one that can't be read is logged, and the keys that were read before stay."""
        stamp = self._stamp()
        if self._path is None or stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._kept = tuple(_read(self._path)) if stamp else ()
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


@contextmanager
def _written() -> Iterator[None]:
    """Let a failure of the disk out as ours."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"the keys can't be written: {error.strerror}; nothing was changed") from error


@asynccontextmanager
async def _locked(path: Path, wait_s: float) -> AsyncIterator[None]:
    """Within it the lock file `path` is held. Raises Unavailable when another process does not let go of it."""
    async with locked_by(path, time.monotonic() + wait_s) as held:
        if not held:
            raise Unavailable(f"process {holder_of(path)} has been changing the keys for too long; try again")
        yield


def _read(path: Path) -> list[KeptKey]:
    try:
        return _KEPT.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise BadKeys(f"made keys {path}: cannot be read; put back what was there, or remove it") from error


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
